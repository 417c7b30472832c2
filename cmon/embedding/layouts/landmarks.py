"""Where concepts lie in the layout `anchored`: anchors around a free middle, other concepts within it.

The anchors are placed by their distances in CLIP's space. Another concept lies in the middle that they leave free, as
far from its nearest anchor as it is in CLIP's space.
"""

from __future__ import annotations

import math

import numpy as np

from cmon.embedding.layouts.base import Floats, normalise_anchors, normalise_vectors
from cmon.embedding.layouts.pca import PrincipalPlane

MIDDLE_RADIUS = 1.0
"""Radius around the middle in which no anchor lies, in units of the anchors' RMS radius; see `clear_middle`."""
SHARPNESS = 6.0
"""The direction of another concept from the middle is a mean of the anchors', with weights distance**-6."""


def place_anchors(anchors: Floats) -> Floats:
    """(A,D) unit vectors to (A,2): cosine distances kept as far as possible, the middle free, an RMS radius of 1.

    Fewer than four anchors surround no middle; they are placed by principal components.
    """
    start = PrincipalPlane.of(anchors).project(anchors)
    if len(anchors) < 4:
        return normalise_anchors(start)
    return clear_middle(smacof(np.clip(1 - anchors @ anchors.T, 0, None), start))


def smacof(distances: Floats, start: Floats, max_rounds: int = 300, tolerance: float = 1e-5) -> Floats:
    """(A,2) with distances near the given ones, (A,A): multidimensional scaling by stress majorisation (SMACOF).

    Each round is the Guttman transform X <- B(X) X / A, with B(X)_ij = -distance_ij / |x_i - x_j|, rows summing to 0,
    which never raises the stress, sum (distance_ij - |x_i - x_j|)^2 (de Leeuw 1977). Ends when a round lowers it by
    less than `tolerance` of itself. No random number takes part.

    Not sklearn.manifold.smacof: at equal stress (214.52, 214.79) it ends in other places, and d_anchor changes in the
    third digit (0.422, 0.421).
    """
    size = np.linalg.norm(start)
    places = start * (np.linalg.norm(distances) / (math.sqrt(2 * len(start)) * size)) if size > 0 else start
    before = math.inf
    for _ in range(max_rounds):
        squares = (places**2).sum(axis=1)
        between = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * places @ places.T, 0))
        np.fill_diagonal(between, 0)
        stress = float(((distances - between) ** 2).sum())
        if stress >= before * (1 - tolerance):
            break
        before = stress
        ratios = distances / np.maximum(between, 1e-9)
        np.fill_diagonal(ratios, 0)
        places = (ratios.sum(axis=1)[:, None] * places - ratios @ places) / len(places)
    return places


def clear_middle(places: Floats, radius: float = MIDDLE_RADIUS) -> Floats:
    """(A,2) to (A,2) with the middle left free: each place moves outwards from r to sqrt(r^2 + radius^2).

    A unit that is near no anchor lies in the middle. If anchors lay there too, it would be near one of them by
    accident, and d_anchor in the plane would be small exactly where it must be large.
    """
    places = normalise_anchors(places)
    distance = np.linalg.norm(places, axis=1, keepdims=True)
    outward = places / np.maximum(distance, 1e-9)  # a place at the very centre has no direction, and stays
    return normalise_anchors(outward * np.sqrt(distance**2 + radius**2))


def place_other_concepts(anchors: Floats, places: Floats, others: Floats) -> Floats:
    """(O,2): places of concepts that are not anchors, in the middle that the anchors leave free.

    anchors (A,D) and others (O,D): unit vectors; places (A,2) of the anchors. The concept that is farthest from all
    anchors lies at the centre. Every other lies on a ray from there, towards the anchors that it resembles, where its
    distance to the nearest anchor is to the centre's as it is in CLIP's space.
    """
    if len(others) == 0:
        return np.empty((0, 2))
    apart = np.sqrt(np.maximum(2 - 2 * others @ anchors.T, 1e-12))
    least = apart.min(axis=1)
    share = least / least.max()  # 1 for the farthest
    if len(anchors) == 1:  # no direction and no radius: they surround it, the farthest at 1
        around = PrincipalPlane.of(others).project(others)
        return places + share[:, None] * _directions(around)
    weights = (apart / least[:, None]) ** -SHARPNESS
    rays = _directions(weights @ places / weights.sum(axis=1, keepdims=True))
    wanted = share * np.linalg.norm(places, axis=1).min()
    return np.stack(
        [_first_point_within(ray, places, distance) for ray, distance in zip(rays, wanted, strict=True)]
    )


def cluster_directions(vectors: Floats, count: int, seed: int) -> Floats:
    """(V,D) unit vectors to (count,D): the directions of k-means' centres."""
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=1, max_iter=50, random_state=seed).fit(vectors)
    return normalise_vectors(found.cluster_centers_)


def _first_point_within(ray: Floats, places: Floats, distance: float) -> Floats:
    """The first point of a ray from the centre that is within `distance` of the nearest of the places."""
    reach = np.linspace(0, 1.5 * np.linalg.norm(places, axis=1).max(), 301)
    nearest = np.linalg.norm(reach[:, None, None] * ray - places, axis=2).min(axis=1)
    inside = np.flatnonzero(nearest <= distance)
    first = inside[0] if len(inside) else int(nearest.argmin())
    if first == 0 or nearest[first] > distance:
        return reach[first] * ray
    part = (nearest[first - 1] - distance) / max(nearest[first - 1] - nearest[first], 1e-12)
    return (reach[first - 1] + part * (reach[first] - reach[first - 1])) * ray


def _directions(places: Floats) -> Floats:
    """From the centre, of length 1; a place at the very centre gets the first axis."""
    distance = np.linalg.norm(places, axis=1, keepdims=True)
    return np.where(distance > 1e-9, places / np.maximum(distance, 1e-9), np.array([1.0, 0.0]))
