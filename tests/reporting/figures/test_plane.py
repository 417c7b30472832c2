"""Offsets depend on the unit alone; the frame holds all points."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cmon.reporting.figures import plane


def offsets(units: pd.DataFrame, most: float) -> np.ndarray:
    return plane.offsets(units["layer"].to_numpy(dtype=str), units["unit"].to_numpy(), most)


def units(*layers: tuple[str, int]) -> pd.DataFrame:
    rows = [(layer, unit) for layer, count in layers for unit in range(count)]
    return pd.DataFrame(rows, columns=["layer", "unit"])


def test_a_units_offset_is_the_same_in_all_runs_and_epochs() -> None:
    one = units(("a", 40), ("b", 9))
    twice = pd.concat([one.sample(frac=1, random_state=0), one], ignore_index=True)
    found = offsets(twice, 0.05)
    first = pd.DataFrame(found[:49]).set_index(pd.MultiIndex.from_frame(twice[:49])).sort_index()
    second = pd.DataFrame(found[49:]).set_index(pd.MultiIndex.from_frame(twice[49:])).sort_index()
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize("layers", [(("a", 512),), (("a", 128), ("b", 256), ("c", 512)), (("a", 1),)])
def test_offsets_are_no_longer_than_asked_for_and_no_two_are_equal(
    layers: tuple[tuple[str, int], ...],
) -> None:
    found = offsets(units(*layers), 0.05)
    assert np.linalg.norm(found, axis=1).max() <= 0.05
    assert len(np.unique(found.round(6), axis=0)) == sum(count for _, count in layers)


def test_any_units_of_a_layer_fill_the_disc() -> None:
    """512 of them and 20 of them: about their place in the mean, and as far from it as points of a disc are."""
    whole = offsets(units(("a", 512)), 1.0)
    some = whole[np.random.default_rng(0).choice(512, 20, replace=False)]
    for found, close in ((whole, 0.01), (some, 0.25)):
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=close)
        assert (found**2).sum(axis=1).mean() == pytest.approx(0.5, abs=close)  # of a disc of radius 1


def test_offsets_are_shorter_where_anchors_are_crowded() -> None:
    line = np.stack([np.arange(5), np.zeros(5)], axis=1)
    assert plane.most_offset(line) == plane.MOST_OFFSET
    assert plane.most_offset(0.06 * line) == pytest.approx(0.03)
    assert plane.most_offset(line[:1]) == plane.most_offset(line[:1].repeat(3, axis=0)) == plane.MOST_OFFSET
    assert math.isfinite(plane.most_offset(np.empty((0, 2))))


def test_the_frame_holds_all_points_and_is_not_too_long() -> None:
    points = np.array([[0.0, 1.0], [4.0, 1.5], [2.0, 1.2]])
    centre, half = plane.frame(points, 2.0)
    assert centre.tolist() == pytest.approx([2, 1.25])
    assert half.tolist() == pytest.approx(
        [2.2, 1.1]
    )  # a tenth more; the shorter side is lengthened to a half
    centre, half = plane.frame(np.empty((0, 2)), 2.0)
    assert (centre.tolist(), half.tolist()) == ([0, 0], [1, 1])
    assert (plane.frame(points[:1], 2.0)[1] > 0).all()
