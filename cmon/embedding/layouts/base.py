"""What all layouts share: vectors of units, the plane's unit of length, its principal axes, UMAP on a given graph.

The layouts are `anchored` (the default), `joint`, `aligned`, and `Principal`, here, the simplest. Each places the
units of all runs, layers and epochs together with the anchors, in one fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Whole = npt.NDArray[np.integer]

NEIGHBOURS = 15


@dataclass(frozen=True)
class Points:
    """Units at their epochs, one row each; those without a vector are not among them."""

    vectors: Floats
    """(P,D), unit length."""
    units: Whole
    """(P,): equal where it is the same unit of the same run and layer."""
    epochs: Floats
    """(P,): no unit has the same epoch twice."""

    def steps(self) -> tuple[Whole, Whole]:
        """(S,) rows before and (S,) rows after: each unit at each epoch, and at the next at which it has a vector."""
        order = np.lexsort((self.epochs, self.units))
        same = self.units[order[:-1]] == self.units[order[1:]]
        return order[:-1][same], order[1:][same]


@dataclass(frozen=True)
class Places:
    """Where a layout put them; in both, lengths are in units of the anchors' RMS radius, the centre theirs."""

    points: Floats
    """(P,2)."""
    anchors: Floats
    """(A,2)."""


def unit_vectors(scores: Floats, concepts: Floats) -> Floats:
    """Each unit's vector: normalised sum over its top concepts of softmax(score) times the text vector.

    scores: (K,R) of the R top concepts; concepts: (K,R,D) their text vectors. Returns (K,D), unit length.
    """
    vectors = np.einsum("kr,krd->kd", softmax(scores), concepts)
    return normalised(vectors)


def softmax(values: Floats) -> Floats:
    """Over the last axis; no value overflows."""
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    return values / values.sum(axis=-1, keepdims=True)


def normalised(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def scaled(places: Floats) -> Floats:
    """Centred, with an RMS distance from the centre of 1: d_anchor's unit of length. One point goes to 0."""
    return framed(places, places).anchors


def framed(points: Floats, anchors: Floats, fitted: npt.NDArray[np.bool_] | None = None) -> Places:
    """Both moved and scaled alike, so that the anchors are centred and their RMS radius is 1.

    Anchors that all lie in one place (or a single one) have no radius: then the RMS distance of the points from them
    is 1; of the `fitted` points (P,) only, so that new ones do not move old ones.
    """
    own = points if fitted is None else points[fitted]
    centre = anchors.mean(axis=0)
    size = math.sqrt(((anchors - centre) ** 2).sum(axis=1).mean())
    if size < 1e-9 and len(own):
        size = math.sqrt(((own - centre) ** 2).sum(axis=1).mean())
    size = size if size >= 1e-9 else 1.0
    return Places((points - centre) / size, (anchors - centre) / size)


@dataclass(frozen=True)
class Principal:
    """The layout `pca`: the principal plane of all points. A place is a function of the vector."""

    centre: Floats
    """(D,)."""
    axes: Floats
    """(D,2)."""

    @classmethod
    def of(cls, vectors: Floats) -> Principal:
        """The plane through the vectors' mean in which they vary most; zeros where they span no plane."""
        centre = vectors.mean(axis=0)
        values, directions = np.linalg.eigh((vectors - centre).T @ (vectors - centre))
        order = np.argsort(-values)[:2]
        axes = np.zeros((vectors.shape[1], 2))
        spanned = values[order] > 1e-12 * max(values[order[0]], 1e-300)
        axes[:, : len(order)] = directions[:, order] * spanned
        # The sign of a component is arbitrary and differs between libraries: its largest entry is made positive.
        signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
        return cls(centre, axes * signs)

    def at(self, vectors: Floats) -> Floats:
        """(K,D) to (K,2)."""
        return (vectors - self.centre) @ self.axes


def pca(points: Points, anchors: Floats, fitted: npt.NDArray[np.bool_]) -> Places:
    """The principal plane of the fitted points and the anchors, and all points in it."""
    plane = Principal.of(np.vstack([points.vectors[fitted], anchors]))
    return framed(plane.at(points.vectors), plane.at(anchors), fitted)


def umap_graph(neighbours: Whole, distances: Floats, random: np.random.RandomState) -> Any:
    """UMAP's fuzzy graph, (P,P) sparse, of given neighbours: (P,k) indices and rising distances, itself first.

    Given neighbours, umap-learn need not compile its neighbour search.
    """
    from umap.umap_ import fuzzy_simplicial_set

    count, k = neighbours.shape
    graph, _, _ = fuzzy_simplicial_set(
        np.empty((count, 1), dtype=np.float32),  # only its length is looked at
        k,
        random,
        "precomputed",
        knn_indices=neighbours.astype(np.int32),
        knn_dists=distances.astype(np.float32),
    )
    return graph


def umap_places(
    vectors: Floats,
    graph: Any,
    start: Floats,
    random: np.random.RandomState,
    least_distance: float,
    epochs: int | None = None,
) -> Floats:
    """UMAP's layout of a graph, (P,2), from a start (P,2); epochs None takes umap-learn's default."""
    from umap.umap_ import find_ab_params, simplicial_set_embedding

    a, b = find_ab_params(1.0, least_distance)
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
