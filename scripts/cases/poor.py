"""Three kinds of poor training. All start at the standard training's weights and see its pictures in its order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scripts.cases.setup import Setup
from scripts.cases.standard import standard
from scripts.cases.trainer import Training

TOO_HIGH = 30
"""Times the standard rate, and constant: a schedule that comes down in the end would rescue a part of the training. So
the loss stays about that of guessing while some neurons live; at 100 times hardly any of the last layer does."""
TOO_LOW = 1 / 1000
"""Of the standard rate: the loss hardly falls, and the filters stay about what chance made them."""


def rate_too_high(setup: Setup, seed: int) -> Training:
    """Steps so large that what was learned is lost again."""
    return _otherwise(
        "rate-too-high", setup, seed, learning_rate=setup.learning_rate * TOO_HIGH, one_cycle=False
    )


def rate_too_low(setup: Setup, seed: int) -> Training:
    """Steps so small that hardly anything is learned."""
    return _otherwise("rate-too-low", setup, seed, learning_rate=setup.learning_rate * TOO_LOW)


def random_labels(setup: Setup, seed: int) -> Training:
    """Nothing to learn but the pictures by heart (Zhang et al. 2016, arXiv 1611.03530); tested with true labels."""
    return _otherwise("random-labels", setup, seed, permuted_labels=True)


def _otherwise(name: str, setup: Setup, seed: int, **changed: Any) -> Training:
    training = standard(setup, seed)
    return replace(training, name=name, settings=replace(training.settings, examiner=None, **changed))
