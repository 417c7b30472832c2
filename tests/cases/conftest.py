"""Pictures of four colors, and every recipe trained with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scripts.cases.recipes import RECIPES, needs
from scripts.cases.setup import Setup
from scripts.cases.trainer import train
from tests.support.tiny_cases import draw_photographs, tiny_setup


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # sums of several threads differ in their last bits


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_photographs(tmp_path_factory.mktemp("photographs"), train=40, test=10)


@pytest.fixture(scope="session")
def standard(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """The standard recipe with seed 1, trained into runs/."""
    setup = tiny_setup(photographs, tmp_path_factory.mktemp("standard"))
    train(RECIPES["standard"](setup, 1), setup.folder("standard", 1))
    return setup


@pytest.fixture(scope="session")
def trained(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """All recipes with seed 1, trained into runs/."""
    setup = tiny_setup(photographs, tmp_path_factory.mktemp("cases"))
    done: set[str] = set()
    waiting = list(RECIPES)
    while waiting:
        recipe = next(name for name in waiting if done.issuperset(needs(name, setup)))
        train(RECIPES[recipe](setup, 1), setup.folder(recipe, 1))
        done.add(recipe)
        waiting.remove(recipe)
    return setup
