"""Neurons that lie in one place, drawn side by side: hundreds may lie on their anchors, and would look like one.

Each unit is drawn a little beside its place, always by the same, so that no movement is invented.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

REACH = 0.05
"""How far beside its place a unit is drawn at most, in units of the anchors' RMS radius."""
_GOLDEN = math.pi * (3 - math.sqrt(5))
"""The angle by which a sunflower's seeds follow each other: no two of them lie on a ray."""


def reach(anchors: npt.NDArray[np.floating]) -> float:
    """REACH, or half of what an anchor of (A,2) is typically away from the nearest other, if that is less."""
    if len(anchors) < 2:
        return REACH
    nearest = KDTree(anchors).query(anchors, k=2)[0][:, 1]  # the first is the anchor itself
    typical = float(np.median(nearest))
    return min(REACH, typical / 2) if typical > 0 else REACH


def offsets(
    layers: npt.NDArray[np.generic], units: npt.NDArray[np.integer], reach: float
) -> npt.NDArray[np.float64]:
    """(P,2), at most `reach` long: where units are drawn beside their places. layers, units: (P,), whose each row is.

    The units of a layer fill a disc evenly, as the seeds of a sunflower do; so do, about, those of them that lie in
    one place. Equal for the same layer and unit, whatever the run and the epoch.
    """
    names, layer = np.unique(layers, return_inverse=True)
    count = np.zeros(len(names))
    np.maximum.at(count, layer, units + 1)
    angle = _GOLDEN * units + layer  # a turn by a radian from layer to layer
    length = reach * np.sqrt((units + 0.5) / count[layer])
    return length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
