"""cos_similarity and cos_similarity_cubed: a unit's activations and a concept's similarities as vectors over images.

Both are inner products of a vector of the unit and a vector of the concept, over the N images. So the mean and
variance over all N! orders of the unit's vector x against the concept's y have closed forms:

    mean = N mean(x) mean(y)        variance = N^2 / (N - 1) var(x) var(y)

The standardized cos_similarity is therefore Pearson's correlation times the root of N - 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from cmon.scoring.priors import Chance
from cmon.scoring.similarity.base import Ranking, Similarity, Units, stable_ranking, widest_float
from cmon.scoring.similarity.blocks import Block, concept_slices
from cmon.scoring.similarity.products import cosine_blocks, matrix_product
from cmon.scoring.similarity.room import Room

_CHUNK = 2**22
"""Numbers in double precision that are held at a time."""


class _InnerProduct(Similarity):
    """What both share. Units and blocks hold a vector, and the mean and standard deviation of x or y."""

    order_only = False

    def top_images(self, images: int) -> None:
        return None

    def chance(self, block: Block, units: Units, pseudo: Tensor) -> Chance:
        (*_, count, mean_y, deviation_y), (*_, mean_x, deviation_x) = block, units
        images = float(count)
        mean = images * torch.outer(mean_x, mean_y)
        deviation = images / math.sqrt(max(1.0, images - 1)) * torch.outer(deviation_x, deviation_y)
        return Chance(mean.float(), deviation.float(), least=1e-9)


@dataclass(frozen=True)
class CosSimilarity(_InnerProduct):
    """See `clip_dissect.cos_similarity`.

    The concept's vector is images @ text, so that the inner product with activations x is (x @ images) @ text and
    its length the root of text' (images' images) text: nothing of size (N,C) is ever computed. In double
    precision, since these sums cancel where the cosines are small.

    Units: x @ images / |x|, (K,D). Blocks: text / |images @ text|, (C',D).
    """

    name: ClassVar[str] = "cos_similarity"

    def units(self, images: Tensor, activations: Tensor, ranking: Ranking = stable_ranking) -> Units:
        largest = activations.abs().amax(dim=0).to(widest_float(images.device))
        total = torch.zeros(activations.shape[1], 2, dtype=widest_float(images.device), device=images.device)
        vectors = torch.zeros(
            activations.shape[1], images.shape[1], dtype=widest_float(images.device), device=images.device
        )
        step = max(1, _CHUNK // max(1, *activations.shape[1:], images.shape[1]))
        for part, vectors_of_images in zip(activations.split(step), images.split(step), strict=True):
            x = part.to(vectors.dtype) / torch.where(largest > 0, largest, 1)  # nothing can overflow
            vectors += x.T @ vectors_of_images.to(vectors.dtype)
            total += torch.stack([x.sum(dim=0), x.square().sum(dim=0)], dim=1)
        return _normalize(vectors, len(images), *total.T)

    def blocks(
        self,
        images: Tensor,
        texts: Tensor,
        known: dict[str, Tensor] | None = None,
        room: Room | None = None,
    ) -> Iterator[tuple[slice, Callable[[], Block]]]:
        dtype, width = widest_float(images.device), images.shape[1]
        squares = torch.zeros(width, width, dtype=dtype, device=images.device)
        for part in images.split(max(1, _CHUNK // width)):
            squares += part.to(dtype).T @ part.to(dtype)
        total = images.sum(dim=0, dtype=dtype)
        count = torch.tensor(len(images))

        def block(texts: Tensor) -> Block:
            text = texts.to(dtype)
            length = torch.einsum("cd,cd->c", text @ squares, text).clamp(min=0)
            vectors, mean, deviation = _normalize(text, len(images), text @ total, length)
            return vectors, count, mean, deviation

        slices = concept_slices(len(images), len(texts), room)
        return iter([(concepts, partial(block, texts[concepts])) for concepts in slices])

    def evidence(self, block: Block, units: Units) -> Tensor:
        return (units[0] @ block[0].T).float()


@dataclass(frozen=True)
class CosSimilarityCubed(_InnerProduct):
    """See `clip_dissect.cos_similarity_cubed`. Units and blocks hold (N,K) and (N,C') float32: most of the five."""

    name: ClassVar[str] = "cos_similarity_cubed"
    least_norm: float = 1e-3

    def units(self, images: Tensor, activations: Tensor, ranking: Ranking = stable_ranking) -> Units:
        step = max(1, _CHUNK // len(activations))
        parts = [self._cube(part.to(widest_float(images.device))) for part in activations.split(step, dim=1)]
        vectors, mean, deviation = (torch.cat(part, dim=-1) for part in zip(*parts, strict=True))
        return vectors.T, mean, deviation

    def blocks(
        self,
        images: Tensor,
        texts: Tensor,
        known: dict[str, Tensor] | None = None,
        room: Room | None = None,
    ) -> Iterator[tuple[slice, Callable[[], Block]]]:
        count = torch.tensor(len(images))

        def block(cosines: Callable[[], Tensor]) -> Block:
            vectors, mean, deviation = self._cube(cosines())
            return vectors, count, mean, deviation

        return (
            (concepts, partial(block, cosines)) for concepts, cosines in cosine_blocks(images, texts, room)
        )

    def evidence(self, block: Block, units: Units) -> Tensor:
        return matrix_product(units[0], block[0])

    def _cube(self, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(z - mean)^3 over the larger of its norm and least_norm, float32, its mean and deviation: (N,K) to those."""
        centred = columns - columns.mean(dim=0)
        largest = centred.abs().amax(dim=0).clamp(min=1e-300 if columns.dtype == torch.float64 else 1e-30)
        cubes = centred.div_(largest).pow_(3)  # of numbers up to 1: nothing can overflow
        length = cubes.square().sum(dim=0).sqrt_()
        norm = length.maximum(self.least_norm / largest.pow(3))
        cubes /= norm
        mean = cubes.mean(dim=0)
        # Nothing cancels here: of cubes of centred numbers, the squared mean is a fraction of the mean square. And
        # std_mean takes as long as everything above.
        variance = (length / norm).square() / len(cubes) - mean.square()
        return cubes.float(), mean.float(), variance.clamp(min=0).sqrt().float()


def _normalize(vectors: Tensor, images: int, total: Tensor, squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows divided by the length of the vector over images that they represent, and that vector's mean and deviation
    after the division; 0 where the length is 0.

    total, squares: sum over images of the represented vector, and of its square.
    """
    length = squares.sqrt()
    scale = torch.where(length > 0, 1 / length, 0)
    mean = total / images
    # The variance of equal numbers is not exactly 0, because of rounding; below that limit it is set to 0.
    variance = (squares / images - mean.square()) * (squares > images * mean.square() * (1 + 1e-12))
    return vectors * scale[:, None], mean * scale, variance.clamp(min=0).sqrt() * scale
