"""Distances to the nearest anchor, whose mean is d_anchor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def nearest(points: Floats, anchors: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Index of and Euclidean distance to the nearest anchor: (K,D) and (A,D) to (K,) and (K,).

    The distances whose mean over the live units is d_anchor (Concept-Monitor, arXiv 2304.13346).
    """
    index = np.empty(len(points), dtype=np.intp)
    distance = np.empty(len(points))
    for start in range(0, len(points), 4096):
        block = points[start : start + 4096, None, :] - anchors[None] if points.shape[1] <= 3 else None
        if block is not None:
            squares = np.einsum("kad,kad->ka", block, block)
        else:  # unit vectors: |u - v|^2 = |u|^2 + |v|^2 - 2 u.v, without a (K,A,D) array
            part = points[start : start + 4096]
            squares = (part**2).sum(1)[:, None] + (anchors**2).sum(1)[None] - 2 * part @ anchors.T
        chosen = squares.argmin(axis=1)
        index[start : start + 4096] = chosen
        distance[start : start + 4096] = np.sqrt(np.maximum(squares[np.arange(len(chosen)), chosen], 0))
    return index, distance
