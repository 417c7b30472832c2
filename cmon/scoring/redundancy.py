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


def overlap(top: npt.NDArray[np.integer]) -> float:
    """Mean share of their top images that two different units have in common, 0 to 1; NaN for fewer than two units.

        mean over pairs j < k of |T_j and T_k| / T

    top: (K,T) each unit's T most activating images, no image twice in a row. Units that put the N images in random
    order have T / N in common. An image that c units have among their top images is common to c (c - 1) / 2 pairs,
    so that no pair is looked at.
    """
    units, images = top.shape
    if units < 2:
        return float("nan")
    counts = np.bincount(top.ravel()).astype(np.float64)
    return float((counts * (counts - 1)).sum() / (units * (units - 1) * images))
