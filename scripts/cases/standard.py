"""The standard training, which all others are held against."""

from __future__ import annotations

from dataclasses import replace

from scripts.cases.pictures import Pictures
from scripts.cases.setup import STEPS_OF_EXAMINER, Setup
from scripts.cases.trainer import Start, Training


def standard(setup: Setup, seed: int) -> Training:
    """From the weights of the seed, with what the setup says."""
    training = from_scratch("standard", setup, seed, setup.task)
    examined = replace(training.settings, examiner=setup.adversary(STEPS_OF_EXAMINER))
    return replace(training, settings=examined)


def base(setup: Setup, seed: int) -> Training:
    """The same on the old task of fine-tuning, where this is not the task of all others."""
    return from_scratch("base", setup, seed, setup.old_task)


def from_scratch(name: str, setup: Setup, seed: int, pictures: Pictures) -> Training:
    """Any task from the weights of the seed, at the standard rate."""
    return Training(
        name,
        setup.settings(seed),
        pictures,
        lambda: Start(setup.untrained(len(pictures.names), seed)),
        setup.made_from(),
    )
