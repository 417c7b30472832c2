"""What a user of the tiny network has: a run's checkpoints, probe images, a list of concepts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.support import tiny_models


def write_checkpoints(folder: Path) -> Path:
    """A run of two epochs, and nothing else."""
    folder.mkdir(parents=True)
    for epoch in range(2):
        torch.manual_seed(epoch)
        content = {"state_dict": tiny_models.network().state_dict(), "epoch": epoch}
        torch.save(content, folder / f"epoch_{epoch}.pt")
    return folder


def write_probe(folder: Path) -> Path:
    """40 small pictures, each of one colour with noise."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(40):
        color = np.array(list(tiny_models.COLORS.values())[number % len(tiny_models.COLORS)])
        pixels = np.clip(255 * color + random.normal(0, 40, (20, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def write_concepts(path: Path) -> Path:
    """The colours, and words without a category."""
    rows = [f"{color},color" for color in tiny_models.COLORS]
    path.write_text("\n".join(["concept,category", *rows, "mist,", "noise,", "thing,"]) + "\n")
    return path
