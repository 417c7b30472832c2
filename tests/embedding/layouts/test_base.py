"""What all layouts share, and the principal plane."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.embedding.layouts import base as layout
from cmon.embedding.layouts.base import framed, scaled, unit_vectors
from tests.support.directions import directions, families, rms, some, training, unit


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


def test_scaling_centres_and_keeps_the_shape() -> None:
    points = np.random.default_rng(0).normal(5, 3, (20, 2))
    found = scaled(points)
    assert rms(found) == pytest.approx(1)
    np.testing.assert_allclose(found * rms(points) + points.mean(0), points)
    np.testing.assert_array_equal(scaled(np.array([[3.0, 4.0]])), [[0.0, 0.0]])


def test_the_anchors_are_the_frame_and_without_a_radius_the_points_are() -> None:
    random = np.random.default_rng(0)
    points, anchors = random.normal(size=(30, 2)), random.normal(3, 2, size=(7, 2))
    found = framed(points, anchors)
    assert rms(found.anchors) == pytest.approx(1)
    np.testing.assert_allclose(found.anchors.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(found.points, (points - anchors.mean(0)) / rms(anchors))
    one = framed(points, anchors[:1])
    np.testing.assert_array_equal(one.anchors, [[0, 0]])
    assert math.sqrt((one.points**2).sum(axis=1).mean()) == pytest.approx(1)
    assert np.isfinite(framed(np.ones((3, 2)), np.ones((2, 2))).points).all()


def test_steps_join_a_unit_with_itself_at_the_next_epoch_at_which_it_is() -> None:
    points = layout.Points(np.zeros((6, 1)), np.array([1, 0, 1, 0, 1, 2]), np.array([0.5, 2, 3, 0, 1, 0]))
    before, after = points.steps()
    assert sorted(zip(before.tolist(), after.tolist(), strict=True)) == [(0, 4), (3, 1), (4, 2)]


# -- pca -----------------------------------------------------------------------------------------------


def test_the_principal_plane_keeps_more_variance_than_any_other() -> None:
    vectors = directions(50, 6) * np.array([5, 3, 1, 1, 1, 1])
    plane = layout.Principal.of(vectors)
    np.testing.assert_allclose(plane.axes.T @ plane.axes, np.eye(2), atol=1e-12)
    kept = plane.at(vectors).var(axis=0).sum()
    for seed in range(20):
        other, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 2)))
        assert (vectors @ other).var(axis=0).sum() < kept
    values = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)
    np.testing.assert_allclose(kept * 50, (values[:2] ** 2).sum())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_points_that_span_no_plane_have_places(count: int) -> None:
    vectors = directions(count)
    found = layout.Principal.of(vectors).at(vectors)
    assert found.shape == (count, 2)
    for i in range(count):
        for j in range(i):
            assert math.dist(found[i], found[j]) == pytest.approx(math.dist(vectors[i], vectors[j]))


def test_pca_is_a_function_of_the_vector_and_fitted_by_the_fitted_alone() -> None:
    anchors = families()
    points = training(anchors)
    everything = np.ones(len(points.units), dtype=bool)
    whole = layout.pca(points, anchors, everything)
    assert rms(whole.anchors) == pytest.approx(1)
    old = points.epochs < 3
    part = layout.pca(some(points, old), anchors, everything[old])
    later = layout.pca(points, anchors, old)
    np.testing.assert_allclose(later.points[old], part.points, atol=1e-9)
    np.testing.assert_allclose(later.anchors, part.anchors, atol=1e-9)
    still = points.units < 15
    np.testing.assert_allclose(later.points[still & ~old], part.points[:15], atol=1e-9)
    assert np.abs(whole.points[old] - part.points).max() > 1e-3


def test_a_graph_of_umap_joins_what_was_given_as_neighbours() -> None:
    near = np.array([[0, 1], [1, 0], [2, 3], [3, 2]])
    distances = np.array([[0, 0.1], [0, 0.1], [0, 0.2], [0, 0.2]])
    graph = layout.umap_graph(near, distances, np.random.RandomState(0)).toarray()
    assert ((graph > 0) == (unit(np.eye(4))[[1, 0, 3, 2]] > 0)).all()
