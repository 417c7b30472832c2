"""Every number against a slow twin, a planted truth and a negative control."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cmon.embedding import advice, fidelity
from cmon.embedding.fidelity import Fidelity, measure
from cmon.workspace import schemas

Data = tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
WIDTH = 12


def planted(
    runs: tuple[str, ...] = ("a", "b"),
    layers: tuple[str, ...] = ("l1", "l2"),
    epochs: tuple[float, ...] = (0.0, 1.0, 2.5, 3.0),
    units: int = 40,
    anchors: int = 9,
    noise: float = 0.0,
    seed: int = 0,
) -> Data:
    """Units that drift to their anchor at their own speed, some not at all; CLIP's space is the plane, turned
    into more dimensions, with noise on the places."""
    random = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))
    targets = random.normal(size=(anchors, 2))
    keys, places = [], []
    for run, layer in product(runs, layers):
        goal = random.integers(anchors, size=units)
        speed = random.uniform(0, 1, units) * (random.uniform(size=units) > 0.2)
        start = random.normal(scale=0.3, size=(units, 2))
        for position, epoch in enumerate(epochs):
            reached = (speed * (position / max(1, len(epochs) - 1)) ** 1.5)[:, None]
            places.append((1 - reached) * start + reached * targets[goal])
            keys += [(run, layer, epoch, unit) for unit in range(units)]
    place = np.concatenate(places).round(12)  # a unit that stands still does so to the last digit
    frame = pd.DataFrame(keys, columns=["run", "layer", "epoch", "unit"])
    moved = place + random.normal(scale=noise, size=place.shape) if noise else place
    return frame, (place @ turned[:2]).round(12), moved, targets @ turned[:2], targets


def literal(data: Data) -> dict[str, float]:
    """All numbers but the neighbourhoods', pair by pair."""
    keys, vectors, places, anchors, anchor_places = data
    rows = list(keys.itertuples(index=False, name=None))
    epochs = {run: sorted({row[2] for row in rows if row[0] == run}) for run in keys["run"]}
    at = {row: index for index, row in enumerate(rows)}
    clip, plane = [], []
    for (run, layer, epoch, unit), index in at.items():
        later = [other for other in epochs[run] if other > epoch][:1]
        for other in later:
            if (after := at.get((run, layer, other, unit))) is not None:
                clip.append(math.dist(vectors[index], vectors[after]))
                plane.append(math.dist(places[index], places[after]))
    limit = np.quantile(clip, 0.01) if clip else 0
    still = [p for c, p in zip(clip, plane, strict=True) if c <= limit]
    moving = [p for c, p in zip(clip, plane, strict=True) if c > limit]
    pairs = [
        [math.dist(point, target) for point in points for target in targets]
        for points, targets in ((vectors, anchors), (places, anchor_places))
    ]
    nearest = [
        [min((math.dist(point, target), a) for a, target in enumerate(targets)) for point in points]
        for points, targets in ((vectors, anchors), (places, anchor_places))
    ]
    distances = [[distance for distance, _ in space] for space in nearest]
    same = [one[1] == other[1] for one, other in zip(*nearest, strict=True)]
    groups = sorted({row[:3] for row in rows})
    means = [
        [np.mean([space[at[row]] for row in rows if row[:3] == group]) for group in groups]
        for space in distances
    ]
    agree = [
        np.sign(means[0][i] - means[0][j]) * np.sign(means[1][i] - means[1][j])
        for i, j in combinations(range(len(groups)), 2)
    ]
    return {
        "still_step": np.mean(still) / np.median(moving) if moving else math.nan,
        "displacement": rank_correlation(clip, plane),
        "nearest_distance": rank_correlation(*distances),
        "same_anchor": np.mean(same),
        "anchor_distance": rank_correlation(*pairs),
        "d_anchor": np.mean(agree) if agree else math.nan,
    }


def rank_correlation(x: list[float], y: list[float]) -> float:
    frame = pd.DataFrame({"x": x, "y": y}).rank()
    return frame.corr().iloc[0, 1] if len(frame) > 1 else math.nan


def values(found: Fidelity) -> dict[str, float]:
    return {name: getattr(found, name) for name in fidelity.OVERALL}


@pytest.mark.parametrize("seed", [0, 1])
def test_the_numbers_are_those_of_the_definitions(seed: int) -> None:
    data = planted(noise=0.2, seed=seed)
    gone = np.random.default_rng(seed).uniform(size=len(data[0])) > 0.1  # units missing here and there
    data = (data[0][gone], data[1][gone], data[2][gone], *data[3:])
    found = values(measure(*data))
    for name, value in literal((data[0].reset_index(drop=True), *data[1:])).items():
        assert found[name] == pytest.approx(value), name


def test_the_order_of_the_rows_does_not_matter() -> None:
    keys, vectors, places, *anchors = planted(noise=0.2)
    mixed = np.random.default_rng(0).permutation(len(keys))
    found = measure(keys.iloc[mixed], vectors[mixed], places[mixed], *anchors)
    wanted = measure(keys, vectors, places, *anchors)
    assert values(found) == pytest.approx(values(wanted))
    pd.testing.assert_frame_equal(found.epochs, wanted.epochs)


def test_a_turned_plane_keeps_everything() -> None:
    found = values(measure(*planted()))
    assert found.pop("still_step") < 1e-6
    assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=1e-4)


def test_random_places_keep_nothing() -> None:
    keys, vectors, _, anchors, _ = planted(units=100)
    random = np.random.default_rng(0)
    found = measure(
        keys, vectors, random.normal(size=(len(keys), 2)), anchors, random.normal(size=(len(anchors), 2))
    )
    assert found.trustworthiness == pytest.approx(0.5, abs=0.05)
    assert found.continuity == pytest.approx(0.5, abs=0.05)
    assert found.still_step == pytest.approx(1, abs=0.3)
    for name in ("displacement", "nearest_distance", "anchor_distance"):
        assert getattr(found, name) == pytest.approx(0, abs=0.1), name
    assert found.same_anchor < 0.3
    assert found.d_anchor < 0.6
    assert advice.sentence(found).count("do not read") >= 3


def test_each_epoch_has_its_own_row() -> None:
    data = planted(noise=0.2)
    found = measure(*data)
    keys, vectors, places, *anchors = data
    assert found.epochs["epoch"].tolist() == [0.0, 1.0, 2.5, 3.0]
    assert found.epochs["points"].tolist() == [160] * 4
    assert found.epochs["steps"].tolist() == [0, 160, 160, 160]
    assert math.isnan(found.epochs["displacement"][0])
    for row in found.epochs.to_dict("records"):
        own = (keys["epoch"] == row["epoch"]).to_numpy()
        alone = measure(keys[own], vectors[own], places[own], *anchors)
        for name in ("trustworthiness", "continuity", "nearest_distance", "same_anchor", "anchor_distance"):
            assert row[name] == pytest.approx(getattr(alone, name)), name
    for name in ("trustworthiness", "continuity"):
        assert getattr(found, name) == pytest.approx(found.epochs[name].mean())


def test_steps_join_neighbouring_epochs_of_the_same_run_only() -> None:
    """Run a has the epochs 0, 1, 2; b has 0, 2. Unit 1 of a is dead at 1: it has no step."""
    keys = pd.DataFrame(
        [("a", "l", 0.0, 0), ("a", "l", 0.0, 1), ("a", "l", 1.0, 0), ("a", "l", 2.0, 0), ("a", "l", 2.0, 1),
         ("b", "l", 0.0, 0), ("b", "l", 2.0, 0)],
        columns=["run", "layer", "epoch", "unit"],
    )  # fmt: skip
    random = np.random.default_rng(0)
    vectors, places = random.normal(size=(7, 4)), random.normal(size=(7, 2))
    found = measure(keys, vectors, places, vectors[:2], places[:2])
    assert found.epochs["steps"].tolist() == [0, 1, 2]


def test_one_epoch_has_no_movement_and_one_unit_no_neighbours() -> None:
    one_epoch = measure(*planted(epochs=(3.0,)))
    assert math.isnan(one_epoch.displacement)
    assert math.isnan(one_epoch.still_step)
    assert one_epoch.trustworthiness == pytest.approx(1)
    assert "movement cannot be told" in advice.sentence(one_epoch)
    one_unit = measure(*planted(units=1, runs=("a",), layers=("l1",), anchors=1))
    assert math.isnan(one_unit.trustworthiness)
    assert one_unit.groups == 4
    alone = measure(*planted(units=1, runs=("a",), layers=("l1",), epochs=(0.0,), anchors=1))
    assert {name for name, value in values(alone).items() if not math.isnan(value)} == set()
    assert alone.groups == 1
    assert advice.sentence(alone).startswith("whether d_anchor orders")
    nobody = planted()
    nothing = measure(*(part[:0] for part in nobody[:3]), *nobody[3:])
    assert all(math.isnan(value) for value in values(nothing).values())
    assert nothing.epochs.empty
    assert len(fidelity.to_rows(nothing, 0)) == len(fidelity.OVERALL)


def test_units_without_a_place_are_left_out() -> None:
    keys, vectors, places, *anchors = planted(noise=0.2)
    vectors[3], places[7] = np.nan, np.nan
    kept = np.setdiff1d(np.arange(len(keys)), [3, 7])
    found = measure(keys, vectors, places, *anchors)
    assert values(found) == values(measure(keys.iloc[kept], vectors[kept], places[kept], *anchors))


def test_units_that_stand_still_are_found_moving() -> None:
    """A fifth of the units stands still. Shaking all of them makes the ratio 1.06, mean over median of a Rayleigh
    law."""
    keys, vectors, places, *anchors = planted(units=200)
    assert measure(keys, vectors, places, *anchors).still_step < 1e-6
    shaken = places + np.random.default_rng(0).normal(scale=3, size=places.shape)
    assert measure(keys, vectors, shaken, *anchors).still_step == pytest.approx(1.06, abs=0.08)
    assert math.isnan(measure(keys, vectors, np.zeros_like(places), *anchors).still_step)


def test_samples_estimate_the_whole_and_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = planted(units=150, noise=0.4)
    whole = measure(*data)
    monkeypatch.setattr(fidelity, "MAX_QUERIES", 200)
    monkeypatch.setattr(fidelity, "MIN_QUERIES", 30)
    monkeypatch.setattr(fidelity, "MAX_PAIRS", 4_000)
    sampled = measure(*data, seed=3)
    assert values(sampled) == pytest.approx(values(whole), abs=0.03)
    assert sampled.anchor_distance != whole.anchor_distance
    assert values(sampled) == values(measure(*data, seed=3))


def test_rows_are_the_schemas_and_their_spread_is_over_seeds() -> None:
    data = planted(noise=0.2)
    found = measure(*data)
    other = replace(found, d_anchor=found.d_anchor - 0.1, displacement=math.nan)
    table = pd.concat([fidelity.to_rows(found, 0), fidelity.to_rows(other, 1)], ignore_index=True)
    arrow = pa.Table.from_pandas(table, schema=schemas.FIDELITY, preserve_index=False)
    assert arrow.num_rows == 2 * (8 + 4 * 7)
    assert arrow["epoch"].null_count == 16
    at = table[(table["epoch"] == 2.5) & (table["measure"] == "displacement")]
    assert at["value"].tolist() == found.epochs["displacement"].tolist()[2:3] * 2
    spread = fidelity.spread_over_seeds(table).set_index("measure")
    assert spread.index.tolist() == list(fidelity.OVERALL)
    assert spread.loc["d_anchor"].tolist() == pytest.approx(
        [found.d_anchor - 0.05, found.d_anchor - 0.1, found.d_anchor, 2]
    )
    assert spread.loc["displacement", "seeds"] == 1


def test_of_a_single_anchor_no_name_is_said_to_be_right() -> None:
    keys, vectors, places, anchors, where = planted()
    found = measure(keys, vectors, places, anchors[:1], where[:1])
    assert math.isnan(found.same_anchor)
    assert "its name" not in advice.sentence(found)
