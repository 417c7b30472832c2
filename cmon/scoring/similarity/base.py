"""The common shape of the similarity functions: evidence, block of concepts by block of concepts.

Notation, here and in the files of the functions: N probe images, C concepts, K units, D dimensions of
CLIP's space; C' concepts of one block. `images` (N,D) and `texts` (C,D) are float32 *unit* vectors. The
(N,C) matrix of image-concept cosines is never held.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from cmon.scoring.priors import Chance
from cmon.scoring.similarity.parallel import map_in_order
from cmon.scoring.similarity.top_k import top_k

BLOCK = 640
"""Concepts at a time, at most. (Of rows of more than 64 k numbers, and ten concepts are kept, torch's topk takes
the k largest twice as fast.)"""
_NUMBERS = 2**24
"""Cosines in one block, if that leaves it 64 concepts: beside what is kept of the units, a pass holds one block more
than there are cores."""

_KEPT = 2**28
"""Up to so many exponentials, 1 GB, the first of the softmax's two passes leaves all to the second, on the CPU, where
to make them again takes a third of all the time. Of many more, keeping a part would gain little."""

_SUMMED = 64
"""Products that are added one after the other where the order of cosines counts. oneDNN's sum of all 512 at once
rounds 2.4 times as much as MKL's; pieces of 64 halve MKL's error, and are still as fast."""

Units = tuple[Tensor, ...]
"""What a function keeps of units: tensors with a row per unit, so that they can be joined and cut."""
Block = tuple[Tensor, ...]
"""What a function needs of the images and the concepts of one block."""
Pieces = tuple[Tensor, ...]
"""Rows of vectors, cut along their dimensions, as `_Product` takes them."""
Ranking = Callable[[Tensor, int], Tensor]
"""(K,N) activations and k to (K, min(k, N)) int64: the k most activating images, most activating first."""


Result = TypeVar("Result")


class Exponentials(NamedTuple):
    """A softmax's numerators over the concepts of one block."""

    block: Tensor
    """(N,C') float32, the image's largest is 1: nothing can overflow."""
    largest: Tensor
    """(N,): the logarithm of what that 1 stands for."""


class Similarity(ABC):
    """How well concepts explain units. One pass over the concepts serves any number of units:

        units = function.units(images, activations)          # of one or of all epochs, joined
        for concepts, block in function.blocks(images, texts):
            evidence = function.evidence(block(), units)     # (K,C'): the larger, the better

    where `of_blocks` makes the blocks on all cores.

    A subclass is a frozen dataclass of the function's parameters.
    """

    name: ClassVar[str]
    order_only: ClassVar[bool]
    """Whether only the order of a unit's activations counts, so that one set of pseudo-units, random image
    orders, serves all units; else a unit's chance is that of its own activations, dealt out at random."""

    @abstractmethod
    def top_images(self, images: int) -> int | None:
        """How many of its most activating images speak for a unit, given N; None: all, by their activation."""

    @abstractmethod
    def units(self, images: Tensor, activations: Tensor, ranking: Ranking | None = None) -> Units:
        """What is kept of units. activations: (N,K), finite. ranking: see `first_of_equals`, the default."""

    @abstractmethod
    def blocks(self, images: Tensor, texts: Tensor) -> Iterator[tuple[slice, Callable[[], Block]]]:
        """Blocks of concepts in order: (the concepts' slice, a call that makes what `evidence` needs of them).

        What all blocks share is made here and now, on all cores.
        """

    @abstractmethod
    def evidence(self, block: Block, units: Units) -> Tensor:
        """(K,C') float32, finite: how well each concept of the block explains each unit."""

    @abstractmethod
    def chance(self, kind: str, block: Block, units: Units, pseudo: Tensor | None) -> Chance:
        """What the block's concepts get from `units` by chance, for the prior `kind`, 'null' or 'standardized'.

        pseudo: (M,C') evidence of pseudo-units; needed where `order_only`, else unused.
        """

    def layer_prior(self, evidence: Tensor) -> Tensor:
        """What CLIP-Dissect takes from the evidence of one layer's units, (K,C') to (C',), K at least 1."""
        return torch.zeros(evidence.shape[1], device=evidence.device)


def joined(parts: Sequence[Units]) -> Units:
    """The units of all parts, one part after the other."""
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


def first_of_equals(activations: Tensor, k: int) -> Tensor:
    """The k most activating images, of equal ones the first. A `Ranking`."""
    return top_k(activations, k).indices


def any_of_equals(activations: Tensor, k: int) -> Tensor:
    """The k most activating images, of equal ones whichever torch takes: CLIP-Dissect's. A `Ranking`."""
    return activations.contiguous().topk(min(k, activations.shape[1]), dim=1).indices


def concept_slices(images: int, concepts: int) -> list[slice]:
    """The blocks of concepts, in order."""
    width = min(BLOCK, max(64, _NUMBERS // max(1, images)))
    return [slice(start, min(start + width, concepts)) for start in range(0, concepts, width)]


def of_blocks(
    work: Callable[[Block], Result],
    blocks: Iterable[tuple[slice, Callable[[], Block]]],
    device: torch.device,
) -> Iterator[tuple[slice, Result]]:
    """(the concepts' slice, `work` of their block) for each block, in order, on all cores."""
    return map_in_order(lambda some: (some[0], work(some[1]())), blocks, device)


def cosine_blocks(
    images: Tensor, texts: Tensor, *, for_order: bool = False
) -> Iterator[tuple[slice, Callable[[], Tensor]]]:
    """Blocks of concepts: (the concepts' slice, a call that makes their cosines, (N,C') float32).

    for_order: as exact as a float32 is, since it is the cosines' order that counts.
    """
    product = _Product(images, _SUMMED if for_order else None)

    def cosines(some: Pieces) -> Tensor:
        return torch.cat([product(tile, some) for tile in product.tiles])

    return ((concepts, partial(cosines, some)) for concepts, some in product.blocks(texts))


def log_normalizer(
    images: Tensor, texts: Tensor, a: float, kept: dict[int, Exponentials] | None = None
) -> Tensor:
    """log of the softmax's denominator: logsumexp over all concepts of a * cosine; (N,).

    One pass over the concepts, shared by all layers, epochs and runs. kept: takes the exponentials, by the position
    of their block's first concept, if there is room for all.
    """
    product = _Product(images)
    room = images.device.type == "cpu" and len(images) * len(texts) <= _KEPT

    def of_block(some: tuple[slice, Pieces]) -> Tensor:
        concepts, pieces = some
        found = _exponentials(product, pieces, a)
        if kept is not None and room:
            kept[concepts.start] = found
        return found.largest + found.block.sum(dim=1).log_()

    total = torch.full((len(images),), -math.inf, device=images.device)
    for of_some in map_in_order(of_block, product.blocks(texts), images.device):
        total = torch.logaddexp(total, of_some)
    return total


def probability_blocks(
    images: Tensor, texts: Tensor, a: float
) -> Iterator[tuple[slice, Callable[[], Tensor]]]:
    """Blocks of concepts: (the concepts' slice, a call that makes their P, (N,C') float32).

    P[i,c] = softmax over all concepts of a * cosine(image i, text c).
    """
    kept: dict[int, Exponentials] = {}
    normalizer = log_normalizer(images, texts, a, kept)
    product = _Product(images)

    def probabilities(concepts: slice, some: Pieces) -> Tensor:
        found = kept.pop(concepts.start, None) or _exponentials(product, some, a)
        return found.block.mul_((found.largest - normalizer).exp_()[:, None])

    return ((concepts, partial(probabilities, concepts, some)) for concepts, some in product.blocks(texts))


def _exponentials(product: _Product, some: Pieces, a: float) -> Exponentials:
    """Of a * cosine with the concepts of one block, tile by tile, so that each stays in cache meanwhile."""
    block = torch.empty(product.count, len(some[0]), device=product.device)
    largest = torch.empty(product.count, device=product.device)
    for tile, out, most in zip(
        product.tiles, block.split(product.tile), largest.split(product.tile), strict=True
    ):
        cosines = product(tile, some).mul_(a)
        torch.amax(cosines, dim=1, out=most)
        torch.exp(cosines.sub_(most[:, None]), out=out)
    return Exponentials(block, largest)


def row_sums(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of a table's rows, without gathering them: sum over r of weights[k,r] * table[rows[k,r]].

    table (N,C') float32, rows (K,R) int64, weights (K,R) float32. Returns (K,C') float32.
    """
    if table.device.type in ("cpu", "cuda"):  # there one fused kernel reads each row once and keeps the sum
        return torch.nn.functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
    return gathered_row_sums(table, rows, weights)


def gathered_row_sums(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """`row_sums` for any device: a few units at a time, their rows gathered."""
    step = max(1, 2**22 // max(1, rows.shape[1] * table.shape[1]))
    parts = [
        torch.einsum("kr,krc->kc", some_weights, table[some_rows])
        for some_rows, some_weights in zip(rows.split(step), weights.split(step), strict=True)
    ]
    return torch.cat(parts)


def product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, (K,N) and (N,C') float32, by the fastest way that the device has."""
    if not _packs(left.device) or not left.numel():
        return left @ right
    packed = right.T.contiguous().to_mkldnn()
    parts = left.split(512)  # packing is copying
    return torch.cat([linear(some.contiguous().to_mkldnn(), packed).to_dense() for some in parts])


def wide(device: torch.device) -> torch.dtype:
    """float64, where the device has it: for sums whose terms cancel, and squares and cubes that overflow."""
    return torch.float32 if device.type == "mps" else torch.float64


class _Product:
    """images @ texts.T in blocks of concepts, and these in tiles of images, so that what follows stays in cache.

    summed: how many products oneDNN may add one after the other; None: all of them.
    """

    def __init__(self, images: Tensor, summed: int | None = None) -> None:
        self.tile = 2048 if images.device.type == "cpu" else max(1, len(images))
        self.count = len(images)
        self.device = images.device
        self.packed = _packs(images.device)
        self.summed = summed or max(1, images.shape[1])
        self.tiles = [self._pack(some) for some in images.split(self.tile)]

    def blocks(self, texts: Tensor) -> Iterator[tuple[slice, Pieces]]:
        """(the concepts' slice, their texts as a call takes them)."""
        for concepts in concept_slices(self.count, len(texts)):
            yield concepts, self._pack(texts[concepts])

    def __call__(self, tile: Pieces, some: Pieces) -> Tensor:
        """Cosines of a tile's images with a block's texts: (tile, C') float32."""
        if not self.packed:
            return tile[0] @ some[0].T
        total, *others = (linear(left, right).to_dense() for left, right in zip(tile, some, strict=True))
        for part in others:
            total += part
        return total

    def _pack(self, rows: Tensor) -> Pieces:
        if not self.packed:
            return (rows,)
        return tuple(piece.contiguous().to_mkldnn() for piece in rows.split(self.summed, dim=1))


def _packs(device: torch.device) -> bool:
    """Whether oneDNN is there: torch.mm goes to MKL, which gives an AMD processor less than half of its speed."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available()
