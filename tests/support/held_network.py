"""A network that waits or fails as its weights say, so that a test can stop others in the middle of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from tests.support.tiny_models import Tiny

WAITS, FAILS = 100.0, 200.0
"""A first bias of the last layer, which is not read, that says what the network does."""


class Held(Tiny):
    """Waits as long as a file is there, and leaves a file beside it that says which process waits."""

    def __init__(self, hold: str, num_classes: int = 5) -> None:
        super().__init__(num_classes)
        self.hold = Path(hold)

    def forward(self, images: Tensor) -> Tensor:
        does = float(self.fc.bias[0])  # which torch.fx cannot follow: so the network runs as it is written
        if does == FAILS:
            raise RuntimeError("these weights fail")
        while does == WAITS and self.hold.exists():
            (self.hold.parent / f"waits-{os.getpid()}").touch()
            time.sleep(0.02)
        return super().forward(images)


def network(hold: str, num_classes: int = 5) -> nn.Module:
    return Held(hold, num_classes)


def save(folder: Path, epoch: int, does: float = 0.0) -> None:
    """A checkpoint of the network. does: 0, WAITS or FAILS."""
    torch.manual_seed(epoch)
    folder.mkdir(parents=True, exist_ok=True)
    made = Held("nowhere")
    with torch.no_grad():
        made.fc.bias[0] = does
    torch.save({"state_dict": made.state_dict(), "epoch": epoch}, folder / f"epoch_{epoch}.pt")
