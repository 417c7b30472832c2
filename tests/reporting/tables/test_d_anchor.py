"""d_anchor and the comparison of runs: means against slow twins, intervals against theory and plain resampling."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cmon.reporting.tables import d_anchor
from cmon.reporting.tables import schemas as report_schemas
from cmon.workspace.keys import sort_rows
from tests.support import random_training
from tests.support.random_training import places
from tests.support.synthetic_tables import World, rows

GROUP = ["run", "layer", "epoch"]
KINDS = (("", "distance"), ("_clip", "distance_clip"))


def frames(world: World) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables = rows(world)
    units = [row for row in tables["layout"] if row["kind"] == "unit"]
    return sort_rows(pd.DataFrame(tables["units"])), sort_rows(pd.DataFrame(units))


def planted(
    values: dict[str, dict[float, np.ndarray]], layer: str = "l"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """units, layout with these distances per run and epoch, twice as large in CLIP's space; NaN: a dead unit."""
    found = []
    for run, epochs in values.items():
        for epoch, own in epochs.items():
            for unit, value in enumerate(own):
                live = bool(np.isfinite(value))
                found.append(
                    {"run": run, "layer": layer, "epoch": epoch, "unit": unit, "status": "ok" if live else "dead",
                     "label": f"{run} {unit} {epoch}" if live else None, "interpretable": live,
                     "distance": value, "distance_clip": 2 * value}
                )  # fmt: skip
    table = sort_rows(pd.DataFrame(found))
    keys = [*GROUP, "unit", "status"]
    return table[[*keys, "label", "interpretable"]], table[[*keys, "distance", "distance_clip"]]


def test_d_anchor_is_the_mean_over_live_units_only() -> None:
    units, places = frames(World(units=30, epochs=(0.0, 1.0), dead=0.3))
    found = d_anchor.d_anchor(units, places, seed=0, confidence=0.95)
    for row in found.to_dict("records"):
        mine = [
            place
            for place in places.to_dict("records")
            if all(place[key] == row[key] for key in ("run", "layer", "epoch")) and place["status"] == "ok"
        ]
        for column, source in (("d_anchor", "distance"), ("d_anchor_clip", "distance_clip")):
            assert row[column] == pytest.approx(sum(place[source] for place in mine) / len(mine))
            assert row[f"{column}_low"] < row[column] < row[f"{column}_high"]
        assert row["n_units"] == 30
        assert row["n_live"] == len(mine) == 30 - row["n_dead"]
    assert (found["n_dead"] > 0).any()


def test_tied_units_are_neither_live_nor_dead() -> None:
    own = {"run": "a", "layer": "l", "epoch": 0.0, "interpretable": False}
    units = pd.DataFrame([{**own, "unit": 0, "status": "tied"}, {**own, "unit": 1, "status": "dead"}])
    places = pd.DataFrame(
        columns=["run", "layer", "epoch", "unit", "status", "distance", "distance_clip"]
    ).astype({"epoch": float})
    row = d_anchor.d_anchor(units, places, seed=0, confidence=0.95).iloc[0]
    assert (row["n_units"], row["n_live"], row["n_dead"]) == (2, 0, 1)
    assert math.isnan(row["d_anchor"])
    assert math.isnan(row["d_anchor_clip_high"])


@pytest.mark.parametrize("seed", range(3))
def test_means_and_counts_are_those_of_a_slow_twin(seed: int) -> None:
    units, layout = random_training.tables(seed)
    found = d_anchor.d_anchor(units, places(layout), 0, 0.95, resamples=50)
    assert list(found.columns) == report_schemas.D_ANCHOR.names
    pa.Table.from_pandas(found, schema=report_schemas.D_ANCHOR, preserve_index=False)
    keys = list(dict.fromkeys(units[GROUP].itertuples(index=False, name=None)))
    assert list(found[GROUP].itertuples(index=False, name=None)) == keys
    for row in found.to_dict("records"):
        own = [one for one in layout.to_dict("records") if all(one[key] == row[key] for key in GROUP)]
        live = [one for one in own if one["status"] == "ok"]
        assert (row["n_units"], row["n_live"], row["n_dead"]) == (len(own), len(live), len(own) - len(live))
        for suffix, column in KINDS:
            assert row[f"d_anchor{suffix}"] == pytest.approx(np.mean([one[column] for one in live]))


def test_intervals_have_the_width_of_theory_and_depend_on_their_own_units_alone() -> None:
    random = np.random.default_rng(0)
    values = {"a": {0.0: random.exponential(size=800), 1.0: random.exponential(size=799)}}
    table = d_anchor.d_anchor(*planted(values), seed=5, confidence=0.95)
    for epoch, row in zip(values["a"], table.to_dict("records"), strict=True):
        own = values["a"][epoch]
        width = 2 * 1.96 * own.std() / math.sqrt(len(own))
        assert row["d_anchor_high"] - row["d_anchor_low"] == pytest.approx(width, rel=0.03)
        assert row["d_anchor_clip_low"] == pytest.approx(2 * row["d_anchor_low"])
    more = {"z": {0.0: random.uniform(size=800)}, **values}
    again = d_anchor.d_anchor(*planted(more), seed=5, confidence=0.95)
    pd.testing.assert_frame_equal(again[1:].reset_index(drop=True), table)


def test_many_epochs_of_one_size_are_all_answered() -> None:
    random = np.random.default_rng(0)
    values = {"a": {float(epoch): random.uniform(size=20) for epoch in range(150)}}
    table = d_anchor.d_anchor(*planted(values), seed=0, confidence=0.9, resamples=200)
    assert ((table["d_anchor_low"] < table["d_anchor"]) & (table["d_anchor"] < table["d_anchor_high"])).all()
    some = {"a": {99.0: values["a"][99.0]}}
    alone = d_anchor.d_anchor(*planted(some), seed=0, confidence=0.9, resamples=200)
    pd.testing.assert_series_equal(alone.iloc[0], table.iloc[99], check_names=False)


# -- runs compared -------------------------------------------------------------------------------------


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_comparison_is_the_difference_of_the_tables(seed: int, paired: bool) -> None:
    epochs = {"c": (0.0, 1.0, 2.5), "a": (0.0, 2.5, 3.0), "b": (1.0, 2.5)}
    units, layout = random_training.tables(seed, epochs)
    layout = places(layout)
    table = d_anchor.d_anchor(units, layout, 0, 0.95, resamples=20).set_index(GROUP)
    found = d_anchor.comparison(units, layout, 0, 0.95, paired, resamples=400)
    assert list(found.columns) == report_schemas.COMPARISON.names
    pa.Table.from_pandas(found, schema=report_schemas.COMPARISON, preserve_index=False)
    layers = units["layer"].unique()
    shared = {("c", "a"): (0.0, 2.5), ("c", "b"): (1.0, 2.5), ("a", "b"): (2.5,)}
    wanted = [(*pair, layer, epoch) for pair, own in shared.items() for layer in layers for epoch in own]
    assert list(found[["reference", *GROUP]].itertuples(index=False, name=None)) == wanted
    assert (found["paired"] == paired).all()
    live = {key: own for key, own in layout[layout["status"] == "ok"].groupby(GROUP)}
    for row in found.to_dict("records"):
        one, other = ((row[name], row["layer"], row["epoch"]) for name in ("reference", "run"))
        assert (row["n_reference"], row["n_run"]) == (len(live[one]), len(live[other]))
        for suffix, column in KINDS:
            gap = table.loc[other, f"d_anchor{suffix}"] - table.loc[one, f"d_anchor{suffix}"]
            assert row[f"difference{suffix}"] == pytest.approx(gap)
            assert row[f"difference{suffix}_low"] < gap < row[f"difference{suffix}_high"]
            deviations = [live[key][column].std() for key in (one, other)]
            size = math.sqrt((deviations[0] ** 2 + deviations[1] ** 2) / 2)
            assert row[f"d_prime{suffix}"] == pytest.approx(gap / size)


def test_pairing_takes_out_what_the_units_share() -> None:
    """Unit k has the same large value in both runs, plus a small one of its own: pairs see the small one alone."""
    random = np.random.default_rng(0)
    shared = 10 + 3 * random.normal(size=600)
    own = [0.1 * random.normal(size=600) for _ in range(2)]
    tables = planted({"a": {0.0: shared + own[0]}, "b": {0.0: shared + own[1] + 0.05}})
    apart, pairs = (d_anchor.comparison(*tables, 0, 0.95, paired).iloc[0] for paired in (False, True))
    for row, deviation in ((apart, math.sqrt(2) * 3), (pairs, math.sqrt(2) * 0.1)):
        width = 2 * 1.96 * deviation / math.sqrt(600)
        assert row["difference_high"] - row["difference_low"] == pytest.approx(width, rel=0.1)
    assert apart["difference_low"] < 0 < pairs["difference_low"]
    assert apart["d_prime"] == pairs["d_prime"]


def test_runs_on_their_own_are_drawn_independently_though_their_sizes_are_equal() -> None:
    """The same values in both runs: drawn together the difference would always be 0."""
    values = np.random.default_rng(0).exponential(size=500)
    row = d_anchor.comparison(*planted({"a": {0.0: values}, "b": {0.0: values}}), 0, 0.95, False).iloc[0]
    width = 2 * 1.96 * math.sqrt(2) * values.std() / math.sqrt(500)
    assert row["difference_high"] - row["difference_low"] == pytest.approx(width, rel=0.05)
    assert row["difference"] == 0


def test_paired_intervals_with_dead_units_are_those_of_plain_resampling() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(5, 1, 60), random.normal(5, 1, 60)
    b[:20] += a[:20]
    a[[3, 7, 30]], b[[7, 8, 50, 51]] = np.nan, np.nan
    row = d_anchor.comparison(*planted({"a": {0.0: a}, "b": {0.0: b}}), 0, 0.9, True).iloc[0]
    plain = []
    for _ in range(10_000):
        drawn = random.integers(60, size=60)
        plain.append(np.nanmean(b[drawn]) - np.nanmean(a[drawn]))
    low, high = np.quantile(plain, [0.05, 0.95])
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((low, high), abs=0.03)


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_of_no_difference_holds_0_as_often_as_promised(paired: bool) -> None:
    random = np.random.default_rng(0)
    epochs = {run: {float(epoch): random.exponential(size=60) for epoch in range(300)} for run in "ab"}
    found = d_anchor.comparison(*planted(epochs), 0, 0.9, paired, resamples=400)
    held = (found["difference_low"] <= 0) & (found["difference_high"] >= 0)
    assert 0.83 < held.mean() < 0.95  # 0.9; three standard errors are 0.05


def test_which_runs_started_alike_is_seen_at_their_first_epoch() -> None:
    random = np.random.default_rng(0)
    units, layout = planted(
        {run: {0.0: random.uniform(size=200), 1.0: random.uniform(size=200)} for run in "abc"}
    )
    start = units["epoch"] == 0
    units.loc[start & (units["run"] != "c"), "label"] = "same"
    assert d_anchor.same_start(units, "a", "b")
    assert not d_anchor.same_start(units, "a", "c")
    found = d_anchor.comparison(units, layout, 0, 0.95, resamples=20)
    pairs = found.groupby(["reference", "run"])["paired"].all()
    assert pairs.to_dict() == {("a", "b"): True, ("a", "c"): False, ("b", "c"): False}
    # Mixed pairs give what each gives alone.
    for paired in (True, False):
        alone = d_anchor.comparison(units, layout, 0, 0.95, paired, resamples=20)
        both = found[found["paired"] == paired]
        pd.testing.assert_frame_equal(alone.loc[both.index], both)
    changed = units.copy()
    changed.loc[start & (units["run"] == "b") & (units["unit"] < 3), "label"] = "other"
    assert not d_anchor.same_start(changed, "a", "b"), "three of 200 are more than one in a hundred"
    changed = units[~(start & (units["run"] == "b"))]
    assert not d_anchor.same_start(changed, "a", "b"), "its first epoch is another one"
    changed = units.assign(layer=units["layer"].where(units["run"] != "b", "m"))
    assert not d_anchor.same_start(changed, "a", "b"), "no layer in common"


def test_one_run_alone_has_nothing_to_compare_and_a_dead_layer_no_difference() -> None:
    alone = d_anchor.comparison(*planted({"a": {0.0: np.ones(5)}}), 0, 0.95)
    assert alone.empty
    assert list(alone.columns) == report_schemas.COMPARISON.names
    pa.Table.from_pandas(alone, schema=report_schemas.COMPARISON, preserve_index=False)
    for paired in (True, False):
        tables = planted({"a": {0.0: np.full(5, np.nan)}, "b": {0.0: np.arange(5.0)}})
        row = d_anchor.comparison(*tables, 0, 0.95, paired, resamples=10).iloc[0]
        assert row[["difference", "difference_low", "difference_high", "d_prime"]].isna().all()
        assert (row["n_reference"], row["n_run"]) == (0, 5)
    one_unit = d_anchor.comparison(
        *planted({"a": {0.0: np.ones(1)}, "b": {0.0: np.zeros(1)}}), 0, 0.95, False
    )
    assert one_unit[["difference", "difference_low", "difference_high"]].iloc[0].tolist() == [-1, -1, -1]
    assert one_unit["d_prime"].isna().all()


def test_cells_in_parts_are_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    units, layout = random_training.tables(0, dead=0.3)
    for paired in (True, False):
        whole = d_anchor.comparison(units, places(layout), 0, 0.95, paired, resamples=30)
        with monkeypatch.context() as patch:
            patch.setattr(d_anchor, "_AT_ONCE", 2)
            parts = d_anchor.comparison(units, places(layout), 0, 0.95, paired, resamples=30)
        pd.testing.assert_frame_equal(parts, whole)
