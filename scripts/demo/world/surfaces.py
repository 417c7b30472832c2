"""Textures and materials alike: a surface in colors that suit it."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from .colors import COLORS, RGB, brightness, mix, sample
from .materials import MATERIALS, NATURAL
from .textures import TEXTURES

SURFACES = TEXTURES | MATERIALS


def draw_surface(
    name: str, size: int, rng: np.random.Generator, avoid: Container[str] = ()
) -> tuple[tuple[str, ...], np.ndarray]:
    """A surface's color terms, the main one first and if possible none to avoid, and (size, size, 3) uint8."""
    for _ in range(6):
        terms, paint, other = _mix_paints(name, rng)
        if terms[0] not in avoid:
            break
    return terms, SURFACES[name](size, paint, other, rng)


def _mix_paints(name: str, rng: np.random.Generator) -> tuple[tuple[str, ...], RGB, RGB]:
    """Natural colors of a material, or any two for a texture whose paints differ plainly."""
    if name in MATERIALS:
        pairs = NATURAL[name]
        first, second = pairs[rng.integers(len(pairs))]
        paint = sample(first, rng)
        if first != second:
            return (first, second), paint, sample(second, rng)
        toward = (255, 255, 255) if name == "water" or first == "black" else (20, 15, 25)
        return (first,), paint, mix(paint, toward, 0.4)
    while True:
        first, second = rng.choice(COLORS, 2, replace=False).tolist()
        paint, other = sample(first, rng), sample(second, rng)
        if abs(brightness(paint) - brightness(other)) > 45:
            return (first, second), paint, other
