"""All recipes by name, and what each needs to be trained before."""

from __future__ import annotations

from collections.abc import Callable

from scripts.cases.adversarial import adversarial
from scripts.cases.fine_tuning import fine_tuned, given_recipe, scratch
from scripts.cases.lottery import random_mask, winning
from scripts.cases.poor import random_labels, rate_too_high, rate_too_low
from scripts.cases.setup import Setup
from scripts.cases.standard import base, standard
from scripts.cases.trainer import Training

RECIPES: dict[str, Callable[[Setup, int], Training]] = {
    "standard": standard,
    "rate-too-high": rate_too_high,
    "rate-too-low": rate_too_low,
    "random-labels": random_labels,
    "adversarial": adversarial,
    "winning": winning,
    "random-mask": random_mask,
    "base": base,
    "fine-tuned": fine_tuned,
    "scratch": scratch,
}


def needs(recipe: str, setup: Setup) -> tuple[str, ...]:
    """Recipes whose trainings of the same seed must be there first."""
    return {
        "winning": ("standard",),
        "random-mask": ("winning",),
        "fine-tuned": (given_recipe(setup),),
    }.get(recipe, ())
