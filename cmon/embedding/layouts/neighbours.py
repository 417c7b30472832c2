"""Nearest neighbours by cosine: exact in blocks, or by an approximate index where there are too many points."""

from __future__ import annotations

import numpy as np
import torch

from cmon.embedding.layouts.base import Floats, Whole

MOST_EXACT = 100_000
"""Points up to which neighbours are exact: the time grows with the square (4 times as many, 16 times as long)."""
BLOCK_BYTES = 256 * 2**20
"""Cosines held at a time."""


def others(vectors: Floats, units: Whole, k: int, seed: int) -> tuple[Whole, Floats]:
    """The k points nearest to each that are not the same unit at another epoch; each point itself stands first.

    vectors: (P,D) unit vectors; units: (P,), equal for the same unit. Returns (P,k+1) indices and (P,k+1) cosine
    distances, rising, 0 to 2. Where fewer than k such points exist, k is their number.
    A path would else see little but itself, since a unit is nearest to itself at the epochs before and after.
    """
    _, group, counts = np.unique(units, return_inverse=True, return_counts=True)
    own = np.arange(len(vectors))[:, None]
    k = min(k, len(vectors) - int(counts.max(initial=1)))
    if k <= 0:
        return own, np.zeros(own.shape)
    find = exact if len(vectors) <= MOST_EXACT else approximate
    indices, distances = find(vectors, group, k, seed)
    return np.hstack([own, indices]), np.hstack([np.zeros(own.shape), distances])


def nearest(queries: Floats, vectors: Floats, k: int) -> tuple[Whole, Floats]:
    """The k of `vectors` (P,D) nearest to each of `queries` (Q,D): (Q,k) indices, (Q,k) cosine distances, rising."""
    k = min(k, len(vectors))
    table = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    found = []
    for block in torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32)).split(_rows(len(vectors))):
        found.append((block @ table.T).topk(k, dim=1))
    return _joined(found)


def exact(vectors: Floats, group: Whole, k: int, seed: int) -> tuple[Whole, Floats]:
    """`others` without the point itself: a matrix product and a top-k per block of rows."""
    table = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    groups = torch.from_numpy(np.ascontiguousarray(group))
    order = groups.argsort(stable=True)  # members of a group stand side by side
    first = torch.searchsorted(groups[order], groups)
    size = torch.bincount(groups)[groups]
    found = []
    for rows in torch.arange(len(table)).split(_rows(len(table))):
        cosines = table[rows] @ table.T
        for step in range(int(size[rows].max())):  # one member of each row's group at a time
            member = order[first[rows] + torch.clamp(size[rows] - 1, max=step)]
            cosines.scatter_(1, member[:, None], -torch.inf)
        found.append(cosines.topk(k, dim=1))
    return _joined(found)


def approximate(vectors: Floats, group: Whole, k: int, seed: int) -> tuple[Whole, Floats]:
    """`others` without the point itself, by pynndescent, which umap-learn brings.

    It is asked for enough points that k remain without the unit itself; a row with fewer repeats its last.
    """
    from pynndescent import NNDescent

    asked = min(len(vectors), k + int(np.bincount(group).max()))
    index = NNDescent(vectors.astype(np.float32), metric="cosine", n_neighbors=asked, random_state=seed)
    indices, distances = index.neighbor_graph
    free = (indices >= 0) & (group[np.maximum(indices, 0)] != group[:, None])
    order = np.argsort(~free, axis=1, kind="stable")[:, :k]  # those that may stay first, still rising
    last = np.maximum(free.sum(axis=1) - 1, 0)[:, None]
    order = np.take_along_axis(order, np.minimum(np.arange(k)[None], last), axis=1)
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _rows(columns: int) -> int:
    return max(1, BLOCK_BYTES // (4 * columns))


def _joined(found: list[torch.return_types.topk]) -> tuple[Whole, Floats]:
    if not found:
        return np.empty((0, 0), dtype=np.int64), np.empty((0, 0))
    distances = torch.cat([part.values for part in found]).neg_().add_(1).clamp_(0, 2)
    return torch.cat([part.indices for part in found]).numpy(), distances.numpy().astype(np.float64)
