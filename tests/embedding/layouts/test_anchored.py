"""The map from vectors to places, never coordinates, which differ between processors: distances and movement."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmon.embedding.layouts.anchored import MAX_OTHERS, Anchored, absolute_temperature, fit_map
from cmon.embedding.layouts.base import Fitted, Points
from cmon.embedding.layouts.landmarks import place_anchors, place_other_concepts
from cmon.rank_correlation import spearman
from tests.support.directions import apart, directions, families, in_a_cone, rms, training, unit


@pytest.fixture(scope="module")
def others() -> np.ndarray:
    return families(5, 6, seed=40)


# -- temperature ---------------------------------------------------------------------------------------


def test_the_temperature_is_in_units_of_the_mean_distance_between_landmarks(anchors: np.ndarray) -> None:
    count = len(anchors)
    distances = [1 - float(anchors[i] @ anchors[j]) for i in range(count) for j in range(count) if i != j]
    assert absolute_temperature(anchors, 0.3) == pytest.approx(0.3 * sum(distances) / len(distances))
    assert absolute_temperature(anchors[:1]) == 1
    assert 0 < absolute_temperature(np.repeat(anchors[:1], 3, axis=0)) < 1e-3


def test_vectors_that_crowd_into_a_cone_are_placed_alike(anchors: np.ndarray, others: np.ndarray) -> None:
    """The cosines become offset + (1 - offset) * cosine: the offset cancels, the factor goes to the temperature."""
    crowded = in_a_cone(anchors, 0.8)
    assert (crowded @ crowded.T).min() > 0.6
    assert absolute_temperature(crowded) == pytest.approx(0.2 * absolute_temperature(anchors), rel=1e-6)
    units = directions(30, seed=5)
    in_cone = fit_map(crowded, in_a_cone(others, 0.8), 0).place(in_a_cone(units, 0.8))
    np.testing.assert_allclose(in_cone, fit_map(anchors, others, 0).place(units), atol=1e-3)


def test_near_synonyms_do_not_blind_the_layout(anchors: np.ndarray, others: np.ndarray) -> None:
    """Every anchor twice, a little apart: the temperature stays, and distances to the nearest still follow CLIP's."""
    doubled = unit(np.vstack([anchors, anchors + 0.02 * directions(len(anchors), seed=3)]))
    assert absolute_temperature(doubled) == pytest.approx(absolute_temperature(anchors), rel=0.05)
    points = training(anchors).vectors
    mapped = fit_map(doubled, others, 0)
    plane = apart(mapped.place(points), mapped.anchors).min(axis=1)
    assert spearman(apart(points, doubled).min(axis=1), plane) > 0.8


# -- few, equal and many concepts --------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_few_anchors_are_placed_and_units_with_them(count: int) -> None:
    some = directions(count)
    places = place_anchors(some)
    assert places.shape == (count, 2)
    if count > 1:
        assert rms(places) == pytest.approx(1)
        assert len({tuple(place) for place in places.round(6)}) == count
    for others in (np.empty((0, 24)), directions(12, seed=9)):
        mapped = fit_map(some, others, 0)
        found = mapped.place(np.vstack([some, directions(20, seed=2)]))
        assert np.isfinite(found).all()
        if count > 1 or len(others):
            np.testing.assert_allclose(found[:count], mapped.anchors, atol=0.1)


def test_with_a_single_anchor_distances_are_those_of_clip() -> None:
    anchor, others = directions(1), directions(30, seed=4)
    mapped = fit_map(anchor, others, 0)
    wanted = apart(others, anchor)[:, 0]
    np.testing.assert_allclose(
        apart(mapped.place(others), mapped.anchors)[:, 0], wanted / wanted.max(), atol=0.05
    )


def test_anchors_with_the_same_vector_do_no_harm() -> None:
    twins = directions(10)
    twins[1] = twins[0]
    alike = np.repeat(directions(1), 5, axis=0)
    for anchors in (twins, alike, alike[:3]):
        mapped = fit_map(anchors, directions(6, seed=3), 0)
        found = mapped.place(np.vstack([anchors, directions(9, seed=7)]))
        assert np.isfinite(found).all()
        assert np.abs(found).max() < 10


def test_thousands_of_concepts_are_clustered() -> None:
    words = families(20, 60)
    assert len(fit_map(families(), words, 0).landmarks) == 42 + MAX_OTHERS


# -- units -------------------------------------------------------------------------------------------


def test_a_unit_lies_at_the_weighted_mean_of_the_control_points(
    anchors: np.ndarray, others: np.ndarray
) -> None:
    mapped, units = fit_map(anchors, others, 0), directions(4, seed=3)
    found = mapped.place(units)
    for k, vector in enumerate(units):
        weights = [math.exp(float(vector @ landmark) / mapped.temperature) for landmark in mapped.landmarks]
        wanted = sum(w * point for w, point in zip(weights, mapped.control_points, strict=True)) / sum(
            weights
        )
        np.testing.assert_allclose(found[k], wanted)


def test_a_unit_with_a_landmarks_vector_lies_on_it(anchors: np.ndarray, others: np.ndarray) -> None:
    mapped = fit_map(anchors, others, 0)
    np.testing.assert_allclose(mapped.place(anchors), mapped.anchors, atol=0.05)
    np.testing.assert_allclose(
        mapped.place(others), place_other_concepts(anchors, mapped.anchors, others), atol=0.05
    )


def test_still_units_do_not_move_and_new_ones_never_move_old_ones(
    anchors: np.ndarray, others: np.ndarray
) -> None:
    mapped, first = fit_map(anchors, others, 0), directions(50, seed=7)
    alone = mapped.place(first)
    with_more = mapped.place(np.vstack([first, directions(9000, seed=8), first]))
    np.testing.assert_allclose(with_more[:50], alone, atol=1e-12)
    np.testing.assert_allclose(with_more[-50:], alone, atol=1e-12)


def test_distances_to_the_nearest_anchor_and_movement_follow_those_of_clips_space(
    anchors: np.ndarray, others: np.ndarray
) -> None:
    points = training(anchors, units=150)
    mapped = fit_map(anchors, others, 0)
    found = mapped.place(points.vectors)
    clip, plane = (apart(*pair).min(axis=1) for pair in ((points.vectors, anchors), (found, mapped.anchors)))
    assert spearman(clip, plane) > 0.85
    before, after = points.steps()
    steps = [np.linalg.norm(each[before] - each[after], axis=1) for each in (points.vectors, found)]
    assert spearman(*steps) > 0.8
    assert steps[1][steps[0] == 0].max() < 1e-9
    shuffled = np.random.default_rng(0).permutation(found)
    assert abs(spearman(clip, apart(shuffled, mapped.anchors).min(axis=1))) < 0.15


@pytest.mark.parametrize("temperature", [1e-5, 0.5, 1e3])
def test_no_temperature_overflows(anchors: np.ndarray, others: np.ndarray, temperature: float) -> None:
    found = fit_map(anchors, others, 0, temperature).place(directions(50))
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 20


def test_no_units_have_no_places(anchors: np.ndarray) -> None:
    assert fit_map(anchors, np.empty((0, 24)), 0).place(np.empty((0, 24))).shape == (0, 2)


def test_the_layout_is_its_map_and_places_new_units_by_it(anchors: np.ndarray, others: np.ndarray) -> None:
    points, layout = training(anchors), Anchored(temperature=0.2)
    mapped = fit_map(anchors, others, 0, 0.2)
    whole = layout.fit(points, anchors, others, 0)
    np.testing.assert_array_equal(whole.points, mapped.place(points.vectors))
    np.testing.assert_array_equal(whole.anchors, mapped.anchors)
    new = directions(5, seed=11)
    later = Points(new, np.arange(5), np.full(5, 9.0), np.zeros(5, dtype=int))
    found = layout.place(later, Fitted(points, anchors, whole, points.epochs >= 0), others, 0)
    np.testing.assert_array_equal(found, mapped.place(new))
