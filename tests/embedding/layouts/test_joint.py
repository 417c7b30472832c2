"""Neighbours and movement of the joint layout, never its coordinates."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.embedding.layouts.base import Fitted, Places, Points
from cmon.embedding.layouts.joint import SMOOTHING, Joint, smooth_trajectories
from tests.support import neighbourly
from tests.support.directions import families, training

NONE = np.empty((0, 24))
"""No other concepts: the layout does not use them."""


@pytest.fixture(scope="module")
def places(points: Points, anchors: np.ndarray) -> Places:
    return Joint().fit(points, anchors, NONE, seed=0)


def test_neighbours_are_kept_and_anchors_are_the_frame(points: Points, places: Places) -> None:
    neighbourly.assert_kept(points, places)


def test_units_that_stand_still_do_not_move(points: Points, places: Places) -> None:
    before, after = points.steps()
    step = np.linalg.norm(places.points[before] - places.points[after], axis=1)
    still = points.units[before] < 15
    assert step[still].mean() < 0.01 * step[~still].mean()


def test_the_same_seed_gives_the_same_places(points: Points, anchors: np.ndarray, places: Places) -> None:
    again = Joint().fit(points, anchors, NONE, seed=0)
    np.testing.assert_array_equal(again.points, places.points)
    assert np.abs(Joint().fit(points, anchors, NONE, seed=1).points - places.points).max() > 1e-3


def test_smoothing_minimises_what_it_says() -> None:
    """Against the normal equations, written out for each point."""
    random = np.random.default_rng(0)
    points = Points(
        random.normal(size=(6, 3)),
        np.array([0, 0, 0, 1, 1, 2]),
        np.array([0.0, 1, 2, 0, 5, 0]),
        np.zeros(6, dtype=int),
    )
    given = random.normal(size=(6, 2))
    found = smooth_trajectories(given, points, length=0.7)
    pairs = [(0, 1), (1, 2), (3, 4)]
    weights = [
        SMOOTHING * (0.7 / np.linalg.norm(points.vectors[a] - points.vectors[b])) ** 2 for a, b in pairs
    ]
    for k in range(6):
        force = found[k] - given[k]
        for (a, b), weight in zip(pairs, weights, strict=True):
            force = (
                force + weight * (found[k] - found[b]) * (k == a) + weight * (found[k] - found[a]) * (k == b)
            )
        np.testing.assert_allclose(force, 0, atol=1e-9)
    alone = points.subset(np.arange(1))
    np.testing.assert_array_equal(smooth_trajectories(given[:1], alone, 1), given[:1])


def test_new_points_lie_among_their_neighbours_and_the_still_where_they_were(
    points: Points, anchors: np.ndarray, places: Places
) -> None:
    fitted = Fitted(points, anchors, places, np.ones(len(points.units), dtype=bool))
    last = points.epochs == 3
    again = Points(points.vectors[last], points.units[last], np.full(last.sum(), 4.0), points.groups[last])
    np.testing.assert_allclose(Joint().place(again, fitted, NONE, 0), places.points[last], atol=0.02)
    moved = again.vectors + 0.02 * np.random.default_rng(0).normal(size=again.vectors.shape)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    found = Joint().place(Points(moved, again.units, again.epochs, again.groups), fitted, NONE, 0)
    assert np.median(np.linalg.norm(found - places.points[last], axis=1)) < 0.3


@pytest.mark.parametrize(
    ("units", "epochs", "count"), [(1, 1, 1), (2, 1, 1), (1, 3, 1), (3, 2, 2), (1, 5, 4), (2, 1, 9)]
)
def test_few_points_have_places(units: int, epochs: int, count: int) -> None:
    anchors = families()[:count]
    found = Joint().fit(training(anchors, units, epochs, still=0), anchors, NONE, seed=0)
    assert found.points.shape == (units * epochs, 2)
    assert np.isfinite(found.points).all()
    assert np.isfinite(found.anchors).all()


def test_many_units_with_the_same_vector_do_no_harm() -> None:
    anchors = families()
    same = Points(
        np.repeat(anchors[:1], 60, axis=0),
        np.repeat(np.arange(30), 2),
        np.tile([0.0, 1.0], 30),
        np.zeros(60, dtype=int),
    )
    assert np.isfinite(Joint().fit(same, anchors, NONE, seed=0).points).all()
