import math

import pandas as pd
import pyarrow as pa
import pytest

from cmon.reporting.tables.counts import category_counts
from cmon.reporting.tables.d_anchor import d_anchor
from cmon.reporting.tables.diversity import layer_diversity
from cmon.reporting.tables.movement import layer_movement
from cmon.reporting.tables.seeds import SEEDS, last_shared, run_measures, seeds
from cmon.workspace.keys import GROUP, sort_rows
from tests.support.seeded import drawn, drawn_often, measured, students
from tests.support.synthetic_tables import World, frames, scores_of

NONE = float("nan")
MEAN, CHANGE = ["mean", "mean_low", "mean_high"], ["change", "change_low", "change_high"]
MIXED = World(runs=("a@1", "b", "a@2", "c@1", "a@3"), units=20, epochs=(0.0, 1.0, 2.0))


def tables_of(units: pd.DataFrame, layout: pd.DataFrame) -> dict[str, pd.DataFrame]:
    places = sort_rows(layout[layout["kind"] == "unit"])
    return {
        "d_anchor": d_anchor(units, places, 0, 0.95, resamples=1),
        "movement": layer_movement(units, places),
        "diversity": layer_diversity(units, layout, scores_of(units)),
        "interpretable": category_counts(units),
    }


def row_of(table: pd.DataFrame, recipe: str, epoch: float, measure: str = "d_anchor") -> pd.Series:
    (found,) = table[
        (table["recipe"] == recipe) & (table["epoch"] == epoch) & (table["measure"] == measure)
    ].index
    return table.loc[found]


def test_numbers_are_those_of_the_literal_twin():
    values = {
        "a@1": {0: 0.7, 8: 0.3},
        "a@2": {0: 0.75, 8: 0.41},
        "a@3": {0: 0.62, 8: 0.29},
        "b": {0: 9, 8: 9},
    }
    table = seeds(measured(values), 0.95)
    assert set(table["recipe"]) == {"a"}
    mean, low, high, sd = students([0.3, 0.41, 0.29])
    last = row_of(table, "a", 8)
    assert tuple(last[MEAN]) == pytest.approx((mean, low, high))
    assert (last["sd"], last["n_runs"], last["n_paired"]) == (pytest.approx(sd), 3, 3)
    assert tuple(last[CHANGE]) == pytest.approx(students([0.3 - 0.7, 0.41 - 0.75, 0.29 - 0.62])[:3])
    first = row_of(table, "a", 0)
    assert tuple(first[MEAN]) == pytest.approx(students([0.7, 0.75, 0.62])[:3])
    assert first["n_paired"] == 0
    assert first[CHANGE].isna().all()
    narrower = row_of(seeds(measured(values), 0.5), "a", 8)
    assert low < narrower["mean_low"] < narrower["mean_high"] < high


def test_measures_are_the_tables_own_means_of_runs():
    units, layout = frames(MIXED)
    tables = tables_of(units, layout)
    table = seeds(run_measures(tables), 0.95)
    assert len(table) == len(MIXED.layers) * len(MIXED.epochs) * table["measure"].nunique()
    for layer, epoch in [("layer3", 1.0), ("layer4", 2.0)]:
        own = {
            name: [
                one[(one["run"] == run) & (one["layer"] == layer) & (one["epoch"] == epoch)]
                for run in ("a@1", "a@2", "a@3")
            ]
            for name, one in {**tables, "units": units}.items()
        }
        wanted = {
            **{name: [one[name].item() for one in own["d_anchor"]] for name in ("d_anchor", "d_anchor_clip")},
            **{
                name: [one[name].item() for one in own["movement"]]
                for name in ("spread", "from_first", "labels", "entropy", "born")
            },
            **{
                name: [one[name].item() for one in own["diversity"]]
                for name in ("effective_labels", "overlap")
            },
            "interpretable": [one["interpretable"].mean() for one in own["units"]],
            "dead": [(one["status"] == "dead").mean() for one in own["units"]],
            "category: object": [
                (one["interpretable"] & (one["category"] == "object")).mean() for one in own["units"]
            ],
        }
        here = table[(table["layer"] == layer) & (table["epoch"] == epoch)].set_index("measure")
        assert (here["recipe"] == "a").all()
        for name, values in wanted.items():
            assert tuple(here.loc[name, [*MEAN, "sd"]]) == pytest.approx(students(values)), name
        shares = here.loc[here.index.str.startswith("category: "), "mean"]
        assert shares.sum() == pytest.approx(here.loc["interpretable", "mean"])
        assert here.loc["from_first_clip", "n_runs"] == 0, "this layout has none"
    arrow = pa.Table.from_pandas(table, schema=SEEDS, preserve_index=False)
    assert arrow.num_rows == len(table)


def test_without_repeats_there_are_no_rows():
    units, layout = frames(World(runs=("a", "b@1"), layers=("l",), units=5, epochs=(0.0,)))
    table = seeds(run_measures(tables_of(units, layout)), 0.95)
    assert list(table.columns) == SEEDS.names
    assert pa.Table.from_pandas(table, schema=SEEDS, preserve_index=False).num_rows == 0
    assert last_shared(table).empty


def test_no_unit_is_interpretable_and_there_is_no_category():
    units, layout = frames(World(runs=("a@1", "a@2"), layers=("l",), units=5, epochs=(0.0, 1.0)))
    units = units.assign(interpretable=False)
    table = seeds(run_measures(tables_of(units, layout)), 0.95)
    assert not table["measure"].str.startswith("category").any()
    assert tuple(row_of(table, "a", 1, "interpretable")[[*MEAN, *CHANGE]]) == (0,) * 6


def test_a_recipe_that_falls_is_told_from_one_that_does_not():
    table = seeds(drawn(0, {"falls": -0.2, "stays": 0.0}), 0.95)
    falls, stays = row_of(table, "falls", 1), row_of(table, "stays", 1)
    assert falls["change_high"] < 0
    assert stays["change_low"] < 0 < stays["change_high"]
    # Over runs that start at random, only pairs show it.
    assert row_of(table, "falls", 0)["mean_low"] < falls["mean_high"]


def test_chance_is_called_a_change_as_often_as_promised():
    found = seeds(drawn_often(800, {"a": 0.0}, runs=3), 0.9)
    found = found[found["epoch"] == 1]
    below, above = (found["change_high"] < 0).mean(), (found["change_low"] > 0).mean()
    assert (len(found), below, above) == (800, *[pytest.approx(0.05, abs=0.02)] * 2)
    covers = (found["mean_low"] < 1) & (found["mean_high"] > 1)
    assert covers.mean() == pytest.approx(0.9, abs=0.03)


def test_an_epoch_that_only_some_runs_have_says_so():
    values = {
        "a@1": {0: 0.5, 1: 0.4, 2: 0.3},
        "a@2": {1: 0.5, 2: 0.4},
        "a@3": {1: 0.6, 2: NONE, 3: 0.1},
    }
    table = seeds(measured(values), 0.95)
    own = table[table["measure"] == "d_anchor"].set_index("epoch")
    assert own["n_runs"].to_dict() == {0: 1, 1: 3, 2: 2, 3: 1}
    assert own["n_paired"].to_dict() == {0: 0, 1: 0, 2: 2, 3: 1}  # since epoch 1: only one run has epoch 0
    assert own.loc[2, "change"] == pytest.approx(-0.1)
    assert own.loc[0, "mean"] == 0.5
    assert own.loc[[0, 3], ["mean_low", "mean_high", "sd"]].isna().all().all()
    assert own.loc[3, "change"] == pytest.approx(-0.5)
    assert math.isnan(own.loc[3, "change_low"])
    # At epoch 2, the third run is there, if without a live unit.
    assert set(last_shared(table)["epoch"]) == {2}


def test_one_run_with_a_value_at_each_epoch_has_no_change():
    table = seeds(measured({"a@1": {0: 0.5, 1: NONE}, "a@2": {0: NONE, 1: 0.4}}), 0.95)
    own = table[table["measure"] == "d_anchor"]
    assert (own["n_runs"] == 1).all()
    assert own[CHANGE].isna().all().all()
    assert (own["n_paired"] == 0).all()


def test_the_last_shared_epoch_is_each_layers_own():
    early = measured({"a@1": {0: 1, 1: 1}, "a@2": {0: 1}}, layer="early")
    late = measured({"a@1": {0: 1, 1: 1}, "a@2": {0: 1, 1: 1}}, layer="late")
    kept = last_shared(seeds(pd.concat([early, late]), 0.95))
    assert set(kept[["layer", "epoch"]].itertuples(index=False, name=None)) == {("early", 0), ("late", 1)}


def test_order_is_that_of_the_runs_and_layers():
    units, layout = frames(World(runs=("z@1", "a@1", "z@2", "a@2"), units=4, epochs=(0.0, 2.0, 10.0)))
    table = seeds(run_measures(tables_of(units, layout)), 0.95)
    keys = table[["recipe", *GROUP[1:]]].drop_duplicates().itertuples(index=False, name=None)
    assert list(keys) == [
        (recipe, layer, epoch)
        for recipe in ("z", "a")
        for layer in ("layer3", "layer4")
        for epoch in (0.0, 2.0, 10.0)
    ]
