"""How far from its nearest anchor a unit is to lie in the layout `umap`, and how it gets there.

UMAP erases this distance, since it scales each neighbourhood to itself. Drawn there at once, units of equal distance
would lie on a curve, which leaves no room for neighbours: so a unit is drawn a part of the way, and must only end
within TOLERANCE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmon.embedding.distances import nearest
from cmon.embedding.layouts.anchored import LandmarkMap
from cmon.embedding.layouts.base import Floats, Integers

DRAWN = 0.15
"""The part of what it lacks to its wanted distance that a unit is drawn in each round."""
SHIFTED = 0.5
"""The part of what a group lacks in the mean that all its units are shifted by in each round."""
TOLERANCE = 0.1
"""How far off its wanted distance a unit may be after a round, in parts of that distance: so a unit beside an anchor
is held firmly, and one in the middle has room."""


@dataclass(frozen=True)
class AnchorDistances:
    """The wanted distance in the plane, a rising function of the distance in CLIP's space."""

    clip: Floats
    """(K,) rising."""
    plane: Floats
    """(K,) rising. Between and beyond the K distances, linear and constant."""
    concepts: LandmarkMap

    @classmethod
    def of(cls, vectors: Floats, start: Floats, concepts: LandmarkMap) -> AnchorDistances:
        """The rising function nearest to what `anchored` does: vectors (P,D) and their places there, (P,2)."""
        from sklearn.isotonic import IsotonicRegression

        if len(vectors) == 0:
            return cls(np.zeros(1), np.zeros(1), concepts)
        _, clip = nearest(vectors, concepts.landmarks[: len(concepts.anchors)])
        _, plane = nearest(start, concepts.anchors)
        found = IsotonicRegression().fit(clip, plane)
        return cls(found.X_thresholds_, found.y_thresholds_, concepts)

    def wanted(self, vectors: Floats) -> Floats:
        """(P,D) to (P,)."""
        _, clip = nearest(vectors, self.concepts.landmarks[: len(self.concepts.anchors)])
        return np.interp(clip, self.clip, self.plane)


def draw_to_distance(places: Floats, anchors: Floats, wanted: Floats, groups: Integers) -> Floats:
    """(P,2) moved away from the nearest anchor or towards it, so that distances to it come nearer to wanted ones (P,).

    d, the distance, becomes d + DRAWN (wanted - d). Then all units of a group, numbered in `groups` (P,), are shifted
    by SHIFTED times what is missing to the group's mean, each in proportion to its wanted distance: d_anchor is a mean,
    and to shift all alike hardly changes who is whose neighbour. At last, d is clipped to within TOLERANCE of the
    wanted distance. A place on an anchor has no direction, and stays.
    """
    near, distance = nearest(places, anchors)
    direction = (places - anchors[near]) / np.maximum(distance, 1e-9)[:, None]
    found = distance + DRAWN * (wanted - distance)
    lacking = np.bincount(groups, wanted - found) / np.maximum(np.bincount(groups, wanted), 1e-9)
    found = found + SHIFTED * lacking[groups] * wanted
    found = np.clip(found, (1 - TOLERANCE) * wanted, (1 + TOLERANCE) * wanted)
    return places + (found - distance)[:, None] * direction
