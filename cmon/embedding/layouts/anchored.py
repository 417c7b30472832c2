"""The layout `anchored`: a unit's place is a function of its vector, and of nothing else.

Landmarks are the anchors, and the other concepts that were scored. The anchors are placed by their distances in
CLIP's space, around a middle left free; the other concepts lie in that middle, as far from the nearest anchor as they
are in CLIP's space. A unit lies between the landmarks that it resembles, and on one where it equals it. So a
unit that stands still in CLIP's space stands still in the plane, new epochs never move old ones, and distances to the
nearest anchor follow those in CLIP's space, which UMAP erases by scaling each neighbourhood to itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cmon.embedding.layouts import base as layout
from cmon.embedding.layouts.base import Floats, scaled, softmax

HOLE = 1.0
"""Radius around the middle in which no anchor lies, in units of the anchors' RMS radius; see `opened`."""
TEMPERATURE = 0.1
"""Of the weights, in units of the landmarks' mean cosine distance; see `heat_of`. Measured from 0.05 to 0.16: less
keeps neighbours and distances to anchors better, more keeps the order of d_anchor and of movement better."""
LANDMARKS = 512
"""Other concepts beyond this number are put together in as many groups: thousands of words cost time, and say little
more about the middle."""
RIDGE = 0.001
"""How much a landmark's pull may leave undone, against the square of its weight: twins share one, see `_pulls`."""
SHARPNESS = 6.0
"""Of the mean of anchors that gives another concept's direction from the middle: weights are distance**-6."""


@dataclass(frozen=True)
class Anchored:
    """A map from CLIP's space to the plane."""

    landmarks: Floats
    """(L,D) unit vectors, the anchors first."""
    pulls: Floats
    """(L,2): what a unit's place is a weighted mean of; see `_pulls`."""
    heat: float
    """Weights are softmax(cosine / heat)."""
    anchors: Floats
    """(A,2): the anchors' places."""

    def at(self, vectors: Floats) -> Floats:
        """(K,D) unit vectors to (K,2)."""
        result = np.empty((len(vectors), 2))
        for start in range(0, len(vectors), 4096):
            block = slice(start, start + 4096)
            result[block] = softmax(vectors[block] @ self.landmarks.T / self.heat) @ self.pulls
        return result


def fit(anchors: Floats, others: Floats, seed: int, temperature: float = TEMPERATURE) -> Anchored:
    """The map, from unit vectors alone: anchors (A,D), other concepts (O,D); O may be 0. No unit takes part."""
    if len(others) > LANDMARKS:
        others = grouped(others, LANDMARKS, seed)
    places = place_anchors(anchors)
    landmarks = np.vstack([anchors, others])
    heat = heat_of(landmarks, temperature)
    wanted = np.vstack([places, place_others(anchors, places, others)])
    return Anchored(landmarks, _pulls(landmarks, wanted, heat), heat, places)


def heat_of(landmarks: Floats, temperature: float = TEMPERATURE) -> float:
    """`temperature` times the mean of 1 - cosine over pairs of landmarks, (L,D) unit vectors.

    A constant that suits one CLIP fails another: a large CLIP's text vectors crowd into a cone, with cosines of 0.5
    to 0.9. In these units the weights are the same in a cone and out of it. A temperature set by a perplexity, as in
    t-SNE, falls to nothing where anchors have near-synonyms, for then these alone give the perplexity. It depends on
    the landmarks alone, not on any unit, so new epochs change nothing.
    """
    count = len(landmarks)
    if count < 2:
        return 1.0
    total = np.linalg.norm(landmarks.sum(axis=0)) ** 2 - count  # the sum of the cosines of all different ones
    return max(temperature * (1 - total / (count * (count - 1))), 1e-6)


def place_anchors(anchors: Floats) -> Floats:
    """(A,D) unit vectors to (A,2): cosine distances kept as well as can be, the middle left free, an RMS distance of 1.

    Fewer than four anchors leave no middle; they are placed by principal components.
    """
    start = layout.Principal.of(anchors).at(anchors)
    if len(anchors) < 4:
        return scaled(start)
    return opened(majorised(np.clip(1 - anchors @ anchors.T, 0, None), start))


def majorised(distances: Floats, start: Floats, rounds: int = 300, enough: float = 1e-5) -> Floats:
    """(A,2) whose distances are near those given, (A,A), by SMACOF: multidimensional scaling by stress majorisation.

    Each round is the Guttman transform X <- B(X) X / A, with B(X)_ij = -distance_ij / |x_i - x_j|, rows summing to 0,
    which never raises the stress, sum (distance_ij - |x_i - x_j|)^2 (de Leeuw 1977). Ends when a round lowers it by
    less than `enough` of itself. No random number takes part.
    """
    size = np.linalg.norm(start)
    places = start * (np.linalg.norm(distances) / (math.sqrt(2 * len(start)) * size)) if size > 0 else start
    before = math.inf
    for _ in range(rounds):
        squares = (places**2).sum(axis=1)
        between = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * places @ places.T, 0))
        np.fill_diagonal(between, 0)
        stress = float(((distances - between) ** 2).sum())
        if stress >= before * (1 - enough):
            break
        before = stress
        pulls = distances / np.maximum(between, 1e-9)
        np.fill_diagonal(pulls, 0)
        places = (pulls.sum(axis=1)[:, None] * places - pulls @ places) / len(places)
    return places


def opened(places: Floats, hole: float = HOLE) -> Floats:
    """(A,2) to (A,2) with the middle left free: each place moved outwards to sqrt(r^2 + hole^2), then scaled.

    A unit that is near no anchor lies in the middle. If anchors lay there too, it would be near one of them by
    accident, and d_anchor in the plane would be small exactly where it must be large.
    """
    places = scaled(places)
    radius = np.linalg.norm(places, axis=1, keepdims=True)
    outward = places / np.maximum(radius, 1e-9)  # a place in the very middle has no direction, and stays
    return scaled(outward * np.sqrt(radius**2 + hole**2))


def place_others(anchors: Floats, places: Floats, others: Floats) -> Floats:
    """(O,2): where concepts that are not anchors lie, in the middle that the anchors leave free.

    anchors (A,D) and others (O,D): unit vectors; places (A,2) of the anchors. The one that is farthest from all
    anchors lies in the centre; every other lies on a ray from there, in the direction of the anchors that it
    resembles, where its distance to the nearest anchor is to the centre's as it is in CLIP's space.
    """
    if len(others) == 0:
        return np.empty((0, 2))
    apart = np.sqrt(np.maximum(2 - 2 * others @ anchors.T, 1e-12))
    least = apart.min(axis=1)
    share = least / least.max()  # 1 for the farthest
    if len(anchors) == 1:  # no direction, and no radius: all around it, the farthest at 1
        around = layout.Principal.of(others).at(others)
        return places + share[:, None] * _outward(around)
    weights = (apart / least[:, None]) ** -SHARPNESS
    rays = _outward(weights @ places / weights.sum(axis=1, keepdims=True))
    wanted = share * np.linalg.norm(places, axis=1).min()
    return np.stack([_first_at(ray, places, distance) for ray, distance in zip(rays, wanted, strict=True)])


def grouped(vectors: Floats, count: int, seed: int) -> Floats:
    """(V,D) unit vectors to (count,D): the directions of k-means' centres."""
    from sklearn.cluster import KMeans

    return layout.normalised(
        KMeans(count, n_init=1, max_iter=50, random_state=seed).fit(vectors).cluster_centers_
    )


def _pulls(landmarks: Floats, places: Floats, heat: float) -> Floats:
    """(L,2): pulls such that a unit with a landmark's vector lies at the landmark's place.

    As a mean of the places themselves it would lie beside it, by a step that differs from landmark to landmark, and
    units that sit on their anchors could not be ranked. The ridge keeps landmarks that are nearly the same, or a
    high temperature, from giving pulls far outside the plane; for those the step is made small, not nothing.
    """
    weights = softmax(landmarks @ landmarks.T / heat)
    square = weights.T @ weights
    square[np.diag_indices_from(square)] += RIDGE
    return np.linalg.solve(square, weights.T @ places + RIDGE * places)


def _first_at(ray: Floats, places: Floats, distance: float) -> Floats:
    """The first point of a ray from the centre that is no farther than `distance` from the nearest of the places."""
    reach = np.linspace(0, 1.5 * np.linalg.norm(places, axis=1).max(), 301)
    nearest = np.linalg.norm(reach[:, None, None] * ray - places, axis=2).min(axis=1)
    inside = np.flatnonzero(nearest <= distance)
    first = inside[0] if len(inside) else int(nearest.argmin())
    if first == 0 or nearest[first] > distance:
        return reach[first] * ray
    part = (nearest[first - 1] - distance) / max(nearest[first - 1] - nearest[first], 1e-12)
    return (reach[first - 1] + part * (reach[first] - reach[first - 1])) * ray


def _outward(places: Floats) -> Floats:
    """Directions, of length 1; a place in the very centre gets the first axis."""
    radius = np.linalg.norm(places, axis=1, keepdims=True)
    return np.where(radius > 1e-9, places / np.maximum(radius, 1e-9), np.array([1.0, 0.0]))
