"""Pictures of our own making, to find out what a preprocessing and a network do before any real one is read."""

from __future__ import annotations

import numpy as np
from PIL import Image


def trial_pictures(count: int = 3) -> list[Image.Image]:
    """(256, 256) RGB pictures that differ in every patch: colours in blocks of several sizes, from a seed.

    Not blank ones: on these, layers may give NaN, or all the same values whichever axis is read.
    """
    generator = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        values = np.zeros((256, 256, 3))
        for side in (4, 16, 64):
            blocks = generator.uniform(0, 255, (256 // side, 256 // side, 3))
            values += np.kron(blocks, np.ones((side, side, 1))) / 3
        pictures.append(Image.fromarray(values.astype(np.uint8)))
    return pictures
