"""Redundancy: how far a layer's units answer to the same images. It needs no CLIP.

Units that share their most activating images get one label, whatever the function and the prior, since nothing in
the images that speak for them tells them apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TOP = 100
"""Most activating images of a unit that are compared, as many as CLIP-Dissect's soft_wpmi looks at..."""
LARGEST_SHARE = 0.05
"""...and at most this share of all images, since of half of them any two units would share half."""


def compared_images(images: int) -> int:
    """How many of a unit's most activating images are compared where there are `images`: at least 1."""
    return max(1, min(TOP, int(images * LARGEST_SHARE)))


def shared(top: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """For each unit, the mean share of its top images that another unit has among its own, (K,), 0 to 1.

        shared_j = mean over k != j of |T_j and T_k| / T

    top: (K,T) each unit's T most activating images, no image twice in a row. Its mean over the units is the layer's
    overlap, the mean over all pairs. Units that put the N images in random order share T / N. NaN for a single unit. An
    image that c units have among their top images gives each of them c - 1, so that no pair is looked at.
    """
    units, images = top.shape
    if units < 2:
        return np.full(units, np.nan)
    counts = np.bincount(top.ravel())
    return (counts[top] - 1).sum(axis=1) / ((units - 1) * images)
