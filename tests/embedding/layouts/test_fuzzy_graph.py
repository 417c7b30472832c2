"""The edges of the layout `umap`."""

from __future__ import annotations

import numpy as np
from umap.umap_ import compute_membership_strengths, smooth_knn_dist

from cmon.embedding.layouts.base import Points
from cmon.embedding.layouts.fuzzy_graph import (
    LEAST_WEIGHT,
    concept_graph,
    membership_strengths,
    umap_graph,
    unit_graph,
)
from tests.support.directions import directions, families, training


def umap_learns(distances: np.ndarray, k: int) -> np.ndarray:
    """umap-learn's own functions, uncompiled."""
    given = distances.astype(np.float32)
    sigmas, rhos = smooth_knn_dist.py_func(given, float(k))
    near = 1 + np.arange(len(given))[:, None] + np.arange(k)[None]  # none of them itself
    _, _, strengths, _ = compute_membership_strengths.py_func(near, given, sigmas, rhos)
    return strengths.reshape(-1, k)


def test_strengths_are_those_of_umap_learn() -> None:
    """Of far and near neighbours, of copies of the point, and of a point with nothing but copies."""
    random = np.random.default_rng(0)
    distances = np.sort(random.uniform(0, 1, size=(30, 9)), axis=1) * 10.0 ** random.integers(
        -4, 2, size=(30, 1)
    )
    distances[:, 0] = 0
    distances[3, :4] = 0
    distances[4] = 0
    distances[5, 1:] = 0.7
    found = membership_strengths(distances)
    np.testing.assert_allclose(found, umap_learns(distances, 9), atol=2e-5)
    np.testing.assert_allclose(found[6:, 1:].sum(axis=1), np.log2(9), atol=1e-4)


def test_a_graph_of_umap_joins_what_was_given_as_neighbours_one_way_or_the_other() -> None:
    near = np.array([[0, 1, 2], [1, 0, 2], [2, 3, 1], [3, 2, 1]])
    distances = np.array([[0, 0.1, 0.4], [0, 0.1, 0.3], [0, 0.2, 0.3], [0, 0.2, 0.9]])
    strengths, wanted = membership_strengths(distances), np.zeros((4, 4))
    for row in range(4):
        wanted[row, near[row, 1:]] = strengths[row, 1:]
    wanted = wanted + wanted.T - wanted * wanted.T
    np.testing.assert_allclose(umap_graph(near, distances).toarray(), wanted, rtol=1e-6)
    assert wanted[0, 3] == 0 < wanted[3, 1]


def test_edges_join_points_of_an_epoch_and_each_unit_with_its_next_epoch() -> None:
    points = training(families(), units=40)
    found = unit_graph(points, np.arange(160), 0)
    graph = found.weights.toarray()
    np.testing.assert_array_equal(graph, graph.T)
    assert graph.max() <= 1
    same_epoch = points.epochs[:, None] == points.epochs
    following = (points.units[:, None] == points.units) & (
        np.abs(points.epochs[:, None] - points.epochs) == 1
    )
    assert not graph[~same_epoch & ~following].any()
    length = np.linalg.norm(points.vectors[:, None] - points.vectors, axis=2)
    np.testing.assert_allclose(graph[following], np.exp(-length[following] / found.length), rtol=1e-4)
    own = length[:40, :40]
    assert ((graph[:40, :40] > 0).sum(axis=1) >= 14).all()
    joined = graph[:40, :40] > 0
    assert own[joined].mean() < own[~joined & ~np.eye(40, dtype=bool)].mean()


def test_a_part_of_the_rows_is_that_part_of_the_whole() -> None:
    points, rows = training(families(), units=40), np.array([3, 50, 51, 159])
    whole, part = unit_graph(points, np.arange(160), 0), unit_graph(points, rows, 0)
    found, wanted = part.weights.toarray(), whole.weights.toarray()[rows]
    same_epoch = points.epochs[rows][:, None] == points.epochs
    np.testing.assert_allclose(found[same_epoch], wanted[same_epoch])
    assert ((found > 0) == (wanted > 0)).all()


def test_two_points_have_no_neighbourhood_and_one_has_no_edge() -> None:
    two = Points(directions(2), np.array([0, 0]), np.array([0.0, 1.0]), np.zeros(2, dtype=int))
    assert (unit_graph(two, np.arange(2), 0).weights.toarray() > 0).tolist() == [[False, True], [True, False]]
    assert unit_graph(two.subset(np.array([0])), np.arange(1), 0).weights.nnz == 0


def test_edges_to_concepts_are_the_softmax_of_cosines_without_the_light_ones() -> None:
    vectors, landmarks = directions(5), directions(8, seed=2)
    found = concept_graph(vectors, landmarks, 0.1).toarray()
    for row, vector in zip(found, vectors, strict=True):
        weights = np.exp([float(vector @ landmark) / 0.1 for landmark in landmarks])
        wanted = weights / weights.sum()
        np.testing.assert_allclose(row, np.where(wanted < LEAST_WEIGHT, 0, wanted), rtol=1e-5)
    assert concept_graph(vectors[:0], landmarks, 0.1).shape == (0, 8)
