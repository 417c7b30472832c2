"""What a layer gives, and how it becomes one number per unit and image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SpecialTokens:
    """Tokens of a sequence that are no patches of the picture."""

    positions: tuple[int, ...] = ()
    """In the sequence, ascending."""
    kinds: tuple[tuple[str, int], ...] = ()
    """('class', 1), ('register', 4), ...: what they are, in their order; 'prefix' where only their number is known."""
    unexplained: str | None = None
    """Why tokens that may not be patches are counted all the same; None where every token is accounted for."""

    @property
    def class_token(self) -> int | None:
        """The position of the class token; None where there is none, or it is not known which it is."""
        first = self.kinds[0] if self.kinds else None
        return self.positions[0] if first == ("class", 1) else None


@dataclass(frozen=True)
class LayerOutput:
    """What a layer gives, as traced on a few pictures."""

    name: str
    shape: tuple[int, ...]
    """Of one picture's output: the layer's, without the batch axis."""
    axes: str
    """'flat' (K,), 'channels first' (K,H,W) or (K,L), 'channels last' (H,W,K) or 'tokens' (T,K)."""
    batch_axis: int = 0
    """The axis of the layer's output that counts pictures: 1 in (tokens, batch, units)."""
    special: SpecialTokens = SpecialTokens()
    """Of 'tokens': those that `avg` and `max` leave out; `cls` takes the class token."""
    calls: int = 1
    """How often the module runs in one forward pass; the last output counts."""

    @property
    def units(self) -> int:
        return self.shape[0] if self.axes in ("flat", "channels first") else self.shape[-1]

    @property
    def unit_axis(self) -> int:
        """The axis of the layer's own output, batch included, that counts units."""
        inside = 0 if self.axes in ("flat", "channels first") else len(self.shape) - 1
        return inside if inside < self.batch_axis else inside + 1

    @property
    def reading(self) -> tuple[object, ...]:
        """All that the activations depend on but the layer's values and the pooling."""
        return (self.axes, self.batch_axis, self.special.positions, self.calls)

    def pooled(self, pooling: str) -> str:
        """In words, what one activation is made from: '16 of 21 tokens; 1 class and 4 register tokens left out'."""
        if self.axes == "flat":
            return "as it is"
        if self.axes != "tokens":
            sides = self.shape[1:] if self.axes == "channels first" else self.shape[:-1]
            return f"{'x'.join(map(str, sides))} {'position' if math.prod(sides) == 1 else 'positions'}"
        tokens = self.shape[0]
        if pooling == "cls":
            return f"the class token of {tokens}"
        if self.special.unexplained:
            return f"all {tokens} tokens; {self.special.unexplained}"
        if not self.special.positions:
            return f"{tokens} {'token' if tokens == 1 else 'tokens'}"
        words = [f"{count} {kind}" for kind, count in self.special.kinds]
        listed = " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
        left = len(self.special.positions)
        return f"{tokens - left} of {tokens} tokens; {listed} {'token' if left == 1 else 'tokens'} left out"


def pool(value: Tensor, output: LayerOutput, pooling: str) -> Tensor:
    """Reduce a layer's output to (B,K) float32 over its positions; always a copy, never a view of it.

    pooling: 'avg' (CLIP-Dissect's) or 'max' over positions, or 'cls' for the class token.
    """
    value = value.movedim(output.batch_axis, 0)
    if output.axes == "flat":
        return value.to(torch.float32, copy=True)
    if output.axes == "tokens":
        if pooling == "cls":
            if output.special.class_token is None:
                raise ValueError(f"{output.name} has no class token")
            return value[:, output.special.class_token].to(torch.float32, copy=True)
        value = _without(value, output.special.positions)
    last = value.ndim - 1
    positions = tuple(range(2, last + 1)) if output.axes == "channels first" else tuple(range(1, last))
    # Summed in float32 even where the network runs in bf16, whose sums lose small differences.
    return value.float().mean(positions) if pooling == "avg" else value.amax(positions).float()


def _without(tokens: Tensor, positions: tuple[int, ...]) -> Tensor:
    """(B,T,K) without some of the T."""
    if positions == tuple(range(len(positions))):
        return tokens[:, len(positions) :]
    kept = [position for position in range(tokens.shape[1]) if position not in positions]
    return tokens[:, kept]
