"""What is taken from a concept's evidence before concepts are compared: the three priors, by name.

A unit's score for a concept is (evidence - location) / scale, where a prior gives the concept's location and scale.

- 'layer', CLIP-Dissect's own: from the layer's own units, see `log_mean_exp`; for functions that have no prior there,
  nothing. Scores of two layers or epochs are not comparable.
- 'null': what the concept gets by chance (where chance is sampled, what it seldom exceeds), the same for all epochs,
  layers and runs.
- 'standardized': besides, in units of chance's standard deviation.

Chance is a random order of the images (`pseudo_units`). Where only the order of a unit's activations counts (soft_wpmi,
wpmi), it is the same for all units, and is sampled. Where the activations themselves count (the cosines, rank_reorder),
it is the unit's own activations in a random order, whose mean and standard deviation have closed forms.

Only methods of tensors are used here, so that the priors' names are known without importing torch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

ABOVE = 2.0
"""Standard deviations above chance's mean that 'null' takes from the evidence where chance is sampled."""


@dataclass(frozen=True)
class Chance:
    """The evidence that units get by chance. Both tensors broadcast to (K,C')."""

    mean: Tensor
    deviation: Tensor
    """Standard deviation."""
    least: float = 1e-6
    """A deviation of at most this is 0 up to rounding: evidence that is the same for every image order."""
    sampled: bool = False
    """Estimated from pseudo-units, not a closed form."""

    @classmethod
    def estimate(cls, evidence: Tensor) -> Chance:
        """From the evidence of pseudo-units, (M,C')."""
        return cls(evidence.mean(dim=0), evidence.std(dim=0, correction=0), sampled=True)


@dataclass(frozen=True)
class Baseline:
    """What is taken from the evidence, and what the rest is divided by. Both broadcast to (K,C')."""

    location: Tensor
    scale: Tensor

    def score(self, evidence: Tensor) -> Tensor:
        """(K,C') evidence to (K,C') scores."""
        return (evidence - self.location) / self.scale


@dataclass(frozen=True)
class PriorInputs:
    """What a prior can be made of, for some units and a block of concepts; computed only when it is asked for."""

    chance: Callable[[], Chance]
    """Of the units that are to be scored."""
    layer_prior: Callable[[], Tensor]
    """(C',) what the similarity function itself takes, from the evidence of the layer's units."""


class Prior(ABC):
    """A way to choose location and scale."""

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line."""
    from_layer: ClassVar[bool]
    """Whether it is made of the layer's own units, and so differs from layer to layer; else of chance."""

    @abstractmethod
    def baseline(self, inputs: PriorInputs) -> Baseline:
        """For the units and concepts of the inputs."""


@dataclass(frozen=True)
class NullPrior(Prior):
    """Chance's mean; where chance is sampled, `ABOVE` standard deviations more.

    So a score of 0 is what one random image order in about 40 gets. The log mean exp of the layer prior would be near
    that, but depends on the few best pseudo-units, and never settles: with soft_wpmi, whose evidence has a deviation of
    3 to 7, another seed changed 7 % of the labels, with any number of them. And as their best scores are the null
    distribution, p-values of 0.001 came 12 times too often.
    """

    name: ClassVar[str] = "null"
    summary: ClassVar[str] = "what random image orders get"
    from_layer: ClassVar[bool] = False

    def baseline(self, inputs: PriorInputs) -> Baseline:
        chance = inputs.chance()
        location = chance.mean + ABOVE * chance.deviation if chance.sampled else chance.mean
        return Baseline(location, chance.mean.new_ones(1))


@dataclass(frozen=True)
class StandardizedPrior(Prior):
    """Chance's mean and standard deviation. Evidence that is the same for every image order scores 0."""

    name: ClassVar[str] = "standardized"
    summary: ClassVar[str] = "the mean of what random image orders get, in units of its standard deviation"
    from_layer: ClassVar[bool] = False

    def baseline(self, inputs: PriorInputs) -> Baseline:
        chance = inputs.chance()
        return Baseline(chance.mean, chance.deviation.where(chance.deviation > chance.least, math.inf))


@dataclass(frozen=True)
class LayerPrior(Prior):
    """CLIP-Dissect's: what the similarity function takes from the evidence of the layer's own units."""

    name: ClassVar[str] = "layer"
    summary: ClassVar[str] = "what the layer's own units get, as in CLIP-Dissect"
    from_layer: ClassVar[bool] = True

    def baseline(self, inputs: PriorInputs) -> Baseline:
        location = inputs.layer_prior()
        return Baseline(location, location.new_ones(1))


PRIORS: dict[str, Prior] = {prior.name: prior for prior in (NullPrior(), StandardizedPrior(), LayerPrior())}


def log_mean_exp(evidence: Tensor) -> Tensor:
    """CLIP-Dissect's prior: log of the mean over the layer's own units of exp(L). (K,C') to (C',).

    Over a layer's own units it differs from layer to layer and epoch to epoch, so that scores of two epochs
    cannot be compared, and a concept that most units detect is hidden by being common.
    """
    return evidence.logsumexp(dim=0) - math.log(len(evidence))
