"""Each unit's trajectory: its rows at the previous, the first and the last epoch, and the distances between them.

Used for places in the plane, for vectors in CLIP's space, and for labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Links:
    """For each of P rows, the rows of the same unit (run, layer, unit) at other epochs."""

    unit: npt.NDArray[np.int64]
    """(P,) the unit's number."""
    order: Rows
    """(P,) all rows, sorted by unit, then by epoch."""
    previous: Rows
    """(P,) the unit's row at its epoch before this one, -1 at its first."""
    first: Rows
    """(P,) the unit's row at its first epoch: the row itself if that is it."""
    last: Rows
    """(P,) the unit's row at its last epoch: the row itself if that is it."""
    adjacent: Rows
    """(P,) `previous` where between the two no unit of the run and layer has a row, else -1."""


def links(keys: pd.DataFrame) -> Links:
    """Find each row's unit at other epochs.

    keys: (P rows) with the columns run, layer, epoch, unit; no key twice, in any order.
    """
    number = keys.groupby(["run", "layer"], sort=False)["epoch"].rank(method="dense").to_numpy(dtype=np.int64)
    unit = keys.groupby(["run", "layer", "unit"], sort=False).ngroup().to_numpy()
    order = np.lexsort((number, unit))
    before, after = order[:-1], order[1:]
    same = unit[before] == unit[after]
    previous = np.full(len(keys), -1, dtype=np.intp)
    previous[after[same]] = before[same]
    adjacent = np.where(number == number[previous] + 1, previous, -1) if len(keys) else previous
    starts = np.flatnonzero(np.append(True, ~same)[: len(keys)])
    sizes = np.diff(np.append(starts, len(keys)))
    first, last = np.empty_like(previous), np.empty_like(previous)
    first[order] = np.repeat(order[starts], sizes)
    last[order] = np.repeat(order[starts + sizes - 1], sizes)
    return Links(unit, order, previous, first, last, np.where(previous >= 0, adjacent, -1))


def lengths(points: npt.NDArray[np.floating], before: Rows) -> npt.NDArray[np.float64]:
    """(P,) Euclidean distance from each point to the point in row `before`; NaN where that is -1. points: (P,D)."""
    found = np.full(len(points), np.nan)
    rows = np.flatnonzero(before >= 0)
    for start in range(0, len(rows), 4096):
        block = rows[start : start + 4096]
        found[block] = np.linalg.norm(points[block] - points[before[block]], axis=1)
    return found


def sums(values: npt.NDArray[np.float64], linked: Links) -> npt.NDArray[np.float64]:
    """(P,) running sum of the unit's values, the row's own included; NaN counts as 0. values: (P,)."""
    import pandas as pd  # here, since layouts take `lengths` alone, and begin at once

    found = np.empty(len(values))
    ordered = pd.Series(np.nan_to_num(values)[linked.order])
    found[linked.order] = ordered.groupby(linked.unit[linked.order]).cumsum()
    return found
