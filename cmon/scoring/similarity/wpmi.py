"""soft_wpmi and wpmi: the probability of a concept given a unit's most activating images.

Both sum log(1 + odds_r P[i_r,c]) over the ranks r = 0.. of the unit's top images i_0, i_1, ..., where P[i,c] is
the softmax over concepts. That is the logarithm of a product of rows, which compiled code multiplies; or, on any
device, a sum of rows of a few tables: the odds change so smoothly with the rank that all ranks' logarithms are
combinations of a few, see `expansion`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cmon.scoring.priors import Chance, log_mean_exp
from cmon.scoring.similarity import table_rows
from cmon.scoring.similarity.base import Ranking, Similarity, Units, stable_ranking
from cmon.scoring.similarity.blocks import Block
from cmon.scoring.similarity.probabilities import probability_blocks
from cmon.scoring.similarity.room import Room
from cmon.scoring.similarity.table_rows import row_sums

_TABLE, _TABLE_ON_DEVICE = 2**20, 2**28
"""Numbers in one table. On a CPU larger ones leave its cache, and in smaller ones every row costs more to find; other
devices read whole rows from memory at full speed, and every call has its price."""
_LARGEST_LOG = 85.0
"""Of a product: float32 ends at exp(88.7)."""
_TOLERANCE = 1e-4
"""Largest error of a sum over all ranks that `expansion` may make. The plain loop in float32 makes one of 4e-4."""


class _TopImagesFunction(Similarity):
    """What soft_wpmi and wpmi share. Units: one tensor, (K, min(top_k, N)) int32, most activating image first."""

    order_only = True
    a: float
    top_k: int
    lam: float

    def top_images(self, images: int) -> int:
        return min(self.top_k, images)

    def units(self, images: Tensor, activations: Tensor, ranking: Ranking = stable_ranking) -> Units:
        return (ranking(activations.T, self.top_k).int(),)

    def blocks(
        self,
        images: Tensor,
        texts: Tensor,
        known: dict[str, Tensor] | None = None,
        room: Room | None = None,
    ) -> Iterator[tuple[slice, Callable[[], Block]]]:
        """Blocks: P of all images and the block's concepts, (N,C') float32, and two numbers between which they lie."""
        return probability_blocks(images, texts, self.a, known, room)

    def evidence(self, block: Block, units: Units) -> Tensor:
        """L of a block of concepts, (K,C') float32, each at most 0."""
        (probabilities, least, most), (top,) = block, units
        constant, odds = self.factors(top.shape[1])
        largest = float(most)
        # By the block alone, not by how many units there are: a unit's evidence never depends on the others.
        many = probabilities.numel() >= table_rows.WORTH_COMPILING
        if many and probabilities.device.type == "cpu" and table_rows.can_compile():
            return _log_sums_by_products(constant, probabilities, top, odds, float(least), largest)
        return _log_sums_by_tables(probabilities, top, odds, largest).add_(constant)

    @abstractmethod
    def factors(self, ranks: int) -> tuple[float, npt.NDArray[np.float64]]:
        """A constant and odds, (ranks,): L is the constant plus the sum over ranks of log(1 + odds_r P[i_r,c])."""

    def chance(self, block: Block, units: Units, pseudo: Tensor) -> Chance:
        return Chance.estimate(pseudo)

    def layer_prior(self, evidence: Tensor) -> Tensor:
        """lam * log of the mean over the layer's units of exp(L[k,c])."""
        return self.lam * log_mean_exp(evidence)


@dataclass(frozen=True)
class SoftWPMI(_TopImagesFunction):
    """Image i_r belongs to the unit's set with probability p_r, falling with the rank; see `clip_dissect.soft_wpmi`."""

    name: ClassVar[str] = "soft_wpmi"
    a: float = 10.0
    top_k: int = 100
    p_start: float = 0.998
    p_end: float = 0.97
    lam: float = 1.0
    epsilon: float = 1e-7

    def membership(self, images: int) -> npt.NDArray[np.float64]:
        """p_r for r = 0.., (min(top_k, N),). The slope is top_k's, also where N is smaller."""
        return self.p_start - np.arange(self.top_images(images)) / self.top_k * (self.p_start - self.p_end)

    def factors(self, ranks: int) -> tuple[float, npt.NDArray[np.float64]]:
        """With rest_r = 1 - p_r + epsilon, 1 + p_r (P - 1) + epsilon = rest_r (1 + p_r / rest_r P).

        What is added to 1 is small, and free of the cancellation in 1 + p (P - 1).
        """
        belongs = self.membership(ranks)
        rest = 1 - belongs + self.epsilon
        return float(np.log(rest).sum()), belongs / rest


@dataclass(frozen=True)
class WPMI(_TopImagesFunction):
    """All top images belong to the unit's set; see `clip_dissect.wpmi`."""

    name: ClassVar[str] = "wpmi"
    a: float = 2.0
    top_k: int = 28
    lam: float = 0.6
    epsilon: float = 1e-7

    def factors(self, ranks: int) -> tuple[float, npt.NDArray[np.float64]]:
        """P + epsilon = epsilon (1 + P / epsilon)."""
        return ranks * math.log(self.epsilon), np.full(ranks, 1 / self.epsilon)


def _log_sums_by_products(
    constant: float,
    probabilities: Tensor,
    top: Tensor,
    odds: npt.NDArray[np.float64],
    least: float,
    largest: float,
) -> Tensor:
    """constant + sum over ranks of log(1 + odds_r P[i_r,c]): (K,C') float32. Every P lies between least and largest.

    Logarithms of products, each of as many factors as float32 can hold. All factors are divided by one number in the
    middle of what they lie between, so that products grow and shrink as little as they can.
    """
    low, high = math.log1p(odds.min() * least), math.log1p(odds.max() * largest)
    middle = (low + high) / 2
    count = math.ceil(len(odds) * max((high - low) / 2, 1e-9) / _LARGEST_LOG)
    scaled = torch.from_numpy(odds * math.exp(-middle)).float()
    parts = zip(top.tensor_split(count, dim=1), scaled.tensor_split(count), strict=True)
    total, *others = (
        table_rows.row_products(probabilities, *part, math.exp(-middle)).log_() for part in parts
    )
    for other in others:
        total += other
    return total.add_(constant + len(odds) * middle)


def _log_sums_by_tables(
    probabilities: Tensor, top: Tensor, odds: npt.NDArray[np.float64], largest: float
) -> Tensor:
    """The sum over ranks of log(1 + odds_r P[i_r,c]), from sums of rows of a few tables: on any device."""
    # Rounded up to a power of 2, so that a few expansions serve all blocks.
    bound = 2.0 ** math.ceil(math.log2(min(max(largest, 1e-30), 1.0)))
    nodes, by_rank = expansion(tuple(odds), bound)
    weights = [
        torch.from_numpy(weight).float().to(top.device).expand_as(top).contiguous() for weight in by_rank.T
    ]
    parts = []
    numbers = _TABLE if probabilities.device.type == "cpu" else _TABLE_ON_DEVICE
    for part in probabilities.split(max(16, numbers // len(probabilities)), dim=1):
        total = torch.zeros(len(top), part.shape[1], device=part.device)
        for node, weight in zip(nodes, weights, strict=True):
            total += row_sums((part * float(node)).log1p_(), top, weight)
        parts.append(total)
    return torch.cat(parts, dim=1)


@cache
def expansion(
    odds: tuple[float, ...], largest: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A few odds y_j and weights with log(1 + x_r P) = sum over j of weights[r,j] log(1 + y_j P) for all ranks r.

    odds: x_r >= 0, (R,). Holds for 0 <= P <= largest, with an error that, summed over all ranks at whatever P is
    the worst for each, is at most _TOLERANCE. Returns (J,) and (R,J) float64; J is 2 to 8 for CLIP-Dissect's
    parameters, the fewer the smaller P is.

    As a function of log x, log(1 + x P) is analytic in a strip of half-width pi, whatever P: so a polynomial
    through Chebyshev nodes y_j comes near it geometrically fast, and weights fitted by least squares over P,
    which know how large P can be, faster still. Weights of both signs that are so large that float32 would
    lose in rounding what they gain are not taken.
    """
    x = np.asarray(odds)
    distinct = np.unique(x)
    highest = max(float(distinct[-1]), 1e-30)
    low, high = math.log(max(float(distinct[0]), 1e-9 * highest)), math.log(highest)
    grid = np.geomspace(min(1e-6 * largest, 1e-4 / highest), largest, 400)
    wanted = np.log1p(np.outer(x, grid))
    for count in range(1, len(distinct)):
        angles = (2 * np.arange(count) + 1) * np.pi / (2 * count)
        nodes = np.exp((low + high) / 2 + (high - low) / 2 * np.cos(angles))
        basis = np.log1p(np.outer(nodes, grid))
        weights = np.linalg.lstsq(basis.T, wanted.T, rcond=1e-8)[0].T
        error = np.abs(weights @ basis - wanted).max(axis=1).sum()
        if error <= _TOLERANCE and (np.abs(weights) @ basis[:, -1]).sum() <= 4 * wanted[:, -1].sum():
            return nodes, weights
    return distinct, (x[:, None] == distinct).astype(np.float64)  # every rank needs its own
