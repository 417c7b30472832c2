"""Train the tiny network for real on the colours of probe images, and save every epoch as most people do.

python -m tests.support.train_tiny IMAGES OUT EPOCHS SECONDS_PER_EPOCH GO

After epoch 1 it waits until the file GO is there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from tests.support import tiny_models


def train(images: Path, out: Path, epochs: int, seconds: float, go: Path) -> None:
    """The class of an image is the nearest of the colours. Epoch 0 is the untrained network."""
    torch.manual_seed(0)
    colors = np.array(list(tiny_models.COLORS.values()))
    pixels, classes = [], []
    for path in sorted(images.glob("*.png")):
        picture = np.asarray(Image.open(path).convert("RGB").resize((16, 16)), np.float32) / 255
        pixels.append(torch.from_numpy(picture).permute(2, 0, 1))
        classes.append(int(((colors - picture.mean((0, 1))) ** 2).sum(1).argmin()))
    batch, target = torch.stack(pixels), torch.tensor(classes)
    network = tiny_models.network()
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    out.mkdir(parents=True, exist_ok=True)
    for epoch in range(epochs + 1):
        while epoch > 1 and not go.exists():
            time.sleep(0.1)
        end = time.monotonic() + seconds
        steps = 20 if epoch else 0
        for _ in range(steps):
            loss = nn.functional.cross_entropy(network((batch - 0.5) / 0.25), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        content = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        torch.save({**content, "global_step": 20 * epoch}, out / f"epoch_{epoch}.pt")
        time.sleep(max(0.0, end - time.monotonic()))


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
