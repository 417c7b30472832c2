"""The standard training, which all others are held against."""

from __future__ import annotations

from dataclasses import replace

from scripts.cases.setup import STEPS_OF_EXAMINER, Setup
from scripts.cases.trainer import Start, Training


def standard(setup: Setup, seed: int) -> Training:
    """From the weights of the seed, with what the setup says."""
    pictures = setup.task
    settings = replace(setup.settings(seed), examiner=setup.adversary(STEPS_OF_EXAMINER))
    return Training(
        "standard",
        settings,
        pictures,
        lambda: Start(setup.untrained(len(pictures.names), seed)),
        setup.made_from(),
    )


def base(setup: Setup, seed: int) -> Training:
    """The same on the old task of fine-tuning, where this is not the task of all others."""
    pictures = setup.old_task
    return Training(
        "base",
        setup.settings(seed),
        pictures,
        lambda: Start(setup.untrained(len(pictures.names), seed)),
        setup.made_from(),
    )
