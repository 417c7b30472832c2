"""umap-learn's two steps, each on its own: the fuzzy graph of given neighbours, and the places of a given graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from cmon.embedding.layouts.base import Floats, Integers

NEIGHBOURS = 15
"""Of each point, itself included: umap-learn's default."""


def umap_graph(neighbours: Integers, distances: Floats, random: np.random.RandomState) -> Any:
    """UMAP's fuzzy graph, (P,P) sparse, of given neighbours: (P,k) indices and rising distances, itself first.

    Given neighbours, umap-learn need not compile its neighbour search.
    """
    from umap.umap_ import fuzzy_simplicial_set

    count, k = neighbours.shape
    graph, _, _ = fuzzy_simplicial_set(
        np.empty((count, 1), dtype=np.float32),  # only its length is used
        k,
        random,
        "precomputed",
        knn_indices=neighbours.astype(np.int32),
        knn_dists=distances.astype(np.float32),
    )
    return graph


def umap_places(
    vectors: Floats,
    graph: Any,
    start: Floats,
    random: np.random.RandomState,
    min_distance: float,
    epochs: int | None = None,
) -> Floats:
    """UMAP's places of a graph, (P,2), from a start (P,2); epochs None takes umap-learn's default."""
    from umap.umap_ import find_ab_params, simplicial_set_embedding

    a, b = find_ab_params(1.0, min_distance)
    places, _ = simplicial_set_embedding(
        vectors,
        graph,
        n_components=2,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=epochs,
        init=(10 * start / max(np.abs(start).max(), 1e-12)).astype(np.float32),
        random_state=random,
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
    )
    return places.astype(np.float64)
