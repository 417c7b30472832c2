"""How well units detect concepts whose presence in the images is known.

Two measures, both over all images: average precision (the area under the precision-recall curve, AUPRC) and
Pearson's correlation of activation and presence (point-biserial). Of the measures in use, these are among the five
that change when half of a concept's labels are taken away and when as many false ones are added: Oikarinen, Yan &
Weng, *Evaluating Neuron Explanations: A Unified Framework with Sanity Checks*, ICML 2025 (arXiv 2506.05774). AUPRC
uses only the order of the activations, the correlation the activations themselves.

    activations (N,K) finite, any real type      present (N,C) bool: image i shows concept c
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

_CHUNK = 2**22
"""Numbers that are sorted at a time."""


def average_precision(activations: Floats, present: Bools) -> npt.NDArray[np.float64]:
    """AUPRC of every unit for every concept, (K,C) in 0..1; NaN for a concept that no image shows.

        sum over thresholds of (recall - recall at the threshold above) * precision

    Images of equal activation share one threshold, so their order does not matter. A unit that says nothing gets
    about the share of images that show the concept.

    Image i's precision is the share of true images among the g_i that activate the unit at least as much. So the
    sum is the mean, over the images that show the concept, of (how many of these have a g of at most g_i) / g_i.
    """
    images, units = activations.shape
    result = np.full((units, present.shape[1]), np.nan)
    showing = [np.flatnonzero(column) for column in present.T]
    step = max(1, _CHUNK // max(1, images))
    for start in range(0, units, step):
        falling = -activations[:, start : start + step].T.astype(np.float64)
        order = np.argsort(falling, axis=1)
        at_least = np.empty(falling.shape, dtype=np.int32)  # g, by image
        np.put_along_axis(at_least, order, _count_up_to(np.take_along_axis(falling, order, axis=1)), axis=1)
        for concept, images_with_it in enumerate(showing):
            if len(images_with_it):
                seen = np.sort(at_least[:, images_with_it], axis=1)
                result[start : start + step, concept] = (_count_up_to(seen) / seen).mean(axis=1)
    return result


def correlation(activations: Floats, present: Bools) -> npt.NDArray[np.float64]:
    """Pearson's correlation of every unit with every concept's presence, (K,C) in -1..1.

    0 where the unit is constant, or all images show the concept, or none.
    """
    return _standardize(activations.astype(np.float64)).T @ _standardize(present.astype(np.float64))


def _count_up_to(rows: npt.NDArray) -> npt.NDArray[np.int32]:
    """For each number of rows in rising order, how many of its row are at most that."""
    length = rows.shape[1]
    counts = np.broadcast_to(np.arange(1, length + 1, dtype=np.int32), rows.shape).copy()
    counts[:, :-1][rows[:, 1:] == rows[:, :-1]] = length  # of equal numbers, the last one's count
    return np.minimum.accumulate(counts[:, ::-1], axis=1)[:, ::-1]


def _standardize(columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Columns centred and of length 1; constant ones 0."""
    largest = np.abs(columns).max(axis=0, initial=0)
    columns = columns / np.where(largest > 0, largest, 1)  # nothing can overflow
    varies = columns.max(axis=0, initial=-np.inf) > columns.min(axis=0, initial=np.inf)
    centred = (columns - columns.mean(axis=0)) * varies
    length = np.sqrt((centred**2).sum(axis=0))
    return centred / np.where(length > 0, length, 1)
