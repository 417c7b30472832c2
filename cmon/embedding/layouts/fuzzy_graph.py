"""What the layout `umap` is made from: edges between units, of units with themselves over time, and to concepts.

An edge leads from the point that it pulls to the one that it is pulled to, so a pair that pulls both ways is two edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cmon.embedding.layouts.base import Floats, Integers, Points, softmax
from cmon.embedding.layouts.neighbours import nearest_other_units

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NEIGHBOURS = 15
"""Of each point, itself included: umap-learn's default."""
LEAST_WEIGHT = 0.01
"""Edges to concepts that weigh less are left out."""


@dataclass(frozen=True)
class UnitGraph:
    """Edges of some points to all."""

    weights: csr_matrix
    """(R,P), 0 to 1: a row holds the edges that pull its point."""
    length: float
    """The mean distance between neighbours, in CLIP's space."""


def unit_graph(points: Points, rows: Integers, seed: int) -> UnitGraph:
    """The edges that pull the points of the given rows (R,), which rise.

    Neighbours are those of the same epoch, as UMAP's fuzzy graph weighs them: other epochs are neither neighbours nor,
    in `descent`, what a point is pushed off from. Steps join a unit to itself at the epochs before and after, with
    weight exp(-step / length): one as long as the distance between neighbours counts 1/e.
    """
    from scipy.sparse import coo_matrix

    count = len(points.vectors)
    random = np.random.RandomState(seed)
    ends, weights, distances = [], [], []
    for epoch in np.unique(points.epochs[rows]):
        own = np.flatnonzero(points.epochs == epoch)
        if len(own) < 3:  # no neighbourhood
            continue
        near, apart = nearest_other_units(points.vectors[own], own, NEIGHBOURS - 1, seed)
        graph = umap_graph(near, apart, random).tocoo()
        ends.append(np.stack([own[graph.row], own[graph.col]]))
        weights.append(graph.data)
        distances.append(apart[:, 1:].ravel())
    length = float(np.sqrt(2 * np.concatenate(distances)).mean()) if distances else 1.0
    length = max(length, 1e-9)

    before, after = points.steps()
    step = np.exp(-np.linalg.norm(points.vectors[before] - points.vectors[after], axis=1) / length)
    ends += [np.stack([before, after]), np.stack([after, before])]
    weights += [step, step]
    sources, targets = np.concatenate(ends, axis=1)
    values = np.concatenate(weights).astype(np.float32)
    position = np.full(count, -1)
    position[rows] = np.arange(len(rows))
    wanted = position[sources] >= 0
    found = coo_matrix(
        (values[wanted], (position[sources[wanted]], targets[wanted])), shape=(len(rows), count)
    )
    return UnitGraph(found.tocsr(), length)


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


def concept_graph(vectors: Floats, landmarks: Floats, temperature: float) -> csr_matrix:
    """(P,L): edges to landmarks, softmax(cosine / temperature); weights under LEAST_WEIGHT are left out.

    vectors (P,D), landmarks (L,D): unit vectors.
    """
    from scipy.sparse import csr_matrix, vstack

    parts = [csr_matrix((0, len(landmarks)), dtype=np.float32)]
    for start in range(0, len(vectors), 4096):
        weights = softmax(vectors[start : start + 4096] @ landmarks.T / temperature)
        parts.append(csr_matrix(np.where(weights < LEAST_WEIGHT, 0, weights), dtype=np.float32))
    return vstack(parts, format="csr")
