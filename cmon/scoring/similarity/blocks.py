"""Blocks of concepts: how many at a time, and work on all of them in order.

Notation, here and in the files of the functions: N probe images, C concepts, K units, D dimensions of CLIP's space;
C' concepts of one block. `images` (N,D) and `texts` (C,D) are float32 *unit* vectors. The (N,C) matrix of image-concept
cosines is never held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from cmon.scoring.similarity.parallel import map_in_order

LARGEST = 640
"""Concepts in a block, at most. (Of rows of more than 64 k numbers, and ten concepts are kept, torch's topk takes the k
largest twice as fast.)"""
_COSINES = 2**24
"""Cosines in a block, if that leaves it 64 concepts: beside what is kept of the units, a pass holds one block more than
there are cores."""

Block = tuple[Tensor, ...]
"""What a similarity function needs of the images and the concepts of one block."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def concept_slices(images: int, concepts: int) -> list[slice]:
    """The blocks of concepts, in order."""
    width = min(LARGEST, max(64, _COSINES // max(1, images)))
    return [slice(start, min(start + width, concepts)) for start in range(0, concepts, width)]


def map_blocks(
    work: Callable[[slice, Item], Result],
    blocks: Iterable[tuple[slice, Callable[[], Item]]],
    device: torch.device,
) -> Iterator[tuple[slice, Result]]:
    """(the concepts' slice, `work` of them and their block) for each block, in order, on all cores."""

    def make_and_work(block: tuple[slice, Callable[[], Item]]) -> tuple[slice, Result]:
        concepts, make = block
        return concepts, work(concepts, make())

    return map_in_order(make_and_work, blocks, device)
