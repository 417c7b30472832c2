"""A tiny setup: pictures of four colors, a very narrow network, two epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.cases.recipes import RECIPES, needs
from scripts.cases.setup import Setup
from scripts.cases.trainer import train

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


def tiny_setup(photographs: Path, out: Path, **changed: object) -> Setup:
    """16 pixels, 4 to 32 channels, 2 epochs of 20 batches; convolutions in fp32."""
    (out / "runs").mkdir(parents=True, exist_ok=True)
    (out / "runs" / "arithmetic.json").write_text('{"bf16": false}')
    given: dict[str, object] = {
        "data": photographs / "train",
        "test": photographs / "test",
        "network": "narrow-resnet18-4",
        "side": 16,
        "epochs": 2,
        "learning_rate": 3e-3,
        "optimizer": "AdamW:weight_decay=0.05",
        "batch_size": 8,
        "radius": 8 / 255,
        "workers": 0,
    }
    return Setup(out=out, **(given | changed))


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
