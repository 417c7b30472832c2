"""Random unit vectors of images and of concepts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def draw(images: int, concepts: int, width: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        normalize(torch.randn(images, width, generator=generator), dim=1),
        normalize(torch.randn(concepts, width, generator=generator), dim=1),
    )
