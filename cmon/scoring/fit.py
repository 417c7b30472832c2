"""How many of a unit's most activating images fit its label, by CLIP's own ranking of the images.

A figure shows a handful of images, and a label rests on a hundred: the share says whether the rest is alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cmon.scoring.similarity.products import float32_products
from cmon.top_k import top_k

FITTING_SHARE = 0.1
"""Of all images, those that fit a concept: so images in random order fit by a tenth."""
_BLOCK = 64
"""Concepts that are ranked at a time."""


def fitting_images(images: int) -> int:
    """How many of `images` fit a concept: at least 1."""
    return max(1, int(images * FITTING_SHARE))


@float32_products()
def fits(
    images: Tensor, texts: Tensor, labels: Tensor, top: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """For each unit, the share of its top images that fit its label, (K,), 0 to 1; by chance `fitting_images(N)` / N.

        fit_j = |T_j and F(label_j)| / T;  F(c): the `fitting_images(N)` images i with the largest cos(image_i, text_c)

    images (N,D), texts (C,D): unit vectors on one device. labels: (K,) int64, positions in `texts`. top: (K,T)
    positions in `images`, no image twice in a row. Of images that are equally similar the first in `images` counts.
    """
    named, which = labels.to(texts.device).unique(return_inverse=True)
    shown = torch.from_numpy(np.ascontiguousarray(top, dtype=np.int64)).to(texts.device)
    found = torch.zeros(len(labels), dtype=torch.float64, device=texts.device)
    count = fitting_images(len(images))
    for start in range(0, len(named), _BLOCK):
        similar = texts[named[start : start + _BLOCK]] @ images.T
        fit = torch.zeros_like(similar, dtype=torch.bool).scatter_(1, top_k(similar, count).indices, True)
        units = ((which >= start) & (which < start + _BLOCK)).nonzero().squeeze(1)
        found[units] = fit[which[units] - start].gather(1, shown[units]).double().mean(dim=1)
    return found.cpu().numpy()
