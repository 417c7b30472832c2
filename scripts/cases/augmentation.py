"""What a training does to pictures before the network sees them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmon.images.preprocessing import IMAGENET_MEAN, IMAGENET_STD


def augmented(pixels: Tensor, generator: torch.Generator, moved: int) -> Tensor:
    """(B,3,S,S), each picture mirrored half of the time and moved on its own by up to `moved` pixels each way.

    What comes in is black. The generator is the processor's, so that a GPU sees the same pictures.
    """
    count, _, side, _ = pixels.shape
    flipped = (torch.rand(count, generator=generator) < 0.5).to(pixels.device)
    pixels = torch.where(flipped[:, None, None, None], pixels.flip(3), pixels)
    padded = nn.functional.pad(pixels, (moved,) * 4).permute(0, 2, 3, 1)
    corner = torch.randint(0, 2 * moved + 1, (2, count, 1), generator=generator) + torch.arange(side)
    rows, columns = corner.to(pixels.device)
    every = torch.arange(count, device=pixels.device)[:, None, None]
    return padded[every, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def normalized(values: Tensor) -> Tensor:
    """(B,3,S,S) float32 of 0 to 1 as torchvision's ImageNet models want it, channels last in memory."""
    mean, std = (
        torch.tensor(numbers, device=values.device).view(1, 3, 1, 1)
        for numbers in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return ((values - mean) / std).to(memory_format=torch.channels_last)
