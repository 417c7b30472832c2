"""The layout `joint`: one neighbour graph over all points, laid out once by UMAP.

A unit's own points at other epochs do not count as its neighbours. Instead an edge joins a unit to itself at the epochs
before and after, the heavier the less it moved in CLIP's space. Neighbours are kept well; but UMAP scales every
neighbourhood by its own nearest distances, and so distances to anchors are not. The movement that UMAP's random forces
leave where there is none in CLIP's space is then smoothed away along each trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cmon.embedding.layouts.base import Fitted, Floats, Places, Points, UpdatableLayout, normalise_places
from cmon.embedding.layouts.fuzzy_graph import NEIGHBOURS, umap_graph
from cmon.embedding.layouts.neighbours import nearest, nearest_other_units
from cmon.embedding.layouts.pca import PrincipalPlane

SMOOTHING = 0.03
"""How firmly a unit's points at neighbouring epochs are held together; see `smooth_trajectories`."""
SUPPORT = 15
"""Fitted points whose mean is a new point's place."""


@dataclass(frozen=True)
class Joint(UpdatableLayout):
    """Units and anchors in one graph; a new unit lies among its nearest fitted ones."""

    name: ClassVar[str] = "joint"

    def fit(self, points: Points, anchors: Floats, others: Floats, seed: int) -> Places:
        """Fewer than four points in all have no neighbourhoods and are placed by principal components."""
        vectors = np.vstack([points.vectors, anchors])
        count = len(points.vectors)
        start = PrincipalPlane.of(vectors).project(vectors)
        if len(vectors) < 4 or np.ptp(start, axis=0).min() < 1e-6:
            return normalise_places(start[:count], start[count:])
        own = np.unique(points.units, return_inverse=True)[1]
        units = np.concatenate(
            [own, own.max(initial=-1) + 1 + np.arange(len(anchors))]
        )  # each anchor is its own
        near, distances = nearest_other_units(vectors, units, NEIGHBOURS - 1, seed)
        if near.shape[1] < 2:
            return normalise_places(start[:count], start[count:])
        random = np.random.RandomState(seed)
        graph = umap_graph(near, distances)
        length = float(np.sqrt(2 * distances[:, 1:]).mean())
        graph = add_step_edges(graph, points, length)
        # Points with the same vector would start in the same place, where no force separates them.
        start = start + random.normal(scale=1e-4 * np.abs(start).max(), size=start.shape)
        places = umap_places(vectors, graph, start, random, 0.1)
        return normalise_places(smooth_trajectories(places[:count], points, length), places[count:])

    def place(self, points: Points, fitted: Fitted, others: Floats, seed: int) -> Floats:
        """The mean of the places of the nearest fitted points and anchors, with weights 1 / distance^2: so a unit
        that has not moved in CLIP's space since a fitted epoch does not move in the plane."""
        near, distances = nearest(points.vectors, np.vstack([fitted.points.vectors, fitted.anchors]), SUPPORT)
        # A cosine in single precision is exact to 1e-7: what is nearer than that is the same.
        weights = 1 / np.maximum(distances, 1e-7)
        places = np.vstack([fitted.places.points, fitted.places.anchors])[near]
        return np.einsum("kn,kni->ki", weights / weights.sum(axis=1, keepdims=True), places)


def umap_places(
    vectors: Floats,
    graph: Any,
    start: Floats,
    random: np.random.RandomState,
    min_distance: float,
    epochs: int | None = None,
) -> Floats:
    """UMAP's places of a graph, (P,2), from a start (P,2); epochs None takes umap-learn's default."""
    from umap.umap_ import find_ab_params, simplicial_set_embedding

    a, b = find_ab_params(1.0, min_distance)
    places, _ = simplicial_set_embedding(
        vectors,
        graph,
        n_components=2,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=epochs,
        init=(10 * start / max(np.abs(start).max(), 1e-12)).astype(np.float32),
        random_state=random,
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
    )
    return places.astype(np.float64)


def add_step_edges(graph: Any, points: Points, length: float) -> Any:
    """The sparse graph with an edge between each unit's points at neighbouring epochs, of weight exp(-step / length).

    length: the mean distance between neighbours, so that a step as long as that counts as 1/e.
    """
    from scipy.sparse import coo_matrix

    before, after = points.steps()
    step = np.linalg.norm(points.vectors[before] - points.vectors[after], axis=1)
    weights = np.exp(-step / max(length, 1e-12))
    ends = np.concatenate([before, after]), np.concatenate([after, before])
    edges = coo_matrix((np.concatenate([weights, weights]), ends), shape=graph.shape)
    return graph.maximum(edges.tocsr().astype(np.float32)).tocoo()


def smooth_trajectories(places: Floats, points: Points, length: float) -> Floats:
    """(P,2) smoothed: y that minimises sum |y - x|^2 + sum over steps of w |y_after - y_before|^2, x the places.

    w = SMOOTHING * (length / step)^2, step in CLIP's space, length the mean distance between neighbours there: a unit
    that stands still stands still in the plane, and one that goes from neighbours to others hardly changes. Measured
    over SMOOTHING of 0.01 to 1 on the demo and on simulated training: more costs trustworthiness, less leaves movement.
    """
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import spsolve

    before, after = points.steps()
    if len(before) == 0:
        return places
    step = np.linalg.norm(points.vectors[before] - points.vectors[after], axis=1)
    weight = SMOOTHING * (length / np.maximum(step, 1e-4 * max(length, 1e-9))) ** 2
    ends = np.concatenate([before, after]), np.concatenate([after, before])
    joined = coo_matrix((np.concatenate([weight, weight]), ends), shape=(len(places), len(places))).tocsr()
    own = diags(1 + np.asarray(joined.sum(axis=1)).ravel())
    return spsolve((own - joined).tocsc(), places).reshape(places.shape)
