"""How the plane is drawn, in the figure and on the page alike: its frame, its anchors' rank, its units' offsets.

Hundreds of units may lie in one place, on an anchor, and would look like one. So each unit is drawn at a small offset
from its place; its offset is the same at all epochs, so that it adds no movement.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import KDTree

from cmon.reporting.epochs import last_epochs

MOST_OFFSET = 0.05
"""How far from its place a unit is drawn at most, in units of the anchors' RMS radius."""
_GOLDEN = math.pi * (3 - math.sqrt(5))
"""The angle by which a sunflower's seeds follow each other: no two of them lie on a ray."""


def most_offset(anchors: npt.NDArray[np.floating]) -> float:
    """MOST_OFFSET, or half of what an anchor of (A,2) is typically away from the nearest other, if that is less."""
    if len(anchors) < 2:
        return MOST_OFFSET
    nearest = KDTree(anchors).query(anchors, k=2)[0][:, 1]  # the first is the anchor itself
    typical = float(np.median(nearest))
    return min(MOST_OFFSET, typical / 2) if typical > 0 else MOST_OFFSET


def star_scale(anchors: int) -> float:
    """How much smaller an anchor's star is drawn where there are many, so that units are seen among them: 0.4 to 1."""
    return max(0.4, min(1.0, math.sqrt(120 / max(1, anchors))))


def offsets(
    layers: npt.NDArray[np.generic], units: npt.NDArray[np.integer], most: float
) -> npt.NDArray[np.float64]:
    """(P,2), at most `most` long: from units' places to where they are drawn. layers, units: (P,), of each row.

    The units of a layer fill a disc evenly, as the seeds of a sunflower do; so do, about, those of them that lie in
    one place. Equal for the same layer and unit, whatever the run and the epoch.
    """
    names, layer = np.unique(layers, return_inverse=True)
    count = np.zeros(len(names))
    np.maximum.at(count, layer, units + 1)
    angle = _GOLDEN * units + layer  # a turn by a radian from layer to layer
    length = most * np.sqrt((units + 0.5) / count[layer])
    return length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def frame(
    points: npt.NDArray[np.floating], longest: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Middle (2,) and half the sides (2,) of a frame around (P,2) points, with a tenth more for labels at the rim.

    No side is over `longest` times the other. Without points: the square from -1 to 1.
    """
    if not len(points):
        return np.zeros(2), np.ones(2)
    low, high = points.min(axis=0), points.max(axis=0)
    half = np.maximum((high - low) / 2 * 1.1, 1e-3)
    return (low + high) / 2, np.maximum(half, half[::-1] / longest)


def rank_anchors(anchors: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """The anchors, first those that are the nearest of most units at the runs' last epochs: these are labelled first.

    anchors, units: rows of `layout`.
    """
    nearest = last_epochs(units)["nearest_anchor"].value_counts()
    order = anchors["concept"].map(nearest).fillna(0).sort_values(ascending=False, kind="stable").index
    return anchors.loc[order]
