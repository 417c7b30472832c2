"""d_anchor: means against slow twins, intervals against theory."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cmon.reporting.tables import d_anchor
from cmon.workspace.keys import sort_rows
from tests.support import random_training
from tests.support.random_training import places, planted
from tests.support.synthetic_tables import World, rows

GROUP = ["run", "layer", "epoch"]
KINDS = (("", "distance"), ("_clip", "distance_clip"))


def frames(world: World) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables = rows(world)
    units = [row for row in tables["layout"] if row["kind"] == "unit"]
    return sort_rows(pd.DataFrame(tables["units"])), sort_rows(pd.DataFrame(units))


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
    assert list(found.columns) == d_anchor.D_ANCHOR.names
    pa.Table.from_pandas(found, schema=d_anchor.D_ANCHOR, preserve_index=False)
    keys = list(dict.fromkeys(units[GROUP].itertuples(index=False, name=None)))
    assert list(found[GROUP].itertuples(index=False, name=None)) == keys
    for row in found.to_dict("records"):
        own = [one for one in layout.to_dict("records") if all(one[key] == row[key] for key in GROUP)]
        live = [one for one in own if one["status"] == "ok"]
        assert (row["n_units"], row["n_live"], row["n_dead"]) == (len(own), len(live), len(own) - len(live))
        for suffix, column in KINDS:
            assert row[f"d_anchor{suffix}"] == pytest.approx(np.mean([one[column] for one in live]))


def test_changes_are_those_of_the_same_units_since_the_first_epoch_with_live_ones() -> None:
    """A fall of each unit by 0.1 is beyond chance, whatever the units' own distances are."""
    random = np.random.default_rng(0)
    start = random.exponential(size=60)
    values = {
        "a": {0.0: start, 1.0: start - 0.1 + random.normal(size=60) / 20, 2.0: random.permutation(start)}
    }
    units, layout = planted(values)
    dead = (layout["epoch"] == 1.0) & (layout["unit"] < 15)
    layout = layout.assign(status=np.where(dead, "dead", layout["status"]))
    layout.loc[dead, ["distance", "distance_clip"]] = np.nan
    first, second, third = d_anchor.d_anchor(units, layout, 0, 0.95).to_dict("records")
    assert math.isnan(first["change"])
    assert (first["n_paired"], second["n_paired"], third["n_paired"]) == (0, 45, 60)
    assert second["change"] == pytest.approx((values["a"][1.0] - start)[15:].mean())
    assert second["change_clip_low"] == pytest.approx(2 * second["change_low"])
    assert second["change_low"] < -0.1 < second["change_high"] < -0.08
    assert second["d_anchor_high"] > first["d_anchor_low"]  # the two intervals know nothing of it
    assert third["change_low"] < 0 < third["change_high"]


def test_units_on_anchors_are_counted_by_the_distance_in_clip_space() -> None:
    near = np.array([0.0, 0.12, 0.13, 0.5])  # in the plane; twice as far in CLIP's space
    (row,) = d_anchor.d_anchor(*planted({"a": {0.0: near}}), seed=0, confidence=0.95).to_dict("records")
    assert row["on_anchors"] == 0.5


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
    own = [name for name in table if not name.startswith(("change", "n_paired"))]  # what compares no epochs
    pd.testing.assert_series_equal(alone.iloc[0][own], table.iloc[99][own], check_names=False)
