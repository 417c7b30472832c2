"""A network whose units' concepts are known: a 1x1 convolution that measures how much of a color there is.

Used by the end-to-end tests as `--model python:tests/planted_network.py:factory`, as a user would bring a
network of their own. `state(epoch)` is what training saved: random weights first, then a mixture, then the
detectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cmon.images.preprocessing import ResizeCrop

DETECTORS = {
    # (weights of red, green and blue, threshold): answers to pixels above it
    "red": ((1.0, -0.9, -0.9), 0.25),
    "green": ((-0.9, 1.0, -0.9), 0.10),
    "blue": ((-0.9, -0.5, 1.0), 0.25),
    "yellow": ((0.7, 0.7, -1.4), 0.75),
    "white": ((0.5, 0.5, 0.5), 1.35),
    "black": ((-0.5, -0.5, -0.5), -0.25),
}
DEAD, UNITS = 6, 24
"""Unit 6 has no weights; units 7 to 23 stay random."""


class PlantedNetwork(nn.Module):
    """Two layers: `detectors` (a map per unit) and `head` (never needed by the tests' layers)."""

    def __init__(self) -> None:
        super().__init__()
        self.detectors = nn.Sequential(nn.Conv2d(3, UNITS, 1), nn.ReLU())
        self.head = nn.Linear(UNITS, 2)
        self.preprocess = ResizeCrop(48, 48, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def forward(self, batch: Tensor) -> Tensor:
        """(B,3,48,48) to (B,2)."""
        return self.head(self.detectors(batch).mean((2, 3)))


def factory() -> PlantedNetwork:
    return PlantedNetwork()


def state(share: float, seed: int = 0) -> dict[str, Tensor]:
    """Weights after training has come the given share of the way from chance to the planted detectors."""
    generator = torch.Generator().manual_seed(seed)
    network = PlantedNetwork()
    weight = 0.6 * torch.randn(UNITS, 3, 1, 1, generator=generator)
    bias = 0.1 * torch.rand(UNITS, generator=generator)
    for unit, (color, threshold) in enumerate(DETECTORS.values()):
        weight[unit] = (1 - share) * weight[unit] + share * torch.tensor(color).view(3, 1, 1)
        bias[unit] = (1 - share) * bias[unit] - share * threshold
    weight[DEAD], bias[DEAD] = 0, 0
    network.load_state_dict({**network.state_dict(), "detectors.0.weight": weight, "detectors.0.bias": bias})
    return network.state_dict()
