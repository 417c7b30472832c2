"""Adversarial training (Madry et al. 2017, arXiv 1706.06083): every picture is changed before it is trained with."""

from __future__ import annotations

from dataclasses import replace

from scripts.cases.setup import STEPS, Setup
from scripts.cases.standard import standard
from scripts.cases.trainer import Training


def adversarial(setup: Setup, seed: int) -> Training:
    """As the standard training, against projected gradient descent of three steps from a random start."""
    training = standard(setup, seed)
    settings = replace(training.settings, adversary=setup.adversary(STEPS))
    return replace(training, name="adversarial", settings=settings)
