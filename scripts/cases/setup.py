"""What all trainings of a folder share: the pictures, the network, and how the standard one is trained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.cases.attack import Adversary
from scripts.cases.networks import named_network
from scripts.cases.pictures import Pictures, drawn_world, image_folders
from scripts.cases.studies import run_folder
from scripts.cases.trainer import Settings
from scripts.demo.train_networks import faster_in_bf16

STEPS, STEPS_OF_EXAMINER = 3, 20
"""Of the adversary: while training, and in the test."""
RADIUS, DRAWN_RADIUS = 8 / 255, 2 / 255
"""Madry et al.'s for CIFAR-10; and one that leaves the standard network of the drawn world a third of its accuracy, and
lets another one learn against it within a few epochs, which 4/255 does not."""


@dataclass(frozen=True)
class Setup:
    """The pictures, the network and the standard training; recipes say what they do otherwise."""

    out: Path
    data: Path | None
    """A folder of pictures for each class; None: the drawn world of OUT/world."""
    test: Path | None
    network: str
    side: int
    epochs: int
    learning_rate: float
    optimizer: str
    batch_size: int
    radius: float | None
    """Of the adversary: by how much it may change a value of 0 to 1; None: what suits the pictures."""
    workers: int

    def settings(self, seed: int) -> Settings:
        """Of the standard training."""
        return Settings(
            epochs=self.epochs,
            seed=seed,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            batch_size=self.batch_size,
            bf16=self.bf16,
        )

    def adversary(self, steps: int) -> Adversary:
        """The one of this setup, with so many steps."""
        return Adversary(self.radius or (DRAWN_RADIUS if self.data is None else RADIUS), steps)

    @property
    def bf16(self) -> bool:
        """Measured once for all trainings of OUT, so that none differs from another by it."""
        file = self.out / "runs" / "arithmetic.json"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            chosen = (
                torch.cuda.is_bf16_supported()
                if torch.cuda.is_available()
                else faster_in_bf16(self.untrained(2, seed=0))
            )
            file.write_text(json.dumps({"bf16": chosen}) + "\n")
        return bool(json.loads(file.read_text())["bf16"])

    @property
    def task(self) -> Pictures:
        """The task of all trainings but those of the fine-tuning study: all classes, or the drawn world's objects."""
        if self.data is None:
            return _drawn_world(self.out / "world" / "train", "object", self.side, self.workers)
        return _image_folders(self.data, self.test, self.side, self.workers, None)

    @property
    def old_task(self) -> Pictures:
        """The first half of the classes; in the drawn world the task of all others."""
        if self.data is None:
            return self.task
        return _image_folders(self.data, self.test, self.side, self.workers, 0)

    @property
    def new_task(self) -> Pictures:
        """The other half of the classes; in the drawn world its scenes."""
        if self.data is None:
            return _drawn_world(self.out / "world" / "train", "scene", self.side, self.workers)
        return _image_folders(self.data, self.test, self.side, self.workers, 1)

    def untrained(self, classes: int, seed: int) -> nn.Module:
        """The network with the weights of a seed; those of two recipes are the same."""
        torch.manual_seed(seed)
        return named_network(self.network, classes, self.side)

    def made_from(self, **more: str) -> dict[str, Any]:
        """What the start of a training depends on, besides its seed."""
        return {"network": self.network, "side": self.side, **more}

    def folder(self, recipe: str, seed: int) -> Path:
        """Of a training."""
        return run_folder(self.out, recipe, seed)


# A process reads pixels once, whichever trainings it makes.
_drawn_world = lru_cache(drawn_world)
_image_folders = lru_cache(image_folders)
