"""Units that mean nothing: random image orders, or given activations shuffled among the images.

Their best scores over all concepts are the null distribution of a unit's best score.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_TOGETHER = 64
"""Shuffled units, of different units, that share one permutation: one for each would cost more than all the rest."""


def random_orders(images: int, count: int, top_k: int, seed: int) -> Tensor:
    """Top images of units that mean nothing: (count, min(top_k, images)) int64, random orders from the seed."""
    generator = torch.Generator().manual_seed(seed)
    kept = min(top_k, images)
    parts = []
    for start in range(0, count, 256):  # random numbers of a few pseudo-units at a time
        numbers = torch.rand(min(256, count - start), images, generator=generator)
        parts.append(numbers.topk(kept, dim=1).indices)
    return torch.cat(parts)


def shuffled_units(activations: Tensor, count: int, seed: int) -> Iterator[Tensor]:
    """Pseudo-units of given units: their own activations, in a random order of the images.

    activations: (N,K). Yields (N,k) blocks, k at most 64, `count` columns in all: every unit takes its turn
    in a random order. Units of a block share a permutation and are all different. No units, no blocks.
    """
    images, units = activations.shape
    generator = torch.Generator().manual_seed(seed)
    turns: list[Tensor] = []
    while units and len(turns) * units < count:
        turns.append(torch.randperm(units, generator=generator))
    left = count
    for turn in turns:
        for chosen in turn[:left].split(_TOGETHER):
            order = torch.randperm(images, generator=generator)
            yield activations[order.to(activations.device)][:, chosen.to(activations.device)]
        left -= len(turn)
