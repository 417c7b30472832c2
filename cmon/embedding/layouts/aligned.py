"""The layout `aligned`: umap-learn's AlignedUMAP, a UMAP for each epoch, pulled together where units are the same.

It stands here to be compared with: it keeps neighbours a little better than `anchored`, all other measures are worse,
and it takes a hundred times as long. What was found in umap-learn 0.5.12, and what is done about it:

- a unit missing from one epoch breaks its chain of relations: a unit is carried through the epochs at which it has no
  vector, with its last one (at first, with its first), and left out of the result there;
- a relation into the last epoch is dropped: the last epoch stands there twice, and the copy is thrown away;
- `transform_seed`, not `random_state`, seeds the layout: both are set;
- `min_dist`, `spread`, `learning_rate` and `negative_sample_rate` never reach the aligned layout: none is offered;
- anchors drift between epochs: epochs are turned onto each other by the anchors, and an anchor lies at the mean of
  its places. The drift that remains is in the units' distances to it, and nothing can be done about that;
- points that umap-learn leaves without a place (NaN) get that of their nearest neighbour of the same epoch;
- it compiles anew in every fit, and cannot place a new epoch without moving the old ones.
"""

from __future__ import annotations

import warnings

import numpy as np

from cmon.embedding.layouts import base as layout
from cmon.embedding.layouts import neighbours
from cmon.embedding.layouts.base import Floats, Places, Points, Whole


def fit(points: Points, anchors: Floats, seed: int) -> Places:
    """A slice for each epoch, all units and anchors in each. points.vectors (P,D), anchors (A,D): unit vectors.

    Fewer than four units and anchors in all are placed by principal components.
    """
    epochs, row, units = _carried(points)
    width = len(units) + len(anchors)
    if width < 4 or len(units) == 0:
        return layout.pca(points, anchors, np.ones(len(points.units), dtype=bool))
    from umap import AlignedUMAP

    slices = [np.vstack([points.vectors[rows], anchors]) for rows in row]
    slices.append(slices[-1])
    same = {index: index for index in range(width)}
    aligned = AlignedUMAP(
        n_neighbors=min(layout.NEIGHBOURS, width - 1),
        random_state=seed,
        transform_seed=seed,
    )
    with warnings.catch_warnings():
        # umap says that a seed makes it run on one core, and sklearn what it will rename
        warnings.simplefilter("ignore")
        found = aligned.fit(slices, relations=[same] * len(epochs)).embeddings_
    placed = [
        _without_gaps(np.asarray(one, dtype=np.float64), vectors)
        for one, vectors in zip(found, slices, strict=True)
    ]
    turned = turned_together([one[len(units) :] for one in placed], placed)
    own = np.searchsorted(units, points.units)
    places = np.stack(turned[:-1])[np.searchsorted(epochs, points.epochs), own]
    return layout.framed(places, np.mean([one[len(units) :] for one in turned[:-1]], axis=0))


def turned_together(anchors: list[Floats], slices: list[Floats]) -> list[Floats]:
    """Slices moved, turned and mirrored so that their anchors, (A,2) each, lie on the first slice's as well as can be.

    Orthogonal Procrustes (Schonemann 1966); lengths are kept.
    """
    found = []
    goal = anchors[0] - anchors[0].mean(axis=0)
    for own, points in zip(anchors, slices, strict=True):
        centre = own.mean(axis=0)
        left, _, right = np.linalg.svd((own - centre).T @ goal)
        found.append((points - centre) @ (left @ right))
    return found


def _carried(points: Points) -> tuple[Floats, Whole, Whole]:
    """(E,) epochs, (E,U) the row of each unit at each epoch or at the nearest before (else after), (U,) units."""
    epochs, units = np.unique(points.epochs), np.unique(points.units)
    row = np.full((len(epochs), len(units)), -1)
    row[np.searchsorted(epochs, points.epochs), np.searchsorted(units, points.units)] = np.arange(
        len(points.units)
    )
    for at in range(1, len(epochs)):
        row[at] = np.where(row[at] < 0, row[at - 1], row[at])
    for at in range(len(epochs) - 2, -1, -1):
        row[at] = np.where(row[at] < 0, row[at + 1], row[at])
    return epochs, row, units


def _without_gaps(places: Floats, vectors: Floats) -> Floats:
    known = np.asarray(np.isfinite(places).all(axis=1))
    if known.all():
        return places
    if not known.any():
        return np.zeros_like(places)
    near, _ = neighbours.nearest(vectors[~known], vectors[known], 1)
    places = places.copy()
    places[~known] = places[known][near[:, 0]]
    return places
