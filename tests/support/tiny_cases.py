"""A setup of the case studies that trains in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from scripts.cases.setup import Setup

COLORS = {"blue": (40, 40, 200), "green": (40, 200, 40), "grey": (120, 120, 120), "red": (200, 40, 40)}


def draw_photographs(folder: Path, train: int, test: int) -> Path:
    """train and test with a folder for each class, of so many pictures each: noise around its color."""
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for name, color in COLORS.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(random.normal(color, 40, size=(16, 18, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number:02}.png")
    return folder


def tiny_setup(photographs: Path, out: Path, **changed: object) -> Setup:
    """For the fixture `photographs`: 16 pixels, 4 to 32 channels, 2 epochs of 20 batches; convolutions in fp32."""
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
