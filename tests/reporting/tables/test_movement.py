"""Every column against a slow twin on trainings in which anything happens, and by hand where it is subtle."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cmon.reporting.tables import movement
from cmon.workspace.keys import GROUP, sort_rows
from tests.support import random_training
from tests.support.random_training import live_at, names_at, places
from tests.support.synthetic_tables import World, rows


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def literal(units: pd.DataFrame, layout: pd.DataFrame) -> list[dict[str, object]]:
    """The docstring of `layer_movement`, word by word."""
    live, names = live_at(layout), names_at(units)
    found = []
    for run, layer, epoch in names:
        epochs = sorted(other for *own, other in names if tuple(own) == (run, layer))
        at = epochs.index(epoch)
        now, now_named = live[run, layer, epoch], names[run, layer, epoch]
        row: dict[str, object] = {"run": run, "layer": layer, "epoch": epoch}
        for name, other in (("step", at - 1), ("from_first", 0)):
            before = live[run, layer, epochs[other]] if at else {}
            row[name] = mean([math.dist(now[unit], before[unit]) for unit in now if unit in before])
        ways = []
        for unit in now:
            way = [live[run, layer, e][unit] for e in epochs[: at + 1] if unit in live[run, layer, e]]
            if len(way) > 1:
                ways.append(sum(math.dist(a, b) for a, b in pairwise(way)))
        row["path_length"] = mean(ways)
        row["spread"] = mean([math.dist(now[u], now[v]) for u in now for v in now if u < v])
        labels = [name for name in now_named.values() if name is not None]
        row["labels"] = len(set(labels))
        shares = [labels.count(name) / len(labels) for name in set(labels)]
        row["entropy"] = -sum(share * math.log2(share) for share in shares)
        if at:
            before_named = names[run, layer, epochs[at - 1]]
            both = [(before_named[unit], now_named[unit]) for unit in now_named if unit in before_named]
            row["born"] = sum(was is None and name is not None for was, name in both)
            row["lost"] = sum(was is not None and name is None for was, name in both)
            row["relabelled"] = sum(None is not was != name is not None for was, name in both)
        else:
            row |= dict.fromkeys(("born", "lost", "relabelled"), math.nan)
        row["settled"] = sum(one[3] == epoch for one in literal_settled(units) if one[:2] == (run, layer))
        found.append(row)
    return found


def literal_settled(units: pd.DataFrame) -> list[tuple[str, str, int, float, str]]:
    names, found = names_at(units), []
    for run, layer, unit in dict.fromkeys(units[["run", "layer", "unit"]].itertuples(index=False, name=None)):
        epochs = sorted(epoch for *key, epoch in names if tuple(key) == (run, layer))
        own = [epoch for epoch in epochs if unit in names[run, layer, epoch]]
        final = names[run, layer, epochs[-1]].get(unit)
        if final is not None:
            stays = [e for e in own if all(names[run, layer, x][unit] == final for x in own if x >= e)]
            found.append((run, layer, unit, min(stays), final))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_layers_move_as_the_slow_twin_says(seed: int) -> None:
    units, layout = random_training.tables(seed)
    found = movement.layer_movement(units, places(layout))
    wanted = pd.DataFrame(literal(units, layout))
    pd.testing.assert_frame_equal(found[wanted.columns], wanted, check_dtype=False)


@pytest.mark.parametrize("seed", range(6))
def test_units_move_as_the_slow_twin_says(seed: int) -> None:
    units, layout = random_training.tables(seed)
    live, names = live_at(layout), names_at(units)
    settled = {one[:3]: one[3:] for one in literal_settled(units)}
    found = movement.unit_movement(units, places(layout)).set_index(["run", "layer", "unit"])
    keys = list(dict.fromkeys(units[["run", "layer", "unit"]].itertuples(index=False, name=None)))
    assert found.index.tolist() == keys
    for key in keys:
        run, layer, unit = key
        row = found.loc[key]
        epochs = sorted(epoch for *own, epoch in names if tuple(own) == (run, layer))
        way = [live[run, layer, e][unit] for e in epochs if unit in live[run, layer, e]]
        labels = [name for e in epochs if (name := names[run, layer, e].get(unit)) is not None]
        assert row["epochs"] == len(way)
        if len(way) > 1:
            length = sum(math.dist(a, b) for a, b in pairwise(way))
            assert row["path_length"] == pytest.approx(length)
            assert row["displacement"] == pytest.approx(math.dist(way[0], way[-1]))
            assert row["straightness"] == pytest.approx(math.dist(way[0], way[-1]) / length)
            assert 0 <= row["straightness"] <= 1
        else:
            assert row[["path_length", "displacement", "straightness"]].isna().all()
        assert row["named"] == len(labels)
        assert row["relabelled"] == sum(a != b for a, b in pairwise(labels))
        if key in settled:
            assert (row["settled"], row["label"], row["category"]) == (*settled[key], "object")
        else:
            assert row[["settled", "label", "category"]].isna().all()


@pytest.mark.parametrize("seed", range(6))
def test_a_label_is_settled_when_the_slow_twin_says(seed: int) -> None:
    units, _ = random_training.tables(seed)
    found = movement.settled_epochs(units)
    columns = ["run", "layer", "unit", "epoch", "label"]
    assert found[columns].to_numpy().tolist() == [list(one) for one in literal_settled(units)]
    mixed = units.sample(frac=1, random_state=seed)
    again = movement.settled_epochs(mixed).sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(again, found.sort_values(columns, ignore_index=True))


@pytest.mark.parametrize("seed", range(3))
def test_lengths_in_clip_space_are_those_of_the_layout(seed: int) -> None:
    """Planted: CLIP's space is the plane, twice as large."""
    units, layout = random_training.tables(seed)
    found = movement.layer_movement(units, places(layout))
    for name in ("step", "from_first", "path_length"):
        np.testing.assert_allclose(found[f"{name}_clip"], 2 * found[name])
    found = movement.unit_movement(units, places(layout))
    for name in ("displacement", "path_length"):
        np.testing.assert_allclose(found[f"{name}_clip"], 2 * found[name])
    older = places(layout).drop(columns=["step_clip", "from_first_clip"])
    for table in (movement.layer_movement(units, older), movement.unit_movement(units, older)):
        assert table.filter(like="_clip").isna().all(axis=None)
        assert table["path_length"].notna().any()


def test_the_tables_fit_their_schemas_whatever_happens() -> None:
    nothing = {"dead": 1.0}, {"named": 0.0}, {"epochs": {"a": (3.0,)}}, {"units": 1, "gone": 0.0}
    for given in ({}, *nothing):
        units, layout = random_training.tables(0, **given)
        layers = movement.layer_movement(units, places(layout))
        table = pa.Table.from_pandas(layers, schema=movement.MOVEMENT, preserve_index=False)
        assert table.num_rows == len(units[GROUP].drop_duplicates())
        each = movement.unit_movement(units, places(layout))
        pa.Table.from_pandas(each, schema=movement.UNIT_MOVEMENT, preserve_index=False)


def test_a_dead_layer_stands_still_nowhere_and_one_epoch_has_no_movement() -> None:
    units, layout = random_training.tables(0, dead=1.0)
    found = movement.layer_movement(units, places(layout))
    assert found[["step", "from_first", "path_length", "spread"]].isna().all(axis=None)
    assert (found[["labels", "entropy", "settled"]] == 0).all(axis=None)
    units, layout = random_training.tables(0, epochs={"a": (3.0,)})
    found = movement.layer_movement(units, places(layout))
    assert found[["step", "from_first", "path_length", "born", "lost", "relabelled"]].isna().all(axis=None)
    assert found["settled"].sum() == units["interpretable"].sum()


def test_a_straight_way_has_straightness_one_and_a_way_back_none() -> None:
    units = pd.DataFrame(
        [("a", "l", epoch, unit, "ok", "dog", "object", True) for epoch in (0.0, 1.0, 2.0) for unit in range(3)],
        columns=["run", "layer", "epoch", "unit", "status", "label", "category", "interpretable"],
    )  # fmt: skip
    ahead, back, still = (0.1, 0.2, 0.3), (0.0, 3.0, 0.0), (0.5, 0.5, 0.5)
    x = np.stack([ahead, back, still], axis=1).ravel()
    found = movement.unit_movement(
        units, units[["run", "layer", "epoch", "unit", "status"]].assign(x=x, y=2 * x)
    )
    assert found["straightness"].tolist()[:2] == pytest.approx([1, 0])
    assert found["straightness"].max() <= 1
    assert math.isnan(found["straightness"][2])
    assert found["path_length"].tolist() == pytest.approx([0.2 * math.sqrt(5), 6 * math.sqrt(5), 0])
    assert found["path_length"][2] == 0


def test_the_way_is_no_shorter_than_the_distance_and_grows() -> None:
    tables = rows(World(dead=0.0))
    units = sort_rows(pd.DataFrame(tables["units"]))
    layout = sort_rows(pd.DataFrame([row for row in tables["layout"] if row["kind"] == "unit"]))
    found = movement.layer_movement(units, layout)
    later = found.dropna()
    assert (later["path_length"] >= later["from_first"] - 1e-12).all()
    for _, own in later.groupby(["run", "layer"]):
        assert (np.diff(own["path_length"]) > 0).all()
    ways = found.groupby("run")["from_first"].max()
    assert ways["standard"] > 2 * ways["poor"], "what was planted"


def test_spread_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    units, layout = random_training.tables(1, units=40, epochs={"a": (0.0, 1.0)})
    whole = movement.layer_movement(units, places(layout))["spread"]
    monkeypatch.setattr(movement, "_BLOCK", 100)
    pd.testing.assert_series_equal(movement.layer_movement(units, places(layout))["spread"], whole)


def units_of(*given: dict[str, object]) -> pd.DataFrame:
    blank = {
        "run": "a",
        "layer": "l",
        "status": "ok",
        "label": None,
        "category": None,
        "interpretable": False,
    }
    return pd.DataFrame([{**blank, **row} for row in given])


def test_movement_and_labels_by_hand() -> None:
    named = {"interpretable": True}
    units = sort_rows(
        units_of(
            {"epoch": 0.0, "unit": 0, "label": "dog", **named},
            {"epoch": 0.0, "unit": 1, "label": "dog", **named},
            {"epoch": 0.0, "unit": 2, "label": "cat"},
            {"epoch": 1.0, "unit": 0, "label": "cat", **named},
            {"epoch": 1.0, "unit": 1, "label": "dog"},
            {"epoch": 1.0, "unit": 2, "label": "cat", **named},
            {"epoch": 2.0, "unit": 0, "label": "cat", **named},
            {"epoch": 2.0, "unit": 1, "label": "dog", **named},
            {"epoch": 2.0, "unit": 2, "status": "dead"},
        )
    )
    places = units[["run", "layer", "epoch", "unit", "status"]].assign(
        x=[0, 0, 3, 0, 0, 3, 1, 0, np.nan], y=[0, 0, 4, 1, 0, 4, 1, 0, np.nan]
    )
    start, middle, end = movement.layer_movement(units, places).to_dict("records")
    assert math.isnan(start["step"])
    assert math.isnan(start["born"])
    assert start["spread"] == pytest.approx((0 + 5 + 5) / 3)
    assert (start["labels"], start["entropy"]) == (1, 0)
    assert middle["step"] == pytest.approx(1 / 3)
    assert (middle["born"], middle["lost"], middle["relabelled"]) == (1, 1, 1)
    assert (middle["labels"], middle["entropy"]) == (1, 0)
    assert [row["path_length"] for row in (middle, end)] == pytest.approx([1 / 3, 2 / 2])
    assert end["step"] == pytest.approx(1 / 2)  # the dead unit does not count
    assert end["from_first"] == pytest.approx(math.sqrt(2) / 2)
    assert (end["labels"], end["entropy"]) == (2, 1)
    assert (end["born"], end["lost"], end["relabelled"]) == (1, 1, 0)
    assert [row["settled"] for row in (start, middle, end)] == [0, 1, 1]
