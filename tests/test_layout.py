"""Never the coordinates themselves, which differ between processors: neighbours kept, and movement."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon import layout
from cmon.layout import place_anchors, place_units, scaled, temperature, unit_vectors


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def directions(count: int, width: int = 24, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, width)))


def families(families: int = 6, members: int = 7) -> np.ndarray:
    """Anchors in families, as colours, animals and vehicles are: near within, far between."""
    random = np.random.default_rng(0)
    centres = directions(families, seed=1)
    return unit(np.repeat(centres, members, axis=0) + 0.15 * random.normal(size=(families * members, 24)))


def neighbours(points: np.ndarray, count: int) -> list[set[int]]:
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(squares, np.inf)
    return [set(row[:count]) for row in squares.argsort(axis=1)]


def rms(points: np.ndarray) -> float:
    return math.sqrt(((points - points.mean(0)) ** 2).sum(1).mean())


@pytest.fixture(scope="module")
def anchors() -> np.ndarray:
    return families()


@pytest.fixture(scope="module")
def places(anchors: np.ndarray) -> np.ndarray:
    return place_anchors(anchors, seed=0)


# -- unit vectors --------------------------------------------------------------------------------------


def test_a_units_vector_is_the_softmax_weighted_sum_of_its_concepts() -> None:
    random = np.random.default_rng(0)
    scores, concepts = random.normal(0, 3, (5, 4)), directions(20).reshape(5, 4, 24)
    found = unit_vectors(scores, concepts)
    for k in range(5):
        weights = [math.exp(score) / sum(math.exp(other) for other in scores[k]) for score in scores[k]]
        summed = sum(weight * vector for weight, vector in zip(weights, concepts[k], strict=True))
        np.testing.assert_allclose(found[k], summed / np.linalg.norm(summed))


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=10))
def test_any_scores_give_a_vector_of_unit_length(scores: list[float]) -> None:
    concepts = np.abs(directions(len(scores)))[None]
    found = unit_vectors(np.array([scores]), concepts)
    assert np.linalg.norm(found) == pytest.approx(1)
    shifted = unit_vectors(np.array([scores]) + 5000, concepts)
    np.testing.assert_allclose(shifted, found, atol=1e-6)


# -- temperature ---------------------------------------------------------------------------------------


def mean_perplexity(cosines: np.ndarray, heat: float) -> float:
    every = []
    for row in cosines:
        weights = [math.exp((cosine - max(row)) / heat) for cosine in row]
        shares = [weight / sum(weights) for weight in weights]
        every.append(math.exp(-sum(share * math.log(share) for share in shares if share > 0)))
    return sum(every) / len(every)


@pytest.mark.parametrize("perplexity", [1.5, 2.0, 5.0])
def test_the_temperature_reaches_the_perplexity(anchors: np.ndarray, perplexity: float) -> None:
    heat = temperature(anchors, perplexity)
    assert mean_perplexity(anchors @ anchors.T, heat) == pytest.approx(perplexity, rel=1e-3)


def in_a_cone(vectors: np.ndarray, cosine: float) -> np.ndarray:
    """Unit vectors that share a direction, so that orthogonal ones have the given cosine, as a large CLIP's."""
    shared = np.full((len(vectors), 1), math.sqrt(cosine))
    return np.hstack([vectors * math.sqrt(1 - cosine), shared])


def test_vectors_that_crowd_into_a_cone_have_the_same_weights(anchors: np.ndarray) -> None:
    """The cosines become offset + (1 - offset) * cosine: the offset cancels, the factor goes to the temperature."""
    crowded = in_a_cone(anchors, 0.8)
    assert (crowded @ crowded.T).min() > 0.6
    assert temperature(crowded) == pytest.approx(0.2 * temperature(anchors), rel=1e-6)
    units, places = directions(30, seed=5), np.random.default_rng(0).normal(size=(len(anchors), 2))
    np.testing.assert_allclose(
        place_units(in_a_cone(units, 0.8), crowded, places, temperature(crowded)),
        place_units(units, anchors, places, temperature(anchors)),
        atol=1e-6,
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_anchors_have_a_temperature(count: int) -> None:
    heat = temperature(directions(count))
    assert 0 < heat <= 100
    if count > 1:
        wanted = 0.5 * (1 + count) if count == 2 else 2.0
        cosines = directions(count) @ directions(count).T
        assert mean_perplexity(cosines, heat) == pytest.approx(wanted, rel=1e-3)


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


def test_the_same_seed_places_anchors_the_same(anchors: np.ndarray, places: np.ndarray) -> None:
    np.testing.assert_array_equal(place_anchors(anchors, seed=0), places)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_few_anchors_are_placed(count: int) -> None:
    places = place_anchors(directions(count), seed=0)
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    if count > 1:
        assert rms(places) == pytest.approx(1)
        assert len({tuple(place) for place in places.round(6)}) == count


def test_three_anchors_keep_their_distances() -> None:
    """Three points span a plane: principal components lose nothing but the scale."""
    anchors = directions(3)
    places = place_anchors(anchors, seed=0)
    ratios = [
        math.dist(places[i], places[j]) / math.dist(anchors[i], anchors[j])
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)


def test_anchors_with_the_same_vector_do_no_harm() -> None:
    twins = directions(10)
    twins[1] = twins[0]
    assert np.isfinite(place_anchors(twins, seed=0)).all()
    alike = np.repeat(directions(1), 5, axis=0)
    assert np.isfinite(place_anchors(alike, seed=0)).all()
    assert np.isfinite(place_anchors(alike[:3], seed=0)).all()
    assert 0 < temperature(alike) <= 100


def test_scaling_centres_and_keeps_the_shape() -> None:
    points = np.random.default_rng(0).normal(5, 3, (20, 2))
    found = scaled(points)
    assert rms(found) == pytest.approx(1)
    np.testing.assert_allclose(found * rms(points) + points.mean(0), points)
    np.testing.assert_array_equal(scaled(np.array([[3.0, 4.0]])), [[0.0, 0.0]])


# -- units ---------------------------------------------------------------------------------------------


def test_a_unit_lies_at_the_weighted_mean_of_the_anchors() -> None:
    anchors, units = directions(7), directions(4, seed=3)
    places = np.random.default_rng(0).normal(size=(7, 2))
    found = place_units(units, anchors, places, 0.1)
    for k, vector in enumerate(units):
        weights = [math.exp(float(vector @ anchor) / 0.1) for anchor in anchors]
        wanted = sum(weight * place for weight, place in zip(weights, places, strict=True)) / sum(weights)
        np.testing.assert_allclose(found[k], wanted)


def test_a_unit_on_an_anchor_lies_near_it_and_a_stranger_does_not(
    anchors: np.ndarray, places: np.ndarray
) -> None:
    """Near its anchor, or in its anchor's family; a unit that resembles none lies in the middle, far from all."""
    heat = temperature(anchors)
    own = np.linalg.norm(place_units(anchors, anchors, places, heat) - places, axis=1)
    chance = np.linalg.norm(places[:, None] - places[None], axis=2).mean()
    assert own.mean() < 0.25 * chance
    nobody = unit(np.full((1, 24), 1.0) - anchors.mean(axis=0))
    lost = np.linalg.norm(place_units(nobody, anchors, places, heat) - places, axis=1).min()
    assert lost > 2 * own.mean()


def test_still_units_do_not_move_and_new_ones_never_move_old_ones(
    anchors: np.ndarray, places: np.ndarray
) -> None:
    heat = temperature(anchors)
    first = directions(50, seed=7)
    alone = place_units(first, anchors, places, heat)
    with_more = place_units(np.vstack([first, directions(9000, seed=8), first]), anchors, places, heat)
    np.testing.assert_allclose(with_more[:50], alone, atol=1e-12)
    np.testing.assert_allclose(with_more[-50:], alone, atol=1e-12)


def test_distances_to_anchors_follow_those_of_the_vectors(anchors: np.ndarray, places: np.ndarray) -> None:
    """Units on their way from the centroid to an anchor come nearer to it in the plane, step by step."""
    heat = temperature(anchors)
    middle = anchors.mean(axis=0)
    for anchor in range(0, len(anchors), 5):
        path = unit(np.stack([(1 - t) * middle + t * anchors[anchor] for t in np.linspace(0, 1, 8)]))
        family = places[7 * (anchor // 7) : 7 * (anchor // 7) + 7].mean(axis=0)
        distances = np.linalg.norm(place_units(path, anchors, places, heat) - family, axis=1)
        assert distances[-1] < 0.5 * distances[0]
        assert (np.diff(distances) < 0.05).all()


def test_units_stay_within_the_anchors(anchors: np.ndarray, places: np.ndarray) -> None:
    found = place_units(directions(200, seed=9), anchors, places, temperature(anchors))
    assert (found >= places.min(axis=0) - 1e-9).all()
    assert (found <= places.max(axis=0) + 1e-9).all()


@pytest.mark.parametrize("heat", [1e-4, 1e2])
def test_no_temperature_overflows(anchors: np.ndarray, places: np.ndarray, heat: float) -> None:
    found = place_units(directions(5), anchors, places, heat)
    assert np.isfinite(found).all()
    if heat < 1:
        nearest = (directions(5) @ anchors.T).argmax(axis=1)
        np.testing.assert_allclose(found, places[nearest], atol=1e-3)
    else:
        np.testing.assert_allclose(found, 0, atol=0.05)


def test_no_units_have_no_places() -> None:
    assert place_units(np.empty((0, 24)), directions(3), np.zeros((3, 2)), 1.0).shape == (0, 2)
    assert layout.PERPLEXITY > 1


def test_the_middle_is_free_for_units_that_are_near_no_anchor() -> None:
    """Against the same places without the hole: the unit alike to all anchors is far from every one of them."""
    places = np.random.default_rng(0).normal(size=(60, 2))
    plain, opened = layout.scaled(places), layout.opened(places)
    angle, before = (np.arctan2(each[:, 1], each[:, 0]) for each in (opened, plain))
    assert np.abs(np.angle(np.exp(1j * (angle - before)))).max() < 0.2  # moved outwards, not around
    nearest = [np.linalg.norm(each, axis=1).min() for each in (plain, opened)]
    assert nearest[0] < 0.2
    assert nearest[1] > 0.5
    assert (opened**2).sum(axis=1).mean() == pytest.approx(1.0)


def test_opening_moves_far_anchors_less_than_near_ones() -> None:
    places = np.array([[1.0, 0], [-1.0, 0], [0, 3.0], [0, -3.0]])
    radius = np.linalg.norm(layout.opened(places, hole=1.0), axis=1)
    scale = np.linalg.norm(layout.scaled(places), axis=1) ** 2 + 1
    np.testing.assert_allclose(radius / radius[0], np.sqrt(scale / scale[0]))
