"""Birds, fish, butterflies and snakes, all but the butterfly seen from the side and facing right."""

from __future__ import annotations

import numpy as np

from ..brush import INK, Brush
from ..colors import Coat
from .kind import ANY, BEAK, GOLD, WHITE, Kind, chance, kind


@kind("leg", "tail", "wing", "beak", aspect=1.15, home="ground", colors=ANY)
def bird(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    wag = rng.uniform(-0.12, 0.1)
    brush.polygon(
        [(0.36, 0.5), (0.05, 0.68 + wag), (0.02, 0.8 + wag), (0.14, 0.82 + wag), (0.42, 0.68)], coat.dark
    )
    for foot in (0.5, 0.62):
        brush.line([(foot, 0.72), (foot + 0.02, 0.97)], 0.03, BEAK)
        brush.line([(foot - 0.05, 0.985), (foot + 0.1, 0.985)], 0.03, BEAK)
    x, y = rng.uniform(0.74, 0.8), rng.uniform(0.26, 0.32)
    gape = rng.uniform(0.0, 0.05)
    brush.polygon([(x + 0.1, y - 0.07), (x + 0.33, y - gape), (x + 0.12, y + 0.04)], BEAK)
    brush.polygon([(x + 0.1, y), (x + 0.3, y + 0.03 + gape), (x + 0.1, y + 0.09)], GOLD)
    brush.blob(
        [
            (x - 0.12, y - 0.14),
            (x + 0.1, y - 0.14),
            (x + 0.16, y + 0.06),
            (0.9, 0.5),
            (0.8, 0.74),
            (0.56, 0.82),
            (0.34, 0.7),
            (0.3, 0.56),
            (0.5, 0.42),
        ],
        coat.main,
    )
    brush.blob([(0.86, 0.46), (0.87, 0.56), (0.78, 0.73), (0.58, 0.78), (0.66, 0.62)], coat.light)
    if chance(rng):  # spreads its wings
        brush.blob(
            [(0.66, 0.56), (0.42, 0.6), (0.18, 0.3), (0.1, 0.02), (0.34, 0.12), (0.52, 0.3)], coat.dark
        )
        for tip in ((0.2, 0.16), (0.28, 0.3), (0.38, 0.42)):
            brush.line([tip, (0.56, 0.5)], 0.02, coat.main)
    else:
        brush.blob(
            [(0.68, 0.46), (0.7, 0.6), (0.5, 0.7), (0.18, 0.72), (0.36, 0.52), (0.52, 0.42)], coat.dark
        )
        brush.curve([(0.62, 0.6), (0.46, 0.64), (0.3, 0.68)], 0.02, coat.light)
    brush.eye((x + 0.05, y - 0.03), 0.036)
    return "leg", "tail", "wing", "beak"


@kind(
    "leg",
    "tail",
    "wing",
    "beak",
    aspect=1.2,
    home="ground",
    colors=("yellow", "white", "brown", "gray", "green"),
)
def duck(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    stands = chance(rng)
    low = 0.84 if stands else 0.98  # its belly
    if stands:
        for foot in (0.46, 0.62):
            brush.line([(foot, low - 0.08), (foot, 0.94)], 0.045, BEAK)
            brush.polygon([(foot - 0.03, 0.93), (foot + 0.14, 1), (foot - 0.06, 1)], BEAK)
    x, y = rng.uniform(0.8, 0.88), low - rng.uniform(0.62, 0.7)
    brush.blob(
        [
            (0.05, low - 0.44),
            (0.24, low - 0.3),
            (0.5, low - 0.36),
            (0.78, low - 0.36),
            (0.94, low - 0.2),
            (0.8, low - 0.03),
            (0.5, low + 0.01),
            (0.2, low - 0.06),
            (0.06, low - 0.24),
        ],
        coat.main,
    )
    brush.curve([(0.8, low - 0.22), (x + 0.02, low - 0.4), (x, y + 0.04)], (0.26, 0.18, 0.2), coat.main)
    brush.blob(
        [(x + 0.1, y - 0.04), (x + 0.22, y + 0.02), (x + 0.34, y), (x + 0.33, y + 0.08), (x + 0.1, y + 0.1)],
        BEAK,
    )
    brush.line([(x + 0.14, y + 0.045), (x + 0.32, y + 0.045)], 0.012, (196, 104, 30))
    brush.ellipse((x, y), 0.15, coat.main)
    if chance(rng, 0.4):
        brush.arc((x, y + 0.08), (0.13, 0.11), 30, 150, 0.035, WHITE if coat.name != "white" else coat.dark)
    wing = rng.uniform(-0.06, 0.03)
    brush.blob(
        [
            (0.72, low - 0.26),
            (0.62, low - 0.1),
            (0.36, low - 0.09),
            (0.14, low - 0.26 + wing),
            (0.36, low - 0.28),
        ],
        coat.dark,
    )
    brush.curve([(0.6, low - 0.18), (0.42, low - 0.17), (0.28, low - 0.22 + wing / 2)], 0.02, coat.light)
    brush.eye((x + 0.05, y - 0.04), 0.033)
    return ("tail", "wing", "beak", "leg")[: 4 if stands else 3]


@kind("tail", "fin", aspect=1.5, home="water", colors=ANY)
def fish(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    tall, swing = rng.uniform(0.26, 0.38), rng.uniform(-0.08, 0.08)
    brush.blob(
        [
            (0.5, 0.5),
            (0.2, 0.26 + swing),
            (0.04, 0.16 + swing),
            (0.13, 0.5 + swing),
            (0.04, 0.84 + swing),
            (0.2, 0.72 + swing),
        ],
        coat.dark,
    )
    brush.blob(
        [(0.55, 0.5 - 0.7 * tall), (0.62, 0.36 - tall), (0.92, 0.4 - tall), (1.12, 0.5 - 0.6 * tall)],
        coat.dark,
    )
    brush.blob([(0.62, 0.5 + 0.6 * tall), (0.6, 0.6 + tall), (0.84, 0.5 + 0.7 * tall)], coat.dark)
    brush.blob(
        [
            (0.32, 0.5),
            (0.62, 0.5 - 0.8 * tall),
            (0.96, 0.5 - tall),
            (1.3, 0.5 - 0.62 * tall),
            (1.46, 0.52),
            (1.3, 0.5 + 0.64 * tall),
            (0.96, 0.5 + tall),
            (0.62, 0.5 + 0.8 * tall),
        ],
        coat.main,
    )
    brush.blob(
        [
            (0.5, 0.54),
            (0.96, 0.5 + 0.5 * tall),
            (1.34, 0.5 + 0.4 * tall),
            (0.96, 0.49 + 0.96 * tall),
            (0.62, 0.49 + 0.75 * tall),
        ],
        coat.light,
    )
    brush.arc((1.0, 0.5), (0.16, 0.66 * tall), -58, 58, 0.025, coat.dark)
    for x, y in ((0.58, 0.46), (0.7, 0.39), (0.7, 0.53), (0.82, 0.46)):
        brush.arc((x, y), 0.055, -70, 70, 0.02, coat.dark)
    brush.blob([(1.1, 0.56), (0.97, 0.55 + swing / 2), (0.84, 0.68 + swing / 2), (1.02, 0.69)], coat.dark)
    brush.ellipse((1.28, 0.44), 0.065, WHITE)
    brush.eye((1.29, 0.44), 0.042)
    brush.curve([(1.38, 0.6), (1.42, 0.58), (1.45, 0.54)], 0.02, coat.dark)
    return "tail", "fin"


@kind("wing", aspect=1.2, home="air", colors=tuple(color for color in ANY if color not in ("gray", "black")))
def butterfly(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    spread, low = rng.uniform(0.75, 1.0), rng.uniform(0.85, 1.05)
    upper = np.array(
        [(0.03, 0.5), (0.1, 0.28), (0.34, 0.06), (0.54, 0.08), (0.55, 0.3), (0.42, 0.52), (0.15, 0.58)]
    )
    lower = np.array([(0.03, 0.52), (0.24, 0.52), (0.44, 0.62), (0.44, 0.84), (0.3, 0.97), (0.14, 0.84)]) * (
        1,
        low,
    )
    for side in (-spread, spread):
        for wing, middle in ((lower, (0.24, 0.68)), (upper, (0.33, 0.3))):
            brush.blob(wing * (side, 1) + (0.6, 0), INK)
            inner = (wing - middle) * 0.8 + middle
            brush.blob(inner * (side, 1) + (0.6, 0), coat.main)
        brush.ellipse((0.6 + side * 0.4, 0.24), (0.075, 0.085), coat.accent)
        brush.ellipse((0.6 + side * 0.31, 0.74), (0.065, 0.065), coat.light)
        brush.curve([(0.6, 0.28), (0.6 + 0.08 * side, 0.14), (0.6 + 0.2 * side, 0.03)], 0.018, INK)
        brush.ellipse((0.6 + 0.2 * side, 0.03), 0.022, INK)
    brush.ellipse((0.6, 0.55), (0.045, 0.25), INK)
    brush.ellipse((0.6, 0.3), 0.055, INK)
    return ("wing",)


@kind(
    "tail",
    aspect=1.4,
    home="ground",
    colors=("green", "brown", "yellow", "orange", "red", "purple", "black", "blue"),
)
def snake(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    bends, wave, rears = int(rng.integers(3, 6)), rng.uniform(0.22, 0.34), chance(rng, 0.6)
    along = np.linspace(0.05, 0.84, bends + 1)
    body = np.stack([along, np.where(np.arange(bends + 1) % 2 == bends % 2, 0.9, 0.9 - wave)], axis=1)
    x, y = (rng.uniform(1.04, 1.14), rng.uniform(0.1, 0.24)) if rears else (1.14, rng.uniform(0.55, 0.75))
    neck = [(0.97, 0.72), (0.95, 0.42), (x, y)] if rears else [(0.98, 0.8), (x, y)]
    body = np.concatenate([body, neck])
    brush.curve(np.add(body, (0, 0.03)), (0.02, 0.12, 0.15, 0.15, 0.13), coat.dark)
    brush.curve(body, (0.02, 0.1, 0.13, 0.14, 0.12), coat.main)
    brush.line([(x + 0.1, y + 0.03), (x + 0.2, y + 0.05)], 0.02, (214, 40, 50))
    for fork in (0.02, 0.1):
        brush.line([(x + 0.19, y + 0.05), (x + 0.26, y + fork)], 0.018, (214, 40, 50))
    brush.ellipse((x + 0.02, y), (0.13, 0.085), coat.main, 8)
    brush.ellipse((x + 0.04, y - 0.03), 0.036, WHITE)
    brush.eye((x + 0.05, y - 0.03), 0.026)
    return ("tail",)


KINDS: tuple[Kind, ...] = (bird, duck, fish, butterfly, snake)
