"""The edges of the layout `umap`."""

from __future__ import annotations

import numpy as np

from cmon.embedding.layouts.base import Points
from cmon.embedding.layouts.fuzzy_graph import LEAST_WEIGHT, concept_graph, umap_graph, unit_graph
from tests.support.directions import directions, families, training, unit


def test_a_graph_of_umap_joins_what_was_given_as_neighbours() -> None:
    near = np.array([[0, 1], [1, 0], [2, 3], [3, 2]])
    distances = np.array([[0, 0.1], [0, 0.1], [0, 0.2], [0, 0.2]])
    graph = umap_graph(near, distances, np.random.RandomState(0)).toarray()
    assert ((graph > 0) == (unit(np.eye(4))[[1, 0, 3, 2]] > 0)).all()


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
