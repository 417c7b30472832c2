"""What the layout `umap` is made from: edges between units, of units with themselves over time, and to concepts.

An edge leads from the point that it pulls to the one that it is pulled to, so a pair that pulls both ways is two edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmon.embedding.layouts.base import Floats, Integers, Points, softmax
from cmon.embedding.layouts.neighbours import nearest_other_units
from cmon.trajectories import lengths

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NEIGHBOURS = 15
"""Of each point, itself included: umap-learn's default."""
LEAST_WEIGHT = 0.01
"""Edges to concepts that weigh less are left out."""
MAX_HALVINGS = 64
"""Of the interval in which a point's scale lies."""
MIN_SCALE = 1e-3
"""The least scale, in parts of the mean distance to the neighbours. These two are umap-learn's."""


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
    ends, weights, distances = [], [], []
    for epoch in np.unique(points.epochs[rows]):
        own = np.flatnonzero(points.epochs == epoch)
        if len(own) < 3:  # no neighbourhood
            continue
        near, apart = nearest_other_units(points.vectors[own], own, NEIGHBOURS - 1, seed)
        graph = umap_graph(near, apart).tocoo()
        ends.append(np.stack([own[graph.row], own[graph.col]]))
        weights.append(graph.data)
        distances.append(apart[:, 1:].ravel())
    length = float(np.sqrt(2 * np.concatenate(distances)).mean()) if distances else 1.0
    length = max(length, 1e-9)

    before, after = points.steps()
    previous = np.full(count, -1)
    previous[after] = before
    step = np.exp(-lengths(points.vectors, previous)[after] / length)
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


def umap_graph(neighbours: Integers, distances: Floats) -> csr_matrix:
    """UMAP's fuzzy graph, (P,P) sparse, of given neighbours: (P,k) indices and rising distances, itself first.

    With strengths a and b of the two directions, an edge weighs a + b - a b (McInnes et al. 2018, arXiv 1802.03426).
    Not umap-learn's fuzzy_simplicial_set, which compiles for six seconds in every process; the numbers are the same.
    """
    from scipy.sparse import coo_matrix

    count, k = neighbours.shape
    strengths = np.where(neighbours == np.arange(count)[:, None], 0, membership_strengths(distances))
    ends = np.repeat(np.arange(count), k), neighbours.ravel()
    directed = coo_matrix((strengths.ravel().astype(np.float32), ends), shape=(count, count)).tocsr()
    directed.eliminate_zeros()
    other = directed.T.tocsr()
    return directed + other - directed.multiply(other)


def membership_strengths(distances: Floats) -> Floats:
    """(P,k) rising distances to the nearest, itself first, to (P,k): exp(-max(0, d - rho) / sigma).

    rho is the smallest distance over 0; sigma, found by bisection, makes the strengths of the others sum up to
    log2(k), and is at least MIN_SCALE of the row's mean distance (of all rows', where the row's are all 0).
    """
    count, k = distances.shape
    rho = np.where(distances > 0, distances, np.inf).min(axis=1)
    rho[np.isinf(rho)] = 0
    beyond = np.maximum(distances[:, 1:] - rho[:, None], 0)
    low, high, sigma = np.zeros(count), np.full(count, np.inf), np.ones(count)
    open_rows = np.arange(count)
    for _ in range(MAX_HALVINGS):
        excess = np.exp(-beyond[open_rows] / sigma[open_rows, None]).sum(axis=1) - math.log2(k)
        open_rows, excess = open_rows[np.abs(excess) >= 1e-5], excess[np.abs(excess) >= 1e-5]
        if len(open_rows) == 0:
            break
        over, under = open_rows[excess > 0], open_rows[excess <= 0]
        high[over], low[under] = sigma[over], sigma[under]
        middle, first = (low[open_rows] + high[open_rows]) / 2, 2 * sigma[open_rows]
        sigma[open_rows] = np.where(np.isinf(high[open_rows]), first, middle)
    mean = np.where(rho > 0, distances.mean(axis=1), distances.mean())
    sigma = np.maximum(sigma, MIN_SCALE * mean)
    return np.exp(-np.maximum(distances - rho[:, None], 0) / sigma[:, None])


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
