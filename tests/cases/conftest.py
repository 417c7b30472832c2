"""Pictures of four colors, and every recipe trained with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.cases.recipes import RECIPES, needs
from scripts.cases.setup import Setup
from scripts.cases.trainer import train
from tests.support.tiny_cases import tiny_setup

COLORS = {"blue": (40, 40, 200), "green": (40, 200, 40), "grey": (120, 120, 120), "red": (200, 40, 40)}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # sums of several threads differ in their last bits


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train and test with a folder for each class: noise around its color."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 10)):
        for name, color in COLORS.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(random.normal(color, 40, size=(16, 18, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number:02}.png")
    return folder


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
