"""Placing unit vectors and anchors in one plane: the anchored layout.

The anchors, the concepts of interest, are placed once by UMAP, around a middle left free. Every unit of
every epoch then lies at the softmax-weighted mean of the anchors' places. A unit's place is a function of its
vector alone: a unit that stands still in CLIP's space stands still in the plane, new epochs never move old
ones, and distances to the anchors follow those in CLIP's space, which plain UMAP erases by scaling each
neighbourhood to itself.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

NEIGHBOURS = 15
HOLE = 0.75
"""Radius around the middle in which no anchor lies, in units of the anchors' RMS radius; see `opened`."""
PERPLEXITY = 2.0
"""How many anchors, effectively, share an anchor's own place; sets the temperature. See `temperature`."""


def unit_vectors(scores: Floats, concepts: Floats) -> Floats:
    """Each unit's vector: normalised sum over its top concepts of softmax(score) times the text vector.

    scores: (K,R) of the R top concepts; concepts: (K,R,D) their text vectors. Returns (K,D), unit length.
    """
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    vectors = np.einsum("kr,krd->kd", weights, concepts)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def temperature(anchors: Floats, perplexity: float = PERPLEXITY) -> float:
    """The T at which softmax(cosine / T) of an anchor over all anchors has the given mean perplexity.

    anchors: (A,D) unit vectors. A constant T that suits one CLIP fails another: a large CLIP's text vectors
    crowd into a cone, with cosines of 0.5 to 0.9. It depends on the anchors alone, not on any unit, so new
    epochs change nothing. Perplexity is exp(entropy): 1 for a single anchor, A for all alike.
    """
    cosines = anchors @ anchors.T
    wanted = min(perplexity, 0.5 * (1 + len(anchors)))  # with two or three anchors 2 is not between 1 and A
    low, high = 1e-4, 1e2
    for _ in range(60):  # the perplexity grows with T: bisect in log T
        middle = math.sqrt(low * high)
        weights = _softmax(cosines / middle)
        entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1)
        if np.exp(entropy).mean() < wanted:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def place_anchors(anchors: Floats, seed: int) -> Floats:
    """(A,D) unit vectors to (A,2): UMAP with exact cosine neighbours, the middle left free, an RMS distance of 1.

    Fewer than four anchors, or some that all lie in a line, have no neighbourhoods; they are placed by
    principal components.
    """
    count = len(anchors)
    start = _principal_plane(anchors)
    if count < 4 or np.ptp(start, axis=0).min() < 1e-6:
        return scaled(start)
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

    neighbours = min(NEIGHBOURS, count - 1)
    distances = np.clip(1 - anchors @ anchors.T, 0, None).astype(np.float32)
    np.fill_diagonal(distances, 0)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :neighbours].astype(np.int32)
    nearest_distances = np.take_along_axis(distances, nearest, axis=1)
    random = np.random.RandomState(seed)
    # Given exact neighbours, umap-learn need not compile its neighbour search.
    graph, _, _ = fuzzy_simplicial_set(
        anchors,
        neighbours,
        random,
        "precomputed",
        knn_indices=nearest,
        knn_dists=nearest_distances,
    )
    a, b = find_ab_params(1.0, 0.5)
    places, _ = simplicial_set_embedding(
        anchors,
        graph,
        n_components=2,
        initial_alpha=1.0,
        a=a,
        b=b,
        gamma=1.0,
        negative_sample_rate=5,
        n_epochs=1000,
        init=(10 * start / np.abs(start).max()).astype(np.float32),
        random_state=random,
        metric="euclidean",
        metric_kwds={},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
    )
    return opened(places.astype(np.float64))


def place_units(vectors: Floats, anchors: Floats, places: Floats, heat: float) -> Floats:
    """(K,D) unit vectors to (K,2): mean of the anchors' places, weights softmax(cosine / heat).

    anchors: (A,D) unit vectors, places: (A,2).
    """
    result = np.empty((len(vectors), 2))
    for start in range(0, len(vectors), 4096):
        block = slice(start, start + 4096)
        result[block] = _softmax(vectors[block] @ anchors.T / heat) @ places
    return result


def opened(places: Floats, hole: float = HOLE) -> Floats:
    """(A,2) to (A,2) with the middle left free: each place moved outwards to sqrt(r^2 + hole^2), then scaled.

    A unit that is near no anchor lies in the middle, at the mean of all. If anchors lay there too, it would be
    near one of them by accident, and d_anchor in the plane would be small exactly where it must be large.
    """
    places = scaled(places)
    radius = np.linalg.norm(places, axis=1, keepdims=True)
    outward = places / np.maximum(radius, 1e-9)  # a place in the very middle has no direction, and stays
    return scaled(outward * np.sqrt(radius**2 + hole**2))


def scaled(places: Floats) -> Floats:
    """Centred, with an RMS distance from the centre of 1: d_anchor's unit of length. One point goes to 0."""
    centred = places - places.mean(axis=0)
    size = math.sqrt((centred**2).sum(axis=1).mean())
    return centred / size if size > 0 else centred


def _principal_plane(vectors: Floats) -> Floats:
    """(A,D) to (A,2): the first two principal components, zeros where there are fewer."""
    centred = vectors - vectors.mean(axis=0)
    left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(vectors), 2))
    kept = min(2, len(sizes))
    # The sign of a component is arbitrary and differs between libraries: its largest entry is made positive.
    signs = np.sign(right[np.arange(kept), np.abs(right[:kept]).argmax(axis=1)])
    plane[:, :kept] = left[:, :kept] * sizes[:kept] * signs
    return plane


def _softmax(values: Floats) -> Floats:
    values = np.exp(values - values.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)
