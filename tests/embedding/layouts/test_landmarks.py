"""Where anchors and other concepts lie: never the coordinates themselves, which differ between processors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmon.embedding.layouts.base import normalise_anchors
from cmon.embedding.layouts.landmarks import (
    clear_middle,
    cluster_directions,
    place_anchors,
    place_other_concepts,
    smacof,
)
from tests.support.directions import apart, directions, families, neighbours, rms, unit


@pytest.fixture(scope="module")
def places(anchors: np.ndarray) -> np.ndarray:
    return place_anchors(anchors)


@pytest.fixture(scope="module")
def others() -> np.ndarray:
    return families(5, 6, seed=40)


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
    np.testing.assert_allclose(smacof(wanted, start, max_rounds=1), literal)


def test_majorisation_finds_a_plane_where_there_is_one_and_never_raises_the_stress() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(15, 2))
    wanted = apart(truth, truth)
    found = smacof(
        wanted, truth + random.normal(scale=0.4, size=truth.shape), max_rounds=3000, tolerance=1e-12
    )
    np.testing.assert_allclose(apart(found, found), wanted, atol=1e-3)
    vectors = directions(20)
    wanted = 1 - vectors @ vectors.T
    start = vectors[:, :2]
    stresses = [
        ((apart(x, x) - wanted) ** 2).sum() for x in (smacof(wanted, start, n, 0) for n in range(1, 8))
    ]
    assert (np.diff(stresses) <= 1e-9).all()


def test_three_anchors_keep_their_distances() -> None:
    """Three points span a plane: principal components lose nothing but the scale."""
    anchors = directions(3)
    places = place_anchors(anchors)
    ratios = [
        math.dist(places[i], places[j]) / math.dist(anchors[i], anchors[j])
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)


def test_the_middle_is_free_for_units_that_are_near_no_anchor() -> None:
    """Against the same places with anchors in the middle: a unit in the middle is far from every one of them."""
    places = np.random.default_rng(0).normal(size=(60, 2))
    plain, found = normalise_anchors(places), clear_middle(places)
    angle, before = (np.arctan2(each[:, 1], each[:, 0]) for each in (found, plain))
    assert np.abs(np.angle(np.exp(1j * (angle - before)))).max() < 0.2  # moved outwards, not around
    nearest = [np.linalg.norm(each, axis=1).min() for each in (plain, found)]
    assert nearest[0] < 0.2
    assert nearest[1] > 0.5
    assert (found**2).sum(axis=1).mean() == pytest.approx(1.0)


def test_clearing_the_middle_moves_far_anchors_less_than_near_ones() -> None:
    places = np.array([[1.0, 0], [-1.0, 0], [0, 3.0], [0, -3.0]])
    radius = np.linalg.norm(clear_middle(places, radius=1.0), axis=1)
    scale = np.linalg.norm(normalise_anchors(places), axis=1) ** 2 + 1
    np.testing.assert_allclose(radius / radius[0], np.sqrt(scale / scale[0]))


# -- other concepts ------------------------------------------------------------------------------------


def test_other_concepts_are_as_far_from_the_nearest_anchor_as_in_clips_space(
    anchors: np.ndarray, places: np.ndarray, others: np.ndarray
) -> None:
    found = place_other_concepts(anchors, places, others)
    clip = apart(others, anchors).min(axis=1)
    plane = apart(found, places).min(axis=1)
    np.testing.assert_allclose(plane / plane.max(), clip / clip.max(), atol=0.01)
    farthest = clip.argmax()
    np.testing.assert_allclose(found[farthest], 0, atol=0.02)


def test_a_concept_like_an_anchor_lies_near_it(anchors: np.ndarray, places: np.ndarray) -> None:
    puppy = unit(anchors[[20]] + 0.2 * directions(1, seed=8))
    stranger = directions(1, seed=9)
    found = place_other_concepts(anchors, places, np.vstack([puppy, stranger]))
    family = places[14:21]
    assert apart(found[:1], family).min() < 0.3 < apart(found[1:], places).min()


def test_clusters_have_directions_near_their_words() -> None:
    words = families(20, 60)
    found = cluster_directions(words, 20, seed=0)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    assert (words @ found.T).max(axis=1).min() > 0.5
    np.testing.assert_array_equal(cluster_directions(words, 20, seed=0), found)
