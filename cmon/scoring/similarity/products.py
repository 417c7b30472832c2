"""Matrix products by the fastest way that the device has: cosines of images and concepts, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear

from cmon.scoring.similarity.blocks import concept_slices
from cmon.scoring.similarity.room import Room

_SUMMED = 64
"""Products that are added one after the other where the order of cosines counts. oneDNN's sum of all 512 at once
rounds 2.4 times as much as MKL's; pieces of 64 halve MKL's error, and are still as fast."""

_TILE = 1024
"""Images whose cosines are computed together on a CPU: with the 640 concepts of a block 2.6 MB. Of twice as many, what
follows finds half no longer in the cache, and memory is asked for anew each time."""

Pieces = tuple[Tensor, ...]
"""Rows of vectors, cut along their dimensions, as `CosineProduct` takes them."""


@contextmanager
def float32_products() -> Iterator[None]:
    """As long as the block lasts, a product of float32 matrices is one: whatever the program has allowed torch, neither
    TF32 on CUDA (10 bits of mantissa) nor bfloat16 on a CPU (7 bits)."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def matrix_product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, (K,N) and (N,C') float32, by the fastest way that the device has."""
    if not _has_onednn(left.device) or not left.numel():
        return left @ right
    packed = right.T.contiguous().to_mkldnn()
    parts = left.split(512)  # packing is copying
    return torch.cat([linear(part.contiguous().to_mkldnn(), packed).to_dense() for part in parts])


def cosine_blocks(
    images: Tensor, texts: Tensor, room: Room | None = None, *, for_order: bool = False
) -> Iterator[tuple[slice, Callable[[], Tensor]]]:
    """Blocks of concepts: (the concepts' slice, a call that makes their cosines, (N,C') float32).

    for_order: as exact as float32 can be, because the cosines' order counts.
    """
    product = CosineProduct(images, _SUMMED if for_order else None)

    def cosines(block: Pieces) -> Tensor:
        return torch.cat([product(tile, block) for tile in product.tiles])

    return ((concepts, partial(cosines, pieces)) for concepts, pieces in product.blocks(texts, room))


class CosineProduct:
    """images @ texts.T in blocks of concepts, and these in tiles of images: what follows stays in the cache.

    summed: how many products oneDNN may add one after the other; None: all of them.
    """

    def __init__(self, images: Tensor, summed: int | None = None) -> None:
        self.tile = _TILE if images.device.type == "cpu" else max(1, len(images))
        self.count = len(images)
        self.device = images.device
        self.packed = _has_onednn(images.device)
        self.summed = summed or max(1, images.shape[1])
        self.tiles = [self._pack(part) for part in images.split(self.tile)]

    def blocks(self, texts: Tensor, room: Room | None = None) -> Iterator[tuple[slice, Pieces]]:
        """(the concepts' slice, their texts as `__call__` takes them)."""
        for concepts in concept_slices(self.count, len(texts), room):
            yield concepts, self._pack(texts[concepts])

    def __call__(self, tile: Pieces, texts: Pieces) -> Tensor:
        """Cosines of a tile's images with a block's texts: (tile, C') float32."""
        if not self.packed:
            return tile[0] @ texts[0].T
        total, *others = (linear(left, right).to_dense() for left, right in zip(tile, texts, strict=True))
        for other in others:
            total += other
        return total

    def _pack(self, rows: Tensor) -> Pieces:
        if not self.packed:
            return (rows,)
        return tuple(piece.contiguous().to_mkldnn() for piece in rows.split(self.summed, dim=1))


def _has_onednn(device: torch.device) -> bool:
    """Whether oneDNN is there: torch.mm goes to MKL, which gives an AMD processor less than half of its speed."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available()
