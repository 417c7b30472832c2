"""The layout `umap`, the default: one aligned UMAP of all runs, layers and epochs, in which the concepts stay fixed.

Concepts lie where `anchored` puts them, and units start there. umap-learn's gradient descent then draws each unit to
its neighbours of the same epoch, to itself at the epochs before and after, and to the concepts that it resembles.
A UMAP loses two things, which are put back after each round of the descent:

- the distance to the nearest anchor, which UMAP erases by scaling each neighbourhood to itself: a unit is drawn to
  where its distance in the plane is right for its distance in CLIP's space, and so is the mean of a run's layer at an
  epoch, which d_anchor is;
- standing still: how far the descent has moved a unit is smoothed along the unit's path, the more, the less the unit
  moves in CLIP's space. Its start is a function of its vector, and needs no smoothing.

New epochs are laid out in the same way among the old ones, which stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from cmon.embedding.layouts.anchor_distances import AnchorDistances, draw_to_distance
from cmon.embedding.layouts.anchored import LandmarkMap, fit_map
from cmon.embedding.layouts.base import Fitted, Floats, Places, Points, UpdatableLayout
from cmon.embedding.layouts.descent import Slice, descend
from cmon.embedding.layouts.fuzzy_graph import concept_graph, unit_graph
from cmon.embedding.layouts.paths import PathSmoother, carry_along_paths

LEAST_UNITS = 20.0
"""See `units_of_length`."""
ROUNDS, ROUNDS_OF_MANY, MANY = 40, 20, 50_000
"""Of gradient descent, up to MANY points and for more: umap-learn, too, goes fewer times over many points."""
FOCUS = 0.5
"""The temperature of a unit's weights of the concepts that pull it, in parts of that of `anchored`."""
FIRMNESS = 0.001
"""Of paths; see `PathSmoother`."""


@dataclass(frozen=True)
class Umap(UpdatableLayout):
    """umap-learn's fuzzy graph and gradient descent, among fixed concepts."""

    name: ClassVar[str] = "umap"

    def fit(self, points: Points, anchors: Floats, others: Floats, seed: int) -> Places:
        concepts = fit_map(anchors, others, seed)
        start = concepts.place(points.vectors)
        wanted = AnchorDistances.of(points.vectors, start, concepts)
        nobody = np.zeros(len(start), dtype=bool)
        scale = units_of_length(points)
        places = _lay_out(points, start, np.zeros_like(start), nobody, concepts, wanted, scale, seed)
        return Places(places, concepts.anchors)

    def place(self, points: Points, fitted: Fitted, others: Floats, seed: int) -> Floats:
        """A unit starts as far from its place in `anchored` as it lies from there at the epoch before."""
        concepts = fit_map(fitted.anchors, others, seed)
        own = fitted.points.subset(fitted.by_fit) if fitted.by_fit.any() else points
        wanted = AnchorDistances.of(own.vectors, concepts.place(own.vectors), concepts)
        everybody = fitted.points.followed_by(points)
        held = np.arange(len(everybody.vectors)) < len(fitted.points.vectors)
        start = concepts.place(everybody.vectors)
        moved = np.zeros_like(start)
        moved[held] = fitted.places.points - start[held]
        moved = carry_along_paths(moved, everybody, held)
        scale = units_of_length(own)
        return _lay_out(everybody, start, moved, held, concepts, wanted, scale, seed)[~held]


def units_of_length(points: Points) -> float:
    """UMAP's units of length in the anchors' RMS radius: the square root of the mean number of points of an epoch.

    In a UMAP the plane grows with its points. Here the concepts hold it, so the unit shrinks instead, and points are
    equally crowded however many there are; but for few, which would push each other off across the whole plane.
    """
    return max(LEAST_UNITS, math.sqrt(len(points.units) / max(len(np.unique(points.epochs)), 1)))


def _lay_out(
    points: Points,
    start: Floats,
    moved: Floats,
    held: npt.NDArray[np.bool_],
    concepts: LandmarkMap,
    distances: AnchorDistances,
    scale: float,
    seed: int,
) -> Floats:
    """(P,2): places, from `start` + `moved` on; those of `held` (P,) stay. scale: of `units_of_length`."""
    from scipy.sparse import hstack

    free = np.flatnonzero(~held)
    if len(free) == 0:
        return start + moved
    random = np.random.RandomState(seed)
    units = unit_graph(points, free, seed)
    to_concepts = concept_graph(points.vectors[free], concepts.landmarks, FOCUS * concepts.temperature)
    graph = hstack([units.weights, to_concepts], format="csr")
    landmarks = len(points.vectors) + np.arange(len(concepts.landmarks))
    slices = []
    for epoch in np.unique(points.epochs[free]):
        own = np.flatnonzero(points.epochs[free] == epoch)
        others = np.flatnonzero((points.epochs == epoch) & held)
        slices.append(Slice.of(graph[own], free[own], np.concatenate([others, landmarks]), random))

    smoother = PathSmoother.of(points, units.length, FIRMNESS, held)
    wanted = distances.wanted(points.vectors[free])
    at = np.stack([points.groups[free], points.epochs[free]])
    groups = np.unique(at, axis=1, return_inverse=True)[1].ravel()  # of a run and layer at an epoch
    places = np.vstack([start + moved, concepts.place(concepts.landmarks)])
    # Points with the same vector start in the same place, where no force separates them.
    places[free] += random.normal(scale=1e-4, size=(len(free), 2))
    rounds = ROUNDS if len(free) <= MANY else ROUNDS_OF_MANY
    for number in range(rounds):
        places *= scale
        for part in slices:
            descend(places, part, number, 1 - number / rounds, random)
        places /= scale
        places[free] = draw_to_distance(places[free], concepts.anchors, wanted, groups)
        moved[free] = places[free] - start[free]
        moved = smoother.smooth(moved)
        places[free] = start[free] + moved[free]
    return places[: len(start)]
