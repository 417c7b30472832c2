"""Pictures made in code."""

from __future__ import annotations

import numpy as np
from PIL import Image


def a_photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with some detail, so that a wrong filter or a shift shows."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
