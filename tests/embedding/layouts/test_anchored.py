"""Never the coordinates themselves, which differ between processors: neighbours kept, distances, and movement."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmon.embedding.layouts import anchored
from cmon.embedding.layouts.anchored import fit, heat_of, majorised, opened, place_anchors, place_others
from cmon.rank_correlation import spearman
from tests.support.directions import directions, families, in_a_cone, neighbours, rms, training, unit


@pytest.fixture(scope="module")
def anchors() -> np.ndarray:
    return families()


@pytest.fixture(scope="module")
def places(anchors: np.ndarray) -> np.ndarray:
    return place_anchors(anchors)


@pytest.fixture(scope="module")
def others() -> np.ndarray:
    return families(5, 6, seed=40)


def apart(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.array([[math.dist(point, target) for target in targets] for point in points])


# -- temperature ---------------------------------------------------------------------------------------


def test_the_heat_is_in_units_of_the_mean_distance_between_landmarks(anchors: np.ndarray) -> None:
    count = len(anchors)
    distances = [1 - float(anchors[i] @ anchors[j]) for i in range(count) for j in range(count) if i != j]
    assert heat_of(anchors, 0.3) == pytest.approx(0.3 * sum(distances) / len(distances))
    assert heat_of(anchors[:1]) == 1
    assert 0 < heat_of(np.repeat(anchors[:1], 3, axis=0)) < 1e-3


def test_vectors_that_crowd_into_a_cone_are_placed_alike(anchors: np.ndarray, others: np.ndarray) -> None:
    """The cosines become offset + (1 - offset) * cosine: the offset cancels, the factor goes to the temperature."""
    crowded = in_a_cone(anchors, 0.8)
    assert (crowded @ crowded.T).min() > 0.6
    assert heat_of(crowded) == pytest.approx(0.2 * heat_of(anchors), rel=1e-6)
    units = directions(30, seed=5)
    in_cone = fit(crowded, in_a_cone(others, 0.8), 0).at(in_a_cone(units, 0.8))
    np.testing.assert_allclose(in_cone, fit(anchors, others, 0).at(units), atol=1e-3)


def test_near_synonyms_do_not_blind_the_layout(anchors: np.ndarray, others: np.ndarray) -> None:
    """Every anchor twice, a little apart: the heat stays, and the distances to the nearest still follow CLIP's."""
    doubled = unit(np.vstack([anchors, anchors + 0.02 * directions(len(anchors), seed=3)]))
    assert heat_of(doubled) == pytest.approx(heat_of(anchors), rel=0.05)
    points = training(anchors).vectors
    chart = fit(doubled, others, 0)
    plane = apart(chart.at(points), chart.anchors).min(axis=1)
    assert spearman(apart(points, doubled).min(axis=1), plane) > 0.8


# -- anchors -------------------------------------------------------------------------------------------


def test_the_anchors_are_centred_with_a_root_mean_square_of_one(places: np.ndarray) -> None:
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-9)
    assert rms(places) == pytest.approx(1)


def test_neighbours_of_anchors_are_kept_far_better_than_by_chance(
    anchors: np.ndarray, places: np.ndarray
) -> None:
    """6 neighbours of 41: chance keeps 15 %. Families of 7 must stay together."""
    pairs = zip(neighbours(anchors, 6), neighbours(places, 6), strict=True)
    kept = np.mean([len(before & after) / 6 for before, after in pairs])
    assert kept > 0.8
    shuffled = places[np.random.default_rng(0).permutation(len(places))]
    pairs = zip(neighbours(anchors, 6), neighbours(shuffled, 6), strict=True)
    assert np.mean([len(before & after) / 6 for before, after in pairs]) < 0.3


def test_a_round_of_majorisation_is_the_guttman_transform() -> None:
    random = np.random.default_rng(0)
    wanted, start = np.abs(random.normal(size=(6, 6))) + 0.5, random.normal(size=(6, 2))
    wanted = wanted + wanted.T
    np.fill_diagonal(wanted, 0)
    size = np.linalg.norm(wanted) / (math.sqrt(12) * np.linalg.norm(start))
    here = start * size
    literal = np.zeros((6, 2))
    for i in range(6):
        for j in range(6):
            if i != j:
                pull = wanted[i, j] / math.dist(here[i], here[j])
                literal[i] += pull * (here[i] - here[j]) / 6
    np.testing.assert_allclose(majorised(wanted, start, rounds=1), literal)


def test_majorisation_finds_a_plane_where_there_is_one_and_never_raises_the_stress() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(15, 2))
    wanted = apart(truth, truth)
    found = majorised(wanted, truth + random.normal(scale=0.4, size=truth.shape), rounds=3000, enough=1e-12)
    np.testing.assert_allclose(apart(found, found), wanted, atol=1e-3)
    vectors = directions(20)
    wanted = 1 - vectors @ vectors.T
    start = vectors[:, :2]
    stresses = [
        ((apart(x, x) - wanted) ** 2).sum() for x in (majorised(wanted, start, n, 0) for n in range(1, 8))
    ]
    assert (np.diff(stresses) <= 1e-9).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_few_anchors_are_placed_and_units_with_them(count: int) -> None:
    some = directions(count)
    places = place_anchors(some)
    assert places.shape == (count, 2)
    if count > 1:
        assert rms(places) == pytest.approx(1)
        assert len({tuple(place) for place in places.round(6)}) == count
    for others in (np.empty((0, 24)), directions(12, seed=9)):
        chart = fit(some, others, 0)
        found = chart.at(np.vstack([some, directions(20, seed=2)]))
        assert np.isfinite(found).all()
        if count > 1 or len(others):
            np.testing.assert_allclose(found[:count], chart.anchors, atol=0.1)


def test_with_a_single_anchor_distances_are_those_of_clip() -> None:
    anchor, others = directions(1), directions(30, seed=4)
    chart = fit(anchor, others, 0)
    wanted = apart(others, anchor)[:, 0]
    np.testing.assert_allclose(apart(chart.at(others), chart.anchors)[:, 0], wanted / wanted.max(), atol=0.05)


def test_three_anchors_keep_their_distances() -> None:
    """Three points span a plane: principal components lose nothing but the scale."""
    anchors = directions(3)
    places = place_anchors(anchors)
    ratios = [
        math.dist(places[i], places[j]) / math.dist(anchors[i], anchors[j])
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)


def test_anchors_with_the_same_vector_do_no_harm() -> None:
    twins = directions(10)
    twins[1] = twins[0]
    alike = np.repeat(directions(1), 5, axis=0)
    for anchors in (twins, alike, alike[:3]):
        chart = fit(anchors, directions(6, seed=3), 0)
        found = chart.at(np.vstack([anchors, directions(9, seed=7)]))
        assert np.isfinite(found).all()
        assert np.abs(found).max() < 10


def test_the_middle_is_free_for_units_that_are_near_no_anchor() -> None:
    """Against the same places without the hole: a unit in the middle is far from every one of them."""
    places = np.random.default_rng(0).normal(size=(60, 2))
    plain, found = anchored.scaled(places), opened(places)
    angle, before = (np.arctan2(each[:, 1], each[:, 0]) for each in (found, plain))
    assert np.abs(np.angle(np.exp(1j * (angle - before)))).max() < 0.2  # moved outwards, not around
    nearest = [np.linalg.norm(each, axis=1).min() for each in (plain, found)]
    assert nearest[0] < 0.2
    assert nearest[1] > 0.5
    assert (found**2).sum(axis=1).mean() == pytest.approx(1.0)


def test_opening_moves_far_anchors_less_than_near_ones() -> None:
    places = np.array([[1.0, 0], [-1.0, 0], [0, 3.0], [0, -3.0]])
    radius = np.linalg.norm(opened(places, hole=1.0), axis=1)
    scale = np.linalg.norm(anchored.scaled(places), axis=1) ** 2 + 1
    np.testing.assert_allclose(radius / radius[0], np.sqrt(scale / scale[0]))


# -- other concepts ------------------------------------------------------------------------------------


def test_other_concepts_are_as_far_from_the_nearest_anchor_as_in_clips_space(
    anchors: np.ndarray, places: np.ndarray, others: np.ndarray
) -> None:
    found = place_others(anchors, places, others)
    clip = apart(others, anchors).min(axis=1)
    plane = apart(found, places).min(axis=1)
    np.testing.assert_allclose(plane / plane.max(), clip / clip.max(), atol=0.01)
    farthest = clip.argmax()
    np.testing.assert_allclose(found[farthest], 0, atol=0.02)


def test_a_concept_like_an_anchor_lies_near_it(anchors: np.ndarray, places: np.ndarray) -> None:
    puppy = unit(anchors[[20]] + 0.2 * directions(1, seed=8))
    stranger = directions(1, seed=9)
    found = place_others(anchors, places, np.vstack([puppy, stranger]))
    family = places[14:21]
    assert apart(found[:1], family).min() < 0.3 < apart(found[1:], places).min()


def test_thousands_of_concepts_become_groups() -> None:
    words = np.vstack([families(20, 60, seed=seed) for seed in range(1)])
    found = anchored.grouped(words, 20, seed=0)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    assert (words @ found.T).max(axis=1).min() > 0.5
    assert len(fit(families(), words, 0).landmarks) == 42 + anchored.LANDMARKS
    np.testing.assert_array_equal(anchored.grouped(words, 20, seed=0), found)


# -- units ---------------------------------------------------------------------------------------------


def test_a_unit_lies_at_the_weighted_mean_of_the_pulls(anchors: np.ndarray, others: np.ndarray) -> None:
    chart, units = fit(anchors, others, 0), directions(4, seed=3)
    found = chart.at(units)
    for k, vector in enumerate(units):
        weights = [math.exp(float(vector @ landmark) / chart.heat) for landmark in chart.landmarks]
        wanted = sum(w * pull for w, pull in zip(weights, chart.pulls, strict=True)) / sum(weights)
        np.testing.assert_allclose(found[k], wanted)


def test_a_unit_with_a_landmarks_vector_lies_on_it(anchors: np.ndarray, others: np.ndarray) -> None:
    chart = fit(anchors, others, 0)
    np.testing.assert_allclose(chart.at(anchors), chart.anchors, atol=0.05)
    np.testing.assert_allclose(chart.at(others), place_others(anchors, chart.anchors, others), atol=0.05)


def test_still_units_do_not_move_and_new_ones_never_move_old_ones(
    anchors: np.ndarray, others: np.ndarray
) -> None:
    chart, first = fit(anchors, others, 0), directions(50, seed=7)
    alone = chart.at(first)
    with_more = chart.at(np.vstack([first, directions(9000, seed=8), first]))
    np.testing.assert_allclose(with_more[:50], alone, atol=1e-12)
    np.testing.assert_allclose(with_more[-50:], alone, atol=1e-12)


def test_distances_to_the_nearest_anchor_and_movement_follow_those_of_clips_space(
    anchors: np.ndarray, others: np.ndarray
) -> None:
    points = training(anchors, units=150)
    chart = fit(anchors, others, 0)
    found = chart.at(points.vectors)
    clip, plane = (apart(*pair).min(axis=1) for pair in ((points.vectors, anchors), (found, chart.anchors)))
    assert spearman(clip, plane) > 0.85
    before, after = points.steps()
    steps = [np.linalg.norm(each[before] - each[after], axis=1) for each in (points.vectors, found)]
    assert spearman(*steps) > 0.8
    assert steps[1][steps[0] == 0].max() < 1e-9
    shuffled = np.random.default_rng(0).permutation(found)
    assert abs(spearman(clip, apart(shuffled, chart.anchors).min(axis=1))) < 0.15


@pytest.mark.parametrize("temperature", [1e-5, 0.5, 1e3])
def test_no_temperature_overflows(anchors: np.ndarray, others: np.ndarray, temperature: float) -> None:
    found = fit(anchors, others, 0, temperature).at(directions(50))
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 20


def test_no_units_have_no_places(anchors: np.ndarray) -> None:
    assert fit(anchors, np.empty((0, 24)), 0).at(np.empty((0, 24))).shape == (0, 2)
