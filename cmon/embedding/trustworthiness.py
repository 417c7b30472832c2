"""Trustworthiness and continuity: how far one space keeps another's neighbours.

sklearn.manifold.trustworthiness gives the same numbers, but it cannot sample points, breaks ties by row number and
holds all n^2 distances: 1.5 GB more for 8,000 points.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.floating]
NEIGHBOURS = 10
BLOCK = 2**21
"""Distances held at a time in each space: 16 MB in float64."""


def neighbours_kept(
    vectors: Floats, places: Floats, k: int = NEIGHBOURS, queries: npt.NDArray[np.integer] | None = None
) -> tuple[float, float]:
    """Trustworthiness and continuity (Venna & Kaski 2001) of the places as a picture of the vectors.

    Trustworthiness is 1 - 2 / (n k (2n - 3k - 1)) times the sum, over all points i and the k points j nearest to i
    in the plane, of max(0, r(i,j) - k), where r is j's rank by distance from i among the vectors (1: the nearest).
    1 if all neighbours in the plane are neighbours among the vectors, about 0.5 for random places, 0 at worst.
    Continuity is the same with the two spaces exchanged.

    vectors: (n,D), places: (n,2); Euclidean distances. queries: the i to sum over, by default all; a sample
    estimates the whole, since ranks are still among all n points. k is at most (n - 1) / 2, where the formula ends.
    Points at equal distance all have their mean rank, and where the k-th neighbour is one of several equally far,
    they share the remaining places: the expectation over random orders of the ties, but for the max with 0. NaN for
    both if n < 3 or there are no queries.

    Costs len(queries) * n * D multiplications; memory does not grow with n^2.
    """
    n = len(vectors)
    queries = np.arange(n) if queries is None else queries
    k = min(k, (n - 1) // 2)
    if k < 1 or not len(queries):
        return float("nan"), float("nan")
    trust = continuity = 0.0
    lengths = [np.einsum("nd,nd->n", space, space) for space in (vectors, places)]
    step = max(1, BLOCK // n)
    for start in range(0, len(queries), step):
        rows = queries[start : start + step]
        above, flat = (
            _squares(space, own, rows) for space, own in zip((vectors, places), lengths, strict=True)
        )
        trust += _excess_ranks(flat, above, k)
        continuity += _excess_ranks(above, flat, k)
    norm = 2 / (len(queries) * k * (2 * n - 3 * k - 1))
    return 1 - norm * trust, 1 - norm * continuity


def _squares(points: Floats, lengths: Floats, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """(R,n) squared distances from the points `rows` to all; infinite to themselves. lengths: |p|^2."""
    if points.shape[1] <= 3:  # exact, also for points that are close together and far from the origin
        difference = points[rows, None, :].astype(np.float64) - points[None]
        squares = np.einsum("rnd,rnd->rn", difference, difference)
    else:
        squares = lengths[rows, None] + lengths[None] - 2.0 * (points[rows] @ points.T)
        squares = np.maximum(squares, 0, dtype=np.float64)
    squares[np.arange(len(rows)), rows] = np.inf
    return squares


def _excess_ranks(near: npt.NDArray[np.float64], true: npt.NDArray[np.float64], k: int) -> float:
    """Sum, over rows and their k nearest by `near`, of how far the rank by `true` exceeds k."""
    border = np.partition(near, k - 1, axis=1)[:, k - 1 : k]
    within = int((near <= border).sum(axis=1).max())  # k, or more where several tie for the k-th place
    chosen = np.argpartition(near, within - 1, axis=1)[:, :within]
    distance = np.take_along_axis(near, chosen, axis=1)
    inside, tied = distance < border, distance == border
    share = (k - inside.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
    weight = inside + tied * share
    ordered = torch.from_numpy(np.sort(true, axis=1))
    wanted = torch.from_numpy(np.take_along_axis(true, chosen, axis=1))
    nearer, up_to = (torch.searchsorted(ordered, wanted, right=right).numpy() for right in (False, True))
    ranks = (nearer + 1 + up_to) / 2
    return float((weight * np.maximum(ranks - k, 0)).sum())
