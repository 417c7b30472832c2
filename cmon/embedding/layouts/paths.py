"""Movement that is not there in CLIP's space, smoothed away along each unit's path."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cmon.embedding.layouts.base import Floats, Points


def smooth_along_paths(
    values: Floats, points: Points, length: float, firmness: float, held: npt.NDArray[np.bool_]
) -> Floats:
    """(P,2) smoothed: y that minimises sum |y - x|^2 + sum over steps of w |y_after - y_before|^2, x the values.

    w = firmness * (length / step)^4, step in CLIP's space: what stands still there gets equal values, and what goes
    as far as a third of `length` hardly changes. held: (P,) whose values stay as they are.
    """
    from scipy.linalg import solveh_banded

    if len(values) < 2:
        return values
    order = np.lexsort((points.epochs, points.units))
    units, vectors, kept = points.units[order], points.vectors[order], held[order]
    step = np.linalg.norm(vectors[1:] - vectors[:-1], axis=1)
    weight = firmness * (length / np.maximum(step, 1e-3 * length)) ** 4 * (units[1:] == units[:-1])
    wanted = values[order]
    right = wanted.copy()
    diagonal, beside = np.ones(len(order)), np.zeros(len(order))  # a path's equations are tridiagonal
    first, second = ~kept[:-1], ~kept[1:]
    diagonal[:-1] += weight * first
    diagonal[1:] += weight * second
    beside[1:] = -weight * (first & second)
    right[:-1] += (weight * (first & ~second))[:, None] * wanted[1:]
    right[1:] += (weight * (second & ~first))[:, None] * wanted[:-1]
    found = np.empty_like(values)
    found[order] = np.where(kept[:, None], wanted, solveh_banded(np.stack([beside, diagonal]), right))
    return found


def carry_along_paths(values: Floats, points: Points, known: npt.NDArray[np.bool_]) -> Floats:
    """(P,2) where each point has the value of its unit's last known point before it, else of the first one after it.

    known: (P,) whose values are known; theirs stay. A unit without any gets 0.
    """
    order = np.lexsort((points.epochs, points.units))
    units, have, at = points.units[order], known[order], np.arange(len(order))
    before = np.maximum.accumulate(np.where(have, at, -1))
    after = np.minimum.accumulate(np.where(have, at, len(at))[::-1])[::-1]
    found = np.zeros_like(values)
    for source in (after, before):  # before comes second, and so first
        inside = (source >= 0) & (source < len(at))
        same = inside & (units[np.where(inside, source, 0)] == units)
        found[order[same]] = values[order[source[same]]]
    return found
