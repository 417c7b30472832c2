"""The adversary of Madry et al. 2017 (arXiv 1706.06083): projected gradient descent in the L-infinity ball."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Logits = Callable[[Tensor], Tensor]
"""(B,3,S,S) pictures of 0 to 1 to (B,K) logits; a network in eval mode, so that it learns nothing from the attack."""


@dataclass(frozen=True)
class Adversary:
    """Changes pictures so that a network's loss rises."""

    radius: float
    """By how much a value of 0 to 1 may be changed."""
    steps: int

    @property
    def step(self) -> float:
        """What a step changes a value by; 2.5 radii in all, so that all of the ball can be reached from anywhere."""
        return 2.5 * self.radius / self.steps

    def attacked(
        self, logits: Logits, pictures: Tensor, classes: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The pictures (B,3,S,S) of 0 to 1 as they are after the last step, within the ball and 0..1."""
        changed = self._start(pictures, generator)
        for _ in range(self.steps):
            changed, _ = self._moved(logits, changed, pictures, classes)
        return changed

    def withstood(
        self, logits: Logits, pictures: Tensor, classes: Tensor, generator: torch.Generator
    ) -> Tensor:
        """(B,) bool: named right as it is, at the random start, and after every step.

        A picture that was once named wrong is attacked no further, which saves most of the time.
        """
        left = torch.arange(len(pictures), device=pictures.device)
        with torch.no_grad():
            left = left[logits(pictures).argmax(1) == classes]
        changed = self._start(pictures[left], generator)
        for _ in range(self.steps):
            if not len(left):
                break
            moved, right = self._moved(logits, changed, pictures[left], classes[left])
            changed, left = moved[right], left[right]
        found = torch.zeros(len(pictures), dtype=torch.bool, device=pictures.device)
        if len(left):
            with torch.no_grad():
                found[left[logits(changed).argmax(1) == classes[left]]] = True
        return found

    def _start(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Anywhere in the ball; the generator is the processor's, so that a GPU starts there, too."""
        change = (torch.rand(pictures.shape, generator=generator) * 2 - 1) * self.radius
        return (pictures + change.to(pictures.device)).clamp(0, 1)

    def _moved(
        self, logits: Logits, changed: Tensor, pictures: Tensor, classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One step up the loss's slope and back into the ball and 0..1; and which were named right before it."""
        changed = changed.detach().requires_grad_()
        with torch.enable_grad():
            found = logits(changed)
            (slope,) = torch.autograd.grad(nn.functional.cross_entropy(found, classes), changed)
        moved = changed.detach() + self.step * slope.sign()
        within = torch.minimum(torch.maximum(moved, pictures - self.radius), pictures + self.radius)
        return within.clamp(0, 1), found.argmax(1) == classes
