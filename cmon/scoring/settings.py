"""How units are scored: the options of `cmon score`."""

from __future__ import annotations

from dataclasses import dataclass, field

from cmon.scoring.block_scores import Method
from cmon.scoring.priors import NullPrior, Prior
from cmon.scoring.similarity.base import Similarity
from cmon.scoring.similarity.wpmi import SoftWPMI

BASELINES = ("chance", "first")
KEPT_CONCEPTS = 10
"""Concepts that the table `concepts` keeps per unit, and that its vector is made of."""


@dataclass(frozen=True)
class ScoreSettings:
    """The options of `cmon score`, except for its inputs and the workspace."""

    similarity: Similarity = field(default_factory=SoftWPMI)
    """From `similarity.registry`."""
    prior: Prior = field(default_factory=NullPrior)
    """One of `priors.PRIORS`."""
    templates: tuple[str, ...] = ()
    """Sentences with one `{}` each, in which CLIP reads the concepts; none: it reads the words alone."""
    fdr: float = 0.05
    """Share of false ones among the units called interpretable."""
    baseline: str = "chance"
    """What an interpretable unit beats: 'chance', random image orders; or 'first', what the units of the layer's first
    epoch get for its label (`first_epoch`)."""
    pseudo_units: int = 4096
    seed: int = 0
    device: str = "cpu"
    """Where scores are computed; it does not change what they are."""

    @property
    def method(self) -> Method:
        return Method(self.similarity, self.prior, self.pseudo_units, self.seed, KEPT_CONCEPTS)
