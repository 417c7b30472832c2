"""The common shape of the similarity functions: evidence, block of concepts by block of concepts.

Notation, here and in the files of the functions: N probe images, C concepts, K units, D dimensions of
CLIP's space; C' concepts of one block. `images` (N,D) and `texts` (C,D) are float32 *unit* vectors. The
(N,C) matrix of image-concept cosines is never held.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from cmon.priors import Chance
from cmon.topk import top_k

BLOCK = 640
"""Concepts at a time: N x BLOCK numbers are what a pass holds, beside what it keeps of the units. (Of rows of more
than 64 k numbers, and ten concepts are kept, torch's topk takes the k largest twice as fast.)"""

Units = tuple[Tensor, ...]
"""What a function keeps of units: tensors with a row per unit, so that they can be joined and cut."""
Block = tuple[Tensor, ...]
"""What a function needs of the images and the concepts of one block."""
Ranking = Callable[[Tensor, int], Tensor]
"""(K,N) activations and k to (K, min(k, N)) int64: the k most activating images, most activating first."""


class Similarity(ABC):
    """How well concepts explain units. One pass over the concepts serves any number of units:

        units = function.units(images, activations)          # of one or of all epochs, joined
        for concepts, block in function.blocks(images, texts):
            evidence = function.evidence(block, units)       # (K,C'): the larger, the better

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
    def blocks(self, images: Tensor, texts: Tensor) -> Iterator[tuple[slice, Block]]:
        """Blocks of concepts in order: (the concepts' slice, what `evidence` needs of them)."""

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
    return activations.topk(min(k, activations.shape[1]), dim=1).indices


def cosine_blocks(images: Tensor, texts: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Cosines in blocks of concepts: (the concepts' slice, (N,C') float32 of the caller's own)."""
    product = _Product(images)
    for concepts, some in product.blocks(texts):
        cosines = torch.empty(len(images), concepts.stop - concepts.start, device=images.device)
        for out, tile in zip(cosines.split(product.tile), product.tiles(some), strict=True):
            out.copy_(tile)
        yield concepts, cosines


def log_normalizer(images: Tensor, texts: Tensor, a: float) -> Tensor:
    """log of the softmax's denominator: logsumexp over all concepts of a * cosine; (N,).

    One pass over the concepts, shared by all layers, epochs and runs.
    """
    product = _Product(images)
    total = torch.full((len(images),), -math.inf, device=images.device)
    for _, some in product.blocks(texts):
        for out, tile in zip(total.split(product.tile), product.tiles(some), strict=True):
            torch.logaddexp(out, tile.mul_(a).logsumexp(dim=1), out=out)
    return total


def probability_blocks(images: Tensor, texts: Tensor, a: float) -> Iterator[tuple[slice, Tensor]]:
    """P[i,c] = softmax over all concepts of a * cosine(image i, text c), in blocks: (slice, (N,C') float32)."""
    product = _Product(images)
    normalizer = log_normalizer(images, texts, a)[:, None].split(product.tile)
    for concepts, some in product.blocks(texts):
        block = torch.empty(len(images), concepts.stop - concepts.start, device=images.device)
        for out, tile, least in zip(block.split(product.tile), product.tiles(some), normalizer, strict=True):
            torch.exp(tile.mul_(a).sub_(least), out=out)
        yield concepts, block


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


def wide(device: torch.device) -> torch.dtype:
    """float64, where the device has it: for sums whose terms cancel, and squares and cubes that overflow."""
    return torch.float32 if device.type == "mps" else torch.float64


class _Product:
    """images @ texts.T in blocks of concepts, and these in tiles of images, so that what follows stays in cache."""

    def __init__(self, images: Tensor) -> None:
        cpu = images.device.type == "cpu"
        self.tile = 2048 if cpu else max(1, len(images))
        # torch.mm goes to MKL, which gives an AMD processor less than half of oneDNN's speed.
        self.packed = cpu and torch.backends.mkldnn.is_available()
        self.images = [self._pack(some) for some in images.split(self.tile)]

    def blocks(self, texts: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """(the concepts' slice, their texts as `tiles` takes them)."""
        for start in range(0, len(texts), BLOCK):
            concepts = slice(start, min(start + BLOCK, len(texts)))
            yield concepts, self._pack(texts[concepts])

    def tiles(self, texts: Tensor) -> Iterator[Tensor]:
        """The block's cosines, `tile` images at a time: (tile, C') float32."""
        for images in self.images:
            yield linear(images, texts).to_dense() if self.packed else images @ texts.T

    def _pack(self, rows: Tensor) -> Tensor:
        return rows.contiguous().to_mkldnn() if self.packed else rows
