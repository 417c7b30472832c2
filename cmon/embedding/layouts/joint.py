"""The layout `joint`: one neighbour graph over all points, laid out once by UMAP.

A unit's own points at other epochs do not count as its neighbours (a path would see little but itself); instead a unit
is joined to itself at the epochs before and after, the more firmly the less it moved in CLIP's space. Neighbours are
kept well; but UMAP scales every neighbourhood by its own nearest distances, and so distances to anchors are not.
What UMAP's random forces leave of movement where there is none is then eased away along each path.
"""

from __future__ import annotations

import numpy as np

from cmon.embedding.layouts import base as layout
from cmon.embedding.layouts import neighbours
from cmon.embedding.layouts.base import Floats, Places, Points

EASE = 0.03
"""How firmly a unit's points at neighbouring epochs are held together afterwards; see `eased`."""
NEAREST = 15
"""Fitted points between which a new one is placed."""


def fit(points: Points, anchors: Floats, seed: int) -> Places:
    """Units and anchors in one graph. points.vectors (P,D) and anchors (A,D): unit vectors.

    Fewer than four points in all have no neighbourhoods and are placed by principal components.
    """
    vectors = np.vstack([points.vectors, anchors])
    count = len(points.vectors)
    start = layout.Principal.of(vectors).at(vectors)
    if len(vectors) < 4 or np.ptp(start, axis=0).min() < 1e-6:
        return layout.framed(start[:count], start[count:])
    own = np.unique(points.units, return_inverse=True)[1]
    units = np.concatenate([own, own.max(initial=-1) + 1 + np.arange(len(anchors))])  # each anchor is its own
    near, distances = neighbours.others(vectors, units, layout.NEIGHBOURS - 1, seed)
    if near.shape[1] < 2:
        return layout.framed(start[:count], start[count:])
    random = np.random.RandomState(seed)
    graph = layout.umap_graph(near, distances, random)
    length = float(np.sqrt(2 * distances[:, 1:]).mean())
    graph = _with_steps(graph, points, length)
    # Points with the same vector would start in the same place, and no force parts those.
    start = start + random.normal(scale=1e-4 * np.abs(start).max(), size=start.shape)
    places = layout.umap_places(vectors, graph, start, random, 0.1)
    return layout.framed(eased(places[:count], points, length), places[count:])


def eased(places: Floats, points: Points, length: float) -> Floats:
    """(P,2) with the paths eased: y that minimises sum |y - x|^2 + sum over steps of w |y_after - y_before|^2.

    w = EASE * (length / step)^2, step in CLIP's space, length the mean distance between neighbours there: a unit that
    stands still stands still in the plane, and one that goes from neighbours to others hardly feels it. Measured over
    EASE of 0.01 to 1 on the demo and on simulated training: more costs trustworthiness, less leaves movement.
    """
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import spsolve

    before, after = points.steps()
    if len(before) == 0:
        return places
    step = np.linalg.norm(points.vectors[before] - points.vectors[after], axis=1)
    weight = EASE * (length / np.maximum(step, 1e-4 * max(length, 1e-9))) ** 2
    ends = np.concatenate([before, after]), np.concatenate([after, before])
    joined = coo_matrix((np.concatenate([weight, weight]), ends), shape=(len(places), len(places))).tocsr()
    own = diags(1 + np.asarray(joined.sum(axis=1)).ravel())
    return spsolve((own - joined).tocsc(), places).reshape(places.shape)


def place(vectors: Floats, fitted: Floats, places: Floats) -> Floats:
    """New points among old ones that stay: (K,D) to (K,2), the mean of their nearest fitted points' places.

    fitted: (F,D) unit vectors of the fitted points and the anchors, places: (F,2). Weights are 1 / distance^2, so
    that a unit which has not moved in CLIP's space since a fitted epoch does not move in the plane.
    """
    near, distances = neighbours.nearest(vectors, fitted, NEAREST)
    # A cosine in single precision is known to 1e-7: what is nearer than that is the same.
    weights = 1 / np.maximum(distances, 1e-7)
    return np.einsum("kn,kni->ki", weights / weights.sum(axis=1, keepdims=True), places[near])


def _with_steps(graph: object, points: Points, length: float) -> object:
    """The graph with an edge between each unit's points at neighbouring epochs, of weight exp(-step / length).

    length: the mean distance between neighbours, so that a step as long as that counts as 1/e.
    """
    from scipy.sparse import coo_matrix

    before, after = points.steps()
    step = np.linalg.norm(points.vectors[before] - points.vectors[after], axis=1)
    weights = np.exp(-step / max(length, 1e-12))
    ends = np.concatenate([before, after]), np.concatenate([after, before])
    edges = coo_matrix((np.concatenate([weights, weights]), ends), shape=graph.shape)  # type: ignore[attr-defined]
    return graph.maximum(edges.tocsr().astype(np.float32)).tocoo()  # type: ignore[attr-defined]
