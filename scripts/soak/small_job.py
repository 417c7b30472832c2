"""A job that each stage does in a second: a tiny network at a few epochs, a few images, an embedder of colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import cmon
from cmon.errors import CmonError

COLORS = {
    "red": (220, 30, 30), "green": (30, 180, 40), "blue": (40, 60, 220), "yellow": (235, 220, 40),
    "black": (10, 10, 10), "white": (245, 245, 245), "orange": (240, 140, 30), "purple": (140, 40, 160),
}  # fmt: skip
STAGES = ("extract", "score", "embed", "report")
SIDE = 16


class Network(nn.Sequential):
    """Two layers of 6 and 8 units."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Conv2d(3, 6, 3, padding=1)
        self.act = nn.ReLU()
        self.late = nn.Conv2d(6, 8, 3, padding=1)


class ColorEmbedder:
    """Embeds an image by its mean colour, and a colour's word by the colour."""

    name = "mean colors"

    def preprocess(self, image: Image.Image) -> Tensor:
        pixels = np.asarray(image.resize((SIDE, SIDE)), np.float32) / 255
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def encode_images(self, batch: Tensor) -> Tensor:
        return self._spread(batch.mean(dim=(2, 3)))

    def encode_texts(self, texts: list[str]) -> Tensor:
        return self._spread(torch.tensor([COLORS[text] for text in texts]) / 255)

    def _spread(self, colors: Tensor) -> Tensor:
        return torch.cat([colors - 0.5, (colors - 0.5).square(), torch.full((len(colors), 1), 0.2)], dim=1)


@dataclass(frozen=True)
class Job:
    """Checkpoints and images in a folder, and the four stages on any workspace."""

    folder: Path
    words: tuple[str, ...] = tuple(COLORS)
    """The concepts: other words, another scoring."""

    @property
    def checkpoints(self) -> Path:
        return self.folder / "run"

    @property
    def images(self) -> Path:
        return self.folder / "images"

    def draw(self, epochs: int = 3, images: int = 12) -> None:
        """Write the checkpoints and the images, the same each time."""
        random = np.random.default_rng(0)
        self.images.mkdir(parents=True)
        self.checkpoints.mkdir()
        for number in range(images):
            low, high = random.integers(0, 255, (2, 3))
            ramp = np.linspace(low, high, SIDE * SIDE).reshape(SIDE, SIDE, 3) + random.normal(
                0, 8, (SIDE, SIDE, 3)
            )
            Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(self.images / f"{number:03}.png")
        for epoch in range(epochs):
            self.save(epoch)

    def save(self, epoch: int) -> None:
        """One more checkpoint."""
        torch.manual_seed(0)
        network = Network()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.2 * epoch * torch.randn_like(parameter))
        torch.save(
            {"epoch": epoch, "state_dict": network.state_dict()}, self.checkpoints / f"epoch_{epoch}.pt"
        )

    def run(self, stage: str, workspace: Path) -> Any:
        """One stage, as its command does it."""
        return getattr(self, f"_{stage}")(workspace)

    def _extract(self, workspace: Path) -> Any:
        return cmon.extract(
            workspace, {"run": self.checkpoints}, self.images, model=f"python:{__name__}:Network",
            layers=["early", "late"], image_size=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3, device="cpu",
            batch_size=8, workers=0,
        )  # fmt: skip

    def _score(self, workspace: Path) -> Any:
        return cmon.score(
            workspace, self.words, clip=f"python:{__name__}:ColorEmbedder", top_k=3, pseudo_units=40, device="cpu",
            workers=0,
        )  # fmt: skip

    def _embed(self, workspace: Path) -> Any:
        return cmon.embed(workspace, list(self.words[:4]), layout="anchored")

    def _report(self, workspace: Path) -> Any:
        return cmon.report(workspace, track=[("late", 0)])  # one, since each is pictures to draw


def outcome(work: Callable[[], Any]) -> int:
    """As the command's exit: 0 done, 1 an error that says what to do, 130 interrupted; else what is a fault of cmon."""
    try:
        work()
    except CmonError:
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
