"""rank_reorder: how well a concept's similarities put a unit's top activations in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from cmon.scoring.priors import Chance
from cmon.scoring.pseudo_units import random_orders
from cmon.scoring.similarity import table_rows
from cmon.scoring.similarity.base import Ranking, Similarity, Units, stable_ranking, widest_float
from cmon.scoring.similarity.blocks import Block
from cmon.scoring.similarity.products import cosine_blocks
from cmon.scoring.similarity.rank_errors import image_ranks, mean_errors, rising_order
from cmon.scoring.similarity.room import Room
from cmon.scoring.similarity.table_rows import row_means

_CHUNK = 2**22
"""Numbers that are held at a time while units are prepared on a CPU."""
_IN_CACHE = 2**18
"""Cosines that are sorted at a time on the CPU: few enough to stay in its cache..."""
_ON_DEVICE = 2**26
"""...and elsewhere, where every call costs the same as so many numbers: with their positions, 1 GB."""
_SUBSETS = 1000
"""Random sets of images from which the distribution of a concept's mean similarity is estimated."""


@dataclass(frozen=True)
class RankReorder(Similarity):
    """See `clip_dissect.rank_reorder`.

    Units: images (K,n) int32, their activations (K,n) float32 in falling order and scaled to [0, 1], the mean
    error of a random order, (K,), and the variance of the error in units of that mean, (K,).
    Blocks: cosines (N,C'), what `with_ranks` adds to them, and the mean of 1 / m**scale_p and of its square over random
    sets of n images, (C',).
    """

    name: ClassVar[str] = "rank_reorder"
    order_only: ClassVar[bool] = False
    p: float = 3.0
    top_fraction: float = 0.05
    scale_p: float = 0.5
    least_mean: float = 0.05
    """A smaller mean cosine counts as this. CLIP's are 0.1 and more; where unrelated ones lie around 0 instead, the
    inverse root of almost 0 would dominate both the concept's evidence and its chance."""

    def top_images(self, images: int) -> int:
        """At least one; of fewer than 20 images CLIP-Dissect takes none (and scores NaN)."""
        return max(1, int(images * self.top_fraction))

    def units(self, images: Tensor, activations: Tensor, ranking: Ranking = stable_ranking) -> Units:
        count = self.top_images(len(images))
        top = ranking(activations.T, count)
        values = activations.T.gather(1, top).to(widest_float(activations.device))
        values = (
            values - values[:, -1:]
        )  # neither a shift nor a factor changes the scores; so nothing can overflow
        values = (values / torch.where(values[:, :1] > 0, values[:, :1], 1)).float()
        random_error = torch.empty(len(values), device=values.device)
        variance = torch.empty_like(random_error)
        step = max(1, (_CHUNK if activations.device.type == "cpu" else _ON_DEVICE) // count**2)
        for start in range(0, len(values), step):
            part = slice(start, start + step)
            errors = (values[part, :, None] - values[part, None, :]).abs_().pow_(self.p)  # (k,n,n)
            by_image = errors.mean(dim=2)
            random_error[part] = by_image.mean(dim=1)
            # Of a sum over a random permutation (Hoeffding 1951): squares of the doubly centred errors.
            errors -= by_image[:, :, None] + by_image[:, None, :] - random_error[part, None, None]
            variance[part] = errors.square_().sum(dim=(1, 2)) / (max(1, count - 1) * count**2)
        varies = random_error > 0
        variance = torch.where(varies, variance / torch.where(varies, random_error, 1).square(), 0)
        return top.int(), values, random_error, variance

    def blocks(
        self,
        images: Tensor,
        texts: Tensor,
        known: dict[str, Tensor] | None = None,
        room: Room | None = None,
    ) -> Iterator[tuple[slice, Callable[[], Block]]]:
        count = self.top_images(len(images))
        subsets = random_orders(len(images), _SUBSETS, count, seed=0).to(images.device)
        parts = [
            images[subset].mean(dim=1)
            for subset in subsets.split(max(1, _CHUNK // (count * images.shape[1])))
        ]
        means = torch.cat(parts)

        def block(cosines: Callable[[], Tensor], texts: Tensor) -> Block:
            factor = self._inverse_power(means @ texts.T)
            return *with_ranks(cosines()), factor.mean(dim=0), factor.square().mean(dim=0)

        return (
            (concepts, partial(block, cosines, texts[concepts]))
            for concepts, cosines in cosine_blocks(images, texts, room, for_order=True)
        )

    def evidence(self, block: Block, units: Units) -> Tensor:
        (cosines, ranks, *_), (top, values, random_error, _) = block, units
        counted = ranks.numel() > 0
        errors = (
            mean_errors(ranks, top, values, self.p) if counted else self._sorted_errors(cosines, top, values)
        )
        # Activations that are all equal say nothing: 0 for every concept.
        relative = torch.where(random_error[:, None] > 0, errors / random_error[:, None], 0)
        return relative.mul_(self._inverse_power(row_means(cosines, top))).neg_()

    def _sorted_errors(self, cosines: Tensor, top: Tensor, values: Tensor) -> Tensor:
        """`rank_errors.mean_errors` on any device, by one sort for each unit and concept."""
        count, concepts = top.shape[1], cosines.shape[1]
        errors = torch.empty(len(top), concepts, device=cosines.device)
        step = max(1, _sorted_together(cosines.device) // (count * concepts))
        for start in range(0, len(top), step):
            part = slice(start, start + step)
            rows = cosines.index_select(0, top[part].flatten()).view(-1, count, concepts)
            order = rising_order(rows.transpose(1, 2).contiguous())  # (k,C',n)
            activations = values[part, None]
            ranked = activations.expand(order.shape).gather(2, order)  # the image of least cosine first
            torch.mean(ranked.sub_(activations.flip(2)).abs_().pow_(self.p), dim=2, out=errors[part])
        return errors

    def chance(self, block: Block, units: Units, pseudo: Tensor) -> Chance:
        """Of a random set of n images in a random order, the error's mean is 1 by its definition, and it is
        independent of the set's mean cosine m: so the mean of -error / m**s is -E[m**-s], and its mean square is
        (1 + variance of the error) E[m**-2s].
        """
        (*_, first, second), (*_, random_error, variance) = block, units
        mean = torch.where(random_error[:, None] > 0, -first, 0)
        square = torch.where(random_error[:, None] > 0, (1 + variance[:, None]) * second, 0)
        return Chance(mean, (square - mean.square()).clamp(min=0).sqrt())

    def _inverse_power(self, mean: Tensor) -> Tensor:
        """1 / m**scale_p. Of a negative mean, CLIP-Dissect's root is NaN."""
        return mean.clamp(min=self.least_mean).pow(-self.scale_p)


def with_ranks(cosines: Tensor) -> tuple[Tensor, Tensor]:
    """(N,C') cosines, and where compiled code does the work their `image_ranks`, (C',N); else nothing."""
    worth = cosines.numel() >= table_rows.WORTH_COMPILING
    if worth and cosines.device.type == "cpu" and table_rows.can_compile():
        return cosines, image_ranks(cosines)
    return cosines, cosines.new_empty(0)


def _sorted_together(device: torch.device) -> int:
    """Cosines that are sorted at a time."""
    return _IN_CACHE if device.type == "cpu" else _ON_DEVICE
