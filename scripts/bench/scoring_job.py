"""Vectors and activations as scoring gets them, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

WIDTH = 512


@dataclass(frozen=True)
class Job:
    epochs: int
    units: int
    images: int
    concepts: int
    device: str = "cpu"

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Unit vectors of images and texts in two cones, as CLIP's are, that share 300 topics."""
        generator = torch.Generator().manual_seed(0)

        def draw(count: int) -> Tensor:
            return normalize(torch.randn(count, WIDTH, generator=generator), dim=1)

        topics, shared, of_images, of_texts = draw(300), draw(1), draw(1), draw(1)
        images, texts = (
            normalize(
                0.45 * shared
                + 0.6 * cone
                + 0.4 * topics[torch.randint(300, (count,), generator=generator)]
                + 0.5 * draw(count),
                dim=1,
            )
            for cone, count in ((of_images, self.images), (of_texts, self.concepts))
        )
        return images.to(self.device), texts.to(self.device)

    def activations(self, images: Tensor, texts: Tensor) -> list[Tensor]:
        """(N,K) of each epoch: every unit follows a concept, with noise that falls from epoch to epoch."""
        generator = torch.Generator().manual_seed(1)
        followed = torch.randint(len(texts), (self.units,), generator=generator)
        signal = (images @ texts[followed].T).cpu()
        signal = (signal - signal.mean(dim=0)) / signal.std(dim=0)
        return [
            torch.relu(signal + 3 / (1 + epoch) * torch.randn(signal.shape, generator=generator)).to(
                self.device
            )
            for epoch in range(self.epochs)
        ]
