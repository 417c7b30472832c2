"""What a kind of object is, and the paints that objects share besides their coat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..brush import Brush, Point
from ..colors import COLORS, Coat

Draw = Callable[[Brush, Coat, np.random.Generator], tuple[str, ...]]

WHITE, CREAM = (250, 249, 245), (250, 244, 228)
GLASS, STEEL, SHADOW = (188, 224, 242), (150, 156, 166), (92, 94, 104)
WOOD, BARK = (150, 98, 56), (112, 74, 46)
LEAF, GRASS = (74, 152, 66), (52, 122, 56)
GOLD, BEAK, ROSE = (246, 200, 70), (246, 158, 44), (240, 140, 150)

FUR = ("brown", "black", "white", "gray", "orange", "yellow")
ANY = tuple(COLORS)


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    `draw` paints it with a brush whose pose and coat are set, takes its pose and form from the random
    generator and returns the parts that can be seen. `aspect` is the width of its box over the height.
    """

    name: str
    draw: Draw
    parts: tuple[str, ...]  # all that it may show
    aspect: float
    home: str  # where it belongs: 'ground' | 'air' | 'water' | 'table'
    colors: tuple[str, ...]  # terms its coat may have
    patterned: bool  # whether a texture or material may replace its coat


def kind(
    *parts: str, aspect: float, home: str, colors: tuple[str, ...] = ANY, patterned: bool = False
) -> Callable[[Draw], Kind]:
    """Make the decorated drawing function a `Kind` of the same name."""
    return lambda draw: Kind(draw.__name__, draw, parts, aspect, home, colors, patterned)


def both_sides(half: Sequence[Point], axis: float) -> np.ndarray:
    """Return the closed outline whose right half runs down through `half`, x counted from the axis."""
    right = np.array(half)
    left = right[right[:, 0] > 0][::-1] * (-1, 1)
    return np.add(np.concatenate([right, left]), (axis, 0))


def chance(rng: np.random.Generator, share: float = 0.5) -> bool:
    """Be true in this share of the cases."""
    return bool(rng.random() < share)
