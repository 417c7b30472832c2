"""The layout `anchored`: a unit's place is a function of its vector, and of nothing else.

A unit lies between the landmarks that it resembles, and on one where it equals it. Landmarks are the anchors and the
other scored concepts, placed by `landmarks`. So a unit that stands still in CLIP's space stands still in the plane,
new epochs never move old ones, and distances to the nearest anchor follow those in CLIP's space, which UMAP erases by
scaling each neighbourhood to itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cmon.embedding.layouts.base import Fitted, Floats, Places, Points, UpdatableLayout, softmax
from cmon.embedding.layouts.landmarks import cluster_directions, place_anchors, place_other_concepts

TEMPERATURE = 0.1
"""Of the weights, in units of the landmarks' mean cosine distance. Measured from 0.05 to 0.16: less keeps neighbours
and distances to anchors better, more keeps the order of d_anchor and of movement better."""
MAX_OTHERS = 512
"""More other concepts than this are clustered into as many: thousands of words cost time, and tell little more about
the middle."""
RIDGE = 0.001
"""How far a control point may leave its landmark beside its place; see `_control_points`."""


@dataclass(frozen=True)
class Anchored(UpdatableLayout):
    """Each unit at the softmax-weighted mean of the landmarks' control points; no unit takes part in the fit."""

    name: ClassVar[str] = "anchored"
    temperature: float = TEMPERATURE
    """Of the softmax, over 0; see `absolute_temperature`."""

    def fit(self, points: Points, anchors: Floats, others: Floats, seed: int) -> Places:
        found = fit_map(anchors, others, seed, self.temperature)
        return Places(found.place(points.vectors), found.anchors)

    def place(self, points: Points, fitted: Fitted, others: Floats, seed: int) -> Floats:
        return fit_map(fitted.anchors, others, seed, self.temperature).place(points.vectors)


@dataclass(frozen=True)
class LandmarkMap:
    """A function from CLIP's space to the plane."""

    landmarks: Floats
    """(L,D) unit vectors, the anchors first."""
    control_points: Floats
    """(L,2): a place is a weighted mean of these."""
    temperature: float
    """Weights are softmax(cosine / temperature)."""
    anchors: Floats
    """(A,2): the anchors' places."""

    def place(self, vectors: Floats) -> Floats:
        """(K,D) unit vectors to (K,2)."""
        result = np.empty((len(vectors), 2))
        for start in range(0, len(vectors), 4096):
            block = slice(start, start + 4096)
            weights = softmax(vectors[block] @ self.landmarks.T / self.temperature)
            result[block] = weights @ self.control_points
        return result


def fit_map(anchors: Floats, others: Floats, seed: int, temperature: float = TEMPERATURE) -> LandmarkMap:
    """The map, from unit vectors of anchors (A,D) and other concepts (O,D); O may be 0.

    seed: of the clustering, which takes place with more than MAX_OTHERS.
    """
    if len(others) > MAX_OTHERS:
        others = cluster_directions(others, MAX_OTHERS, seed)
    places = place_anchors(anchors)
    landmarks = np.vstack([anchors, others])
    absolute = absolute_temperature(landmarks, temperature)
    wanted = np.vstack([places, place_other_concepts(anchors, places, others)])
    return LandmarkMap(landmarks, _control_points(landmarks, wanted, absolute), absolute, places)


def absolute_temperature(landmarks: Floats, temperature: float = TEMPERATURE) -> float:
    """`temperature` times the mean of 1 - cosine over pairs of landmarks, (L,D) unit vectors.

    A constant that suits one CLIP fails another: a large CLIP's text vectors crowd into a cone, with cosines of 0.5
    to 0.9. In these units the weights are the same in a cone and out of it. A temperature set by a perplexity, as in
    t-SNE, falls to nothing where anchors have near-synonyms, for then these alone give the perplexity. It depends on
    the landmarks alone, not on any unit, so new epochs change nothing.
    """
    count = len(landmarks)
    if count < 2:
        return 1.0
    total = (
        np.linalg.norm(landmarks.sum(axis=0)) ** 2 - count
    )  # the sum of cosines over pairs of different ones
    return max(temperature * (1 - total / (count * (count - 1))), 1e-6)


def _control_points(landmarks: Floats, places: Floats, temperature: float) -> Floats:
    """(L,2): control points C such that a unit with a landmark's vector lies at the landmark's place.

    C minimises |W C - places|^2 + RIDGE |C - places|^2, with W the landmarks' own weights. With the places themselves
    for C, a unit with a landmark's vector would lie beside it, by a step that differs from landmark to landmark, and
    units that sit on their anchors could not be ranked. The ridge keeps C in the plane where landmarks are nearly the
    same or the temperature is high; there the step is made small, not 0.
    """
    weights = softmax(landmarks @ landmarks.T / temperature)
    square = weights.T @ weights
    square[np.diag_indices_from(square)] += RIDGE
    return np.linalg.solve(square, weights.T @ places + RIDGE * places)
