"""Nearest neighbours by cosine: exact in blocks, or by an approximate index where there are too many points.

torch is imported where it is used: layouts that need no neighbours do without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmon.embedding.layouts.base import Floats, Integers

if TYPE_CHECKING:
    import torch

MAX_EXACT = 20_000
"""Points up to which neighbours are exact: the time grows with the square (4 times as many, 16 times as long)."""
BLOCK_BYTES = 256 * 2**20
"""Cosines held at a time."""


def nearest(queries: Floats, vectors: Floats, k: int) -> tuple[Integers, Floats]:
    """The k of `vectors` (P,D) nearest to each of `queries` (Q,D): (Q,k) indices, (Q,k) cosine distances, rising."""
    import torch

    k = min(k, len(vectors))
    table = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    found = []
    for block in torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32)).split(
        _rows_per_block(len(vectors))
    ):
        found.append((block @ table.T).topk(k, dim=1))
    return _concatenate(found)


def nearest_other_units(vectors: Floats, units: Integers, k: int, seed: int) -> tuple[Integers, Floats]:
    """The k points nearest to each that are not the same unit at another epoch; each point itself comes first.

    vectors: (P,D) unit vectors; units: (P,), equal for the same unit. Returns (P,k+1) indices and (P,k+1) cosine
    distances, rising, 0 to 2. Where fewer than k such points exist, k is their number.
    With its own other epochs, a unit would have hardly any other neighbour: it is nearest to itself at the epochs
    before and after.
    """
    _, group, counts = np.unique(units, return_inverse=True, return_counts=True)
    own = np.arange(len(vectors))[:, None]
    k = min(k, len(vectors) - int(counts.max(initial=1)))
    if k <= 0:
        return own, np.zeros(own.shape)
    find = _exact if len(vectors) <= MAX_EXACT else _approximate
    indices, distances = find(vectors, group, k, seed)
    return np.hstack([own, indices]), np.hstack([np.zeros(own.shape), distances])


def _exact(vectors: Floats, group: Integers, k: int, seed: int) -> tuple[Integers, Floats]:
    """`nearest_other_units` without the point itself: a matrix product and a top-k per block of rows."""
    import torch

    table = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    groups = torch.from_numpy(np.ascontiguousarray(group))
    order = groups.argsort(stable=True)  # members of a group are consecutive
    first = torch.searchsorted(groups[order], groups)
    size = torch.bincount(groups)[groups]
    found = []
    for rows in torch.arange(len(table)).split(_rows_per_block(len(table))):
        cosines = table[rows] @ table.T
        for step in range(int(size[rows].max())):  # one member of each row's group at a time
            member = order[first[rows] + torch.clamp(size[rows] - 1, max=step)]
            cosines.scatter_(1, member[:, None], -torch.inf)
        found.append(cosines.topk(k, dim=1))
    return _concatenate(found)


def _approximate(vectors: Floats, group: Integers, k: int, seed: int) -> tuple[Integers, Floats]:
    """`nearest_other_units` without the point itself, by pynndescent, which umap-learn requires.

    Enough points are asked for that k remain without the unit itself; a row with fewer repeats its last.
    """
    from pynndescent import NNDescent

    count = min(len(vectors), k + int(np.bincount(group).max()))
    index = NNDescent(vectors.astype(np.float32), metric="cosine", n_neighbors=count, random_state=seed)
    indices, distances = index.neighbor_graph
    free = (indices >= 0) & (group[np.maximum(indices, 0)] != group[:, None])
    order = np.argsort(~free, axis=1, kind="stable")[:, :k]  # other units first, still rising
    last = np.maximum(free.sum(axis=1) - 1, 0)[:, None]
    order = np.take_along_axis(order, np.minimum(np.arange(k)[None], last), axis=1)
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _rows_per_block(columns: int) -> int:
    return max(1, BLOCK_BYTES // (4 * columns))


def _concatenate(found: list[torch.return_types.topk]) -> tuple[Integers, Floats]:
    """Cosines of blocks of rows to indices and cosine distances of all rows."""
    import torch

    if not found:
        return np.empty((0, 0), dtype=np.int64), np.empty((0, 0))
    distances = torch.cat([part.values for part in found]).neg_().add_(1).clamp_(0, 2)
    return torch.cat([part.indices for part in found]).numpy(), distances.numpy().astype(np.float64)
