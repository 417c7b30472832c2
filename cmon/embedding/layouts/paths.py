"""Movement that is not there in CLIP's space, smoothed away along each unit's path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmon.embedding.layouts.base import Floats, Integers, Points
from cmon.trajectories import lengths


@dataclass(frozen=True)
class PathSmoother:
    """Finds the y that minimises sum |y - x|^2 + sum over steps of w |y_after - y_before|^2, for values x of points.

    w = firmness * (length / step)^4, step in CLIP's space: what stands still there gets equal values, and what goes
    as far as a third of `length` hardly changes. Points that are held keep their values, and pull the others. The
    equations are the same in every round: they are set up and factorised once.
    """

    order: Integers
    """(P,): path after path, each from its first epoch to its last."""
    held: npt.NDArray[np.bool_]
    """(P,) in that order, as all that follows."""
    from_before: Floats
    """(P-1,): the weight of a step for its later end, where its earlier end is held; else 0."""
    from_after: Floats
    """(P-1,): the same for its earlier end."""
    factor: Floats
    """(2,P): the Cholesky factor of the equations, which are tridiagonal."""

    @classmethod
    def of(cls, points: Points, length: float, firmness: float, held: npt.NDArray[np.bool_]) -> PathSmoother:
        """held: (P,) whose values stay as they are."""
        from scipy.linalg import cholesky_banded

        order = np.lexsort((points.epochs, points.units))
        units, kept = points.units[order], held[order]
        previous = np.full(len(order), -1)
        previous[order[1:]] = order[:-1]
        step = lengths(points.vectors, previous)[order[1:]]
        weight = firmness * (length / np.maximum(step, 1e-3 * length)) ** 4 * (units[1:] == units[:-1])
        diagonal, beside = np.ones(len(order)), np.zeros(len(order))
        first, second = ~kept[:-1], ~kept[1:]
        diagonal[:-1] += weight * first
        diagonal[1:] += weight * second
        beside[1:] = -weight * (first & second)
        factor = cholesky_banded(np.stack([beside, diagonal]))
        return cls(order, kept, weight * (second & ~first), weight * (first & ~second), factor)

    def smooth(self, values: Floats) -> Floats:
        """(P,2) to (P,2)."""
        from scipy.linalg import cho_solve_banded

        wanted = values[self.order]
        right = wanted.copy()
        right[:-1] += self.from_after[:, None] * wanted[1:]
        right[1:] += self.from_before[:, None] * wanted[:-1]
        found = np.empty_like(values)
        solved = cho_solve_banded((self.factor, False), right, overwrite_b=True, check_finite=False)
        found[self.order] = np.where(self.held[:, None], wanted, solved)
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
