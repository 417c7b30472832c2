"""Neighbours, distances and movement of the default layout, never its coordinates."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.embedding.distances import nearest
from cmon.embedding.layouts import umap
from cmon.embedding.layouts.anchor_distances import AnchorDistances
from cmon.embedding.layouts.anchored import LandmarkMap, fit_map
from cmon.embedding.layouts.base import Fitted, Places, Points
from cmon.embedding.layouts.umap import Umap, units_of_length
from cmon.embedding.trustworthiness import neighbours_kept
from cmon.rank_correlation import spearman
from tests.support import neighbourly
from tests.support.directions import families, training

OTHERS = families(5, 4, seed=40)


@pytest.fixture(scope="module")
def places(points: Points, anchors: np.ndarray) -> Places:
    return Umap().fit(points, anchors, OTHERS, seed=0)


def test_neighbours_are_kept_and_anchors_are_the_frame(points: Points, places: Places) -> None:
    neighbourly.assert_kept(points, places)


def test_neighbours_are_kept_in_the_fewer_rounds_of_many_points(
    points: Points, anchors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(umap, "MANY", 10)
    neighbourly.assert_kept(points, Umap().fit(points, anchors, OTHERS, seed=0))


def test_runs_that_start_from_the_same_weights_start_at_the_d_anchor_that_is_wanted(
    anchors: np.ndarray,
) -> None:
    """Two runs of the same units, which part later. Where nothing is put back, their means are 4 % off."""
    one, other = training(anchors, units=40, seed=3), training(anchors, units=40, still=0, seed=4)
    other.vectors[:40] = one.vectors[:40]
    both = one.followed_by(Points(other.vectors, other.units + 40, other.epochs, other.groups + 1))
    found = Umap().fit(both, anchors, OTHERS, seed=0)
    distance = nearest(found.points, found.anchors)[1]
    means = [distance[(both.groups == run) & (both.epochs == 0)].mean() for run in (0, 1)]
    wanted = AnchorDistances.of(both.vectors, *_start(both, anchors)).wanted(both.vectors)[:40].mean()
    np.testing.assert_allclose(means, wanted, rtol=0.01)


def _start(points: Points, anchors: np.ndarray) -> tuple[np.ndarray, LandmarkMap]:
    concepts = fit_map(anchors, OTHERS, 0)
    return concepts.place(points.vectors), concepts


def test_concepts_lie_where_anchored_puts_them(anchors: np.ndarray, places: Places) -> None:
    np.testing.assert_array_equal(places.anchors, fit_map(anchors, OTHERS, 0).anchors)


def test_the_distance_to_the_nearest_anchor_follows_clips(
    points: Points, anchors: np.ndarray, places: Places
) -> None:
    plane, clip = nearest(places.points, places.anchors)[1], nearest(points.vectors, anchors)[1]
    assert spearman(plane, clip) > 0.9
    assert abs(spearman(np.random.default_rng(0).permutation(plane), clip)) < 0.3


def test_units_that_stand_still_do_not_move(points: Points, places: Places) -> None:
    before, after = points.steps()
    step = np.linalg.norm(places.points[before] - places.points[after], axis=1)
    still = points.units[before] < 15
    assert step[still].mean() < 0.01 * step[~still].mean()


def test_a_seed_decides_the_places(points: Points, anchors: np.ndarray, places: Places) -> None:
    again = Umap().fit(points, anchors, OTHERS, seed=0)
    np.testing.assert_array_equal(again.points, places.points)
    assert np.abs(Umap().fit(points, anchors, OTHERS, seed=1).points - places.points).max() > 1e-3


def test_new_epochs_lie_near_where_a_fit_of_all_has_them(
    points: Points, anchors: np.ndarray, places: Places
) -> None:
    """Nearer than they moved, and than a place that is shuffled among them."""
    new = points.epochs == 3
    old = points.subset(~new)
    fitted = Fitted(old, anchors, Umap().fit(old, anchors, OTHERS, 0), np.ones((~new).sum(), dtype=bool))
    found = Umap().place(points.subset(new), fitted, OTHERS, 0)
    off = np.linalg.norm(found - places.points[new], axis=1)
    shuffled = np.linalg.norm(np.random.default_rng(0).permutation(found) - places.points[new], axis=1)
    assert off.mean() < 0.25 * shuffled.mean()
    trust, _ = neighbours_kept(points.vectors[new], found)
    assert trust > 0.8


def test_a_new_point_of_a_unit_that_stands_still_lies_where_it_was(
    points: Points, anchors: np.ndarray, places: Places
) -> None:
    fitted = Fitted(points, anchors, places, np.ones(len(points.units), dtype=bool))
    last = points.epochs == 3
    again = Points(points.vectors[last], points.units[last], np.full(last.sum(), 4.0), points.groups[last])
    found = Umap().place(again, fitted, OTHERS, 0)
    np.testing.assert_allclose(found, places.points[last], atol=1e-4)


@pytest.mark.parametrize(
    ("units", "epochs", "length"), [(1600, 3, 40), (1600, 7, 40), (900, 1, 30), (9, 2, 20)]
)
def test_points_are_equally_crowded_however_many_there_are(units: int, epochs: int, length: float) -> None:
    at = np.repeat(np.arange(epochs, dtype=float), units)
    points = Points(
        np.zeros((len(at), 1)), np.tile(np.arange(units), epochs), at, np.zeros(len(at), dtype=int)
    )
    assert units_of_length(points) == pytest.approx(length)


@pytest.mark.parametrize(
    ("units", "epochs", "count"), [(1, 1, 1), (2, 1, 1), (1, 3, 1), (3, 2, 2), (1, 5, 4), (2, 1, 9)]
)
def test_few_points_have_places(units: int, epochs: int, count: int) -> None:
    anchors = families()[:count]
    found = Umap().fit(training(anchors, units, epochs, still=0), anchors, np.empty((0, 24)), seed=0)
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
    found = Umap().fit(same, anchors, np.empty((0, 24)), seed=0)
    assert np.isfinite(found.points).all()
    assert np.linalg.norm(found.points - found.anchors[0], axis=1).max() < 0.2
