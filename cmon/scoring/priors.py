"""What a concept gets anyway, and what is taken from its evidence for that: the three priors.

- 'layer', CLIP-Dissect's own: of the layer's own units, see `log_mean_exp`; for functions that have no
  prior there, nothing. Scores of two layers or epochs are not comparable.
- 'null': what chance gives the concept (where it is sampled, what it seldom exceeds), frozen over epochs,
  layers and runs.
- 'standardized': besides, in units of chance's standard deviation.

Chance is a random order of the images. Where only the order of a unit's activations counts (soft_wpmi,
wpmi), that is the same for all units, and is sampled: pseudo-units, `random_orders`. Where the activations
themselves count (the cosines, rank_reorder), it is the unit's own activations dealt out at random among the
images, whose mean and standard deviation have closed forms; `shuffled` draws such pseudo-units for the
distribution of a unit's best score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

PRIORS = ("null", "standardized", "layer")
ABOVE = 2.0
"""Standard deviations above chance's mean that 'null' takes from the evidence where chance is sampled."""
_TOGETHER = 64
"""Pseudo-units, of different units, that share one permutation: drawing one per pseudo-unit costs more than
all that follows."""


@dataclass(frozen=True)
class Chance:
    """What is taken from the evidence, and what the rest is divided by. Both broadcast to (K,C')."""

    location: Tensor
    scale: Tensor

    @classmethod
    def sampled(cls, kind: str, evidence: Tensor) -> Chance:
        """From (M,C') evidence of pseudo-units: mean + ABOVE deviations and 1 ('null'), or mean and deviation.

        So a score of 0 is what one random image order in about 40 gets. The layer prior's log mean exp would be
        near that, but is decided by the few best pseudo-units, and never settles: with soft_wpmi, whose
        evidence has a deviation of 3 to 7, another seed changed 7 % of the labels, with any number of them. And
        as their best scores are the null distribution, p-values of 0.001 came 12 times too often.
        """
        mean, deviation = evidence.mean(dim=0), evidence.std(dim=0, correction=0)
        return cls.known(kind, mean + ABOVE * deviation if kind == "null" else mean, deviation)

    @classmethod
    def known(cls, kind: str, mean: Tensor, deviation: Tensor, least: float = 1e-6) -> Chance:
        """From the mean and standard deviation themselves.

        A deviation of at most `least` is no deviation: evidence that is the same for every image order tells
        nothing, and its score is 0; it must not divide by nothing.
        """
        if kind == "null":
            return cls(mean, torch.ones(1, device=mean.device))
        return cls(mean, torch.where(deviation > least, deviation, torch.inf))

    def score(self, evidence: Tensor) -> Tensor:
        """(K,C') evidence to (K,C') scores."""
        return (evidence - self.location) / self.scale


def log_mean_exp(evidence: Tensor) -> Tensor:
    """CLIP-Dissect's prior: log of the mean over the layer's own units of exp(L). (K,C') to (C',).

    Over a layer's own units it differs from layer to layer and epoch to epoch, so that scores of two epochs
    cannot be compared, and a concept that most units detect is hidden by being common.
    """
    return evidence.logsumexp(dim=0) - math.log(len(evidence))


def random_orders(images: int, count: int, top_k: int, seed: int) -> Tensor:
    """Top images of units that mean nothing: (count, min(top_k, images)) int64, random orders from the seed."""
    generator = torch.Generator().manual_seed(seed)
    kept = min(top_k, images)
    parts = []
    for start in range(0, count, 256):  # random keys of a few pseudo-units at a time
        keys = torch.rand(min(256, count - start), images, generator=generator)
        parts.append(keys.topk(kept, dim=1).indices)
    return torch.cat(parts)


def shuffled(activations: Tensor, count: int, seed: int) -> Iterator[Tensor]:
    """Pseudo-units of given units: their own activations, dealt out at random among the images.

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
        for some in turn[:left].split(_TOGETHER):
            order = torch.randperm(images, generator=generator)
            yield activations[order.to(activations.device)][:, some.to(activations.device)]
        left -= len(turn)
