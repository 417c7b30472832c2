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

from cmon.scoring.similarity import room as rooms
from cmon.scoring.similarity.parallel import map_in_order
from cmon.scoring.similarity.room import Room

Block = tuple[Tensor, ...]
"""What a similarity function needs of the images and the concepts of one block."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def concept_slices(images: int, concepts: int, room: Room | None = None) -> list[slice]:
    """The blocks of concepts, in order."""
    width = room.width if room else rooms.default_width(images)
    return [slice(start, min(start + width, concepts)) for start in range(0, concepts, width)]


def map_blocks(
    work: Callable[[slice, Item], Result],
    blocks: Iterable[tuple[slice, Callable[[], Item]]],
    device: torch.device,
    room: Room | None = None,
) -> Iterator[tuple[slice, Result]]:
    """(the concepts' slice, `work` of them and their block) for each block, in order, on all cores.

    room: how many blocks may be worked on at a time; None: as many as there are cores.
    """

    def make_and_work(block: tuple[slice, Callable[[], Item]]) -> tuple[slice, Result]:
        concepts, make = block
        return concepts, work(concepts, make())

    return map_in_order(make_and_work, blocks, device, room.workers if room else None)
