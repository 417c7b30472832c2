"""The softmax over all concepts, block by block: P[i,c] = exp(a s[i,c]) / sum over c' of exp(a s[i,c'])."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from cmon.scoring.similarity.parallel import map_in_order
from cmon.scoring.similarity.products import CosineProduct, Pieces
from cmon.scoring.similarity.room import Room

_KEPT = 2**28
"""Exponentials (1 GB). Up to so many, the softmax's first pass keeps all for the second, on the CPU, where computing
them again takes a third of all the time. Of many more, keeping a part would gain little."""


class Exponentials(NamedTuple):
    """A softmax's numerators over the concepts of one block."""

    block: Tensor
    """(N,C') float32, divided by the image's largest: nothing can overflow."""
    largest: Tensor
    """(N,): the logarithm of that largest one."""
    total: Tensor
    """(N,): the sum over the block's concepts of what is in `block`."""


def probability_blocks(
    images: Tensor,
    texts: Tensor,
    a: float,
    known: dict[str, Tensor] | None = None,
    room: Room | None = None,
) -> Iterator[tuple[slice, Callable[[], tuple[Tensor, Tensor, Tensor]]]]:
    """Blocks of concepts: (the concepts' slice, a call that makes their P, (N,C') float32, and tells two
    numbers between which they lie, the lower first).

    P[i,c] = softmax over all concepts of a * cosine(image i, text c). known: where the softmax's normalizer, (N,), is
    taken from if it is there, and else put.
    """
    kept: dict[int, Exponentials] = {}
    normalizer = (known or {}).get("normalizer")
    if normalizer is None:
        normalizer = log_normalizer(images, texts, a, kept, room)
        if known is not None:
            known["normalizer"] = normalizer.cpu()
    normalizer = normalizer.to(images.device)
    product = CosineProduct(images)

    def probabilities(concepts: slice, pieces: Pieces) -> tuple[Tensor, Tensor, Tensor]:
        found = kept.pop(concepts.start, None) or _exponentials(product, pieces, a)
        scale = (found.largest - normalizer).exp_()
        # An image's largest exponential is 1, and cosines lie between -1 and 1.
        least = scale.min() * math.exp(-2.001 * a)
        return found.block.mul_(scale[:, None]), least, scale.max()

    return (
        (concepts, partial(probabilities, concepts, pieces))
        for concepts, pieces in product.blocks(texts, room)
    )


def log_normalizer(
    images: Tensor,
    texts: Tensor,
    a: float,
    kept: dict[int, Exponentials] | None = None,
    room: Room | None = None,
) -> Tensor:
    """log of the softmax's denominator: logsumexp over all concepts of a * cosine; (N,).

    One pass over the concepts, for all layers, epochs and runs. kept: where the exponentials go, by the position of
    their block's first concept, if there is room for all.
    """
    product = CosineProduct(images)
    fits = images.device.type == "cpu" and len(images) * len(texts) <= _KEPT

    def block_normalizer(block: tuple[slice, Pieces]) -> Tensor:
        concepts, pieces = block
        found = _exponentials(product, pieces, a)
        if kept is not None and fits:
            kept[concepts.start] = found
        return found.largest + found.total.log_()

    total = torch.full((len(images),), -math.inf, device=images.device)
    for normalizer in map_in_order(
        block_normalizer, product.blocks(texts, room), images.device, room.workers if room else None
    ):
        total = torch.logaddexp(total, normalizer)
    return total


def _exponentials(product: CosineProduct, texts: Pieces, a: float) -> Exponentials:
    """Of a * cosine with the concepts of one block, tile by tile, so that each stays in the cache meanwhile."""
    block = torch.empty(product.count, len(texts[0]), device=product.device)
    largest, total = torch.empty(2, product.count, device=product.device)
    cuts = (tensor.split(product.tile) for tensor in (block, largest, total))
    for tile, out, most, sums in zip(product.tiles, *cuts, strict=True):
        cosines = product(tile, texts).mul_(a)
        torch.amax(cosines, dim=1, out=most)
        torch.exp(cosines.sub_(most[:, None]), out=out)
        torch.sum(out, dim=1, out=sums)
    return Exponentials(block, largest, total)
