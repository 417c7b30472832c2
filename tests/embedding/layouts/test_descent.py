"""umap-learn's descent: who moves, where to, and how often an edge is used."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from cmon.embedding.layouts.descent import PASSES, Slice, descend


def test_only_the_moving_points_move_and_towards_what_pulls_them() -> None:
    """Points 0 and 1 move, 2 pushes, 3 only pulls, 4 has no part."""
    places = np.array([[0.0, 0.0], [8.0, 0.0], [-1.0, 0.0], [0.0, 9.0], [50.0, 50.0]])
    graph = csr_matrix(np.array([[0, 0, 0, 1, 0], [0, 0, 0, 0.5, 0]], dtype=np.float32))
    before, random = places.copy(), np.random.RandomState(0)
    part = Slice.of(graph, np.array([0, 1]), np.array([2]), random)
    for number in range(5):
        descend(places, part, number, 1.0, random)
    np.testing.assert_array_equal(places[2:], before[2:])
    near, far = np.linalg.norm(places[:2] - places[3], axis=1), np.linalg.norm(before[:2] - before[3], axis=1)
    assert (near < 0.95 * far).all()


def test_edges_are_used_in_proportion_to_their_weight_even_the_light_ones() -> None:
    weights = np.array([[0, 1.0, 0.25, 0.013, 0.3]], dtype=np.float32)
    part = Slice.of(csr_matrix(weights), np.array([0]), np.array([], dtype=int), np.random.RandomState(0))
    uses = np.sum([part.uses(number) for number in range(40)], axis=0)
    np.testing.assert_allclose(uses, 40 * PASSES * part.weights, atol=1.001)
    assert uses.min() > 0


def test_without_an_edge_nothing_moves() -> None:
    places = np.zeros((2, 2))
    part = Slice.of(csr_matrix((1, 2)), np.array([0]), np.array([1]), np.random.RandomState(0))
    descend(places, part, 0, 1.0, np.random.RandomState(0))
    np.testing.assert_array_equal(places, 0)
