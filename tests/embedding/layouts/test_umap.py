"""The graph that umap-learn makes of given neighbours."""

from __future__ import annotations

import numpy as np

from cmon.embedding.layouts.umap import umap_graph
from tests.support.directions import unit


def test_a_graph_of_umap_joins_what_was_given_as_neighbours() -> None:
    near = np.array([[0, 1], [1, 0], [2, 3], [3, 2]])
    distances = np.array([[0, 0.1], [0, 0.1], [0, 0.2], [0, 0.2]])
    graph = umap_graph(near, distances, np.random.RandomState(0)).toarray()
    assert ((graph > 0) == (unit(np.eye(4))[[1, 0, 3, 2]] > 0)).all()
