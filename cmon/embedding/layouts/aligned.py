"""The layout `aligned`: umap-learn's AlignedUMAP, one UMAP per epoch, pulled together where units are the same.

It is here for comparison: it keeps neighbours a little better than `anchored`, all other measures are worse, and it
takes a hundred times as long. What was found in umap-learn 0.5.12, and what is done about it:

- a unit missing from one epoch breaks its chain of relations: at epochs without a vector, a unit keeps its last one
  (before its first epoch, its first), and is left out of the result there;
- a relation into the last epoch is dropped: the last epoch is given twice, and the copy is thrown away;
- `transform_seed`, not `random_state`, seeds the layout: both are set;
- `min_dist`, `spread`, `learning_rate` and `negative_sample_rate` never reach the aligned layout: none is offered;
- anchors drift between epochs: epochs are rotated onto each other by the anchors, and an anchor lies at the mean of
  its places. The drift that remains is in the units' distances to it, and nothing can be done about that;
- points that umap-learn leaves without a place (NaN) get that of their nearest neighbour of the same epoch;
- it compiles anew in every fit, and cannot place a new epoch without moving the old ones.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cmon.embedding.layouts.base import Floats, Integers, Layout, Places, Points, normalise_places
from cmon.embedding.layouts.fuzzy_graph import NEIGHBOURS
from cmon.embedding.layouts.neighbours import nearest
from cmon.embedding.layouts.pca import Pca


@dataclass(frozen=True)
class Aligned(Layout):
    """A slice for each epoch, all units and anchors in each."""

    name: ClassVar[str] = "aligned"

    def fit(self, points: Points, anchors: Floats, others: Floats, seed: int) -> Places:
        """Fewer than four units and anchors in all are placed by principal components."""
        epochs, row, units = _carry_vectors(points)
        width = len(units) + len(anchors)
        if width < 4 or len(units) == 0:
            return Pca().fit(points, anchors, others, seed)
        slices = [np.vstack([points.vectors[rows], anchors]) for rows in row]
        placed = procrustes(
            [
                _fill_gaps(places, vectors)
                for places, vectors in zip(_aligned_umap(slices, seed), slices, strict=True)
            ],
            len(units),
        )
        own = np.searchsorted(units, points.units)
        places = np.stack(placed)[np.searchsorted(epochs, points.epochs), own]
        return normalise_places(places, np.mean([one[len(units) :] for one in placed], axis=0))


def _aligned_umap(slices: list[Floats], seed: int) -> list[Floats]:
    """(W,D) vectors of each epoch, the same unit or anchor in each row, to (W,2)."""
    from umap import AlignedUMAP

    width = len(slices[0])
    aligned = AlignedUMAP(
        n_neighbors=min(NEIGHBOURS, width - 1),
        random_state=seed,
        transform_seed=seed,
    )
    same = {index: index for index in range(width)}
    with warnings.catch_warnings():
        # umap warns that a seed makes it run on one core, sklearn of parameters that it will rename
        warnings.simplefilter("ignore")
        found = aligned.fit([*slices, slices[-1]], relations=[same] * len(slices)).embeddings_
    return [np.asarray(one, dtype=np.float64) for one in found[:-1]]


def procrustes(slices: list[Floats], units: int) -> list[Floats]:
    """Slices (W,2) moved, rotated and mirrored so that their anchors lie as near as possible to the first slice's.

    units: rows before the anchors. Orthogonal Procrustes (Schonemann 1966); lengths are kept.
    """
    from scipy.linalg import orthogonal_procrustes

    centred = [one - one[units:].mean(axis=0) for one in slices]
    goal = centred[0][units:]
    return [one @ orthogonal_procrustes(one[units:], goal)[0] for one in centred]


def _carry_vectors(points: Points) -> tuple[Floats, Integers, Integers]:
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


def _fill_gaps(places: Floats, vectors: Floats) -> Floats:
    """Places (W,2) with those that are NaN taken from the nearest by vector (W,D) that has one."""
    known = np.asarray(np.isfinite(places).all(axis=1))
    if known.all():
        return places
    if not known.any():
        return np.zeros_like(places)
    near, _ = nearest(vectors[~known], vectors[known], 1)
    places = places.copy()
    places[~known] = places[known][near[:, 0]]
    return places
