"""Vehicles, seen from the side and driving to the right."""

from __future__ import annotations

import numpy as np

from ..brush import INK, Brush
from ..colors import Coat
from .kind import BARK, CREAM, GLASS, GOLD, SHADOW, STEEL, WHITE, WOOD, Kind, both_sides, chance, kind

TAIL_LIGHT = (214, 44, 48)


def _wheel(brush: Brush, x: float, radius: float) -> None:
    """Draw a wheel that stands on the ground."""
    brush.ellipse((x, 1 - radius), radius, INK)
    brush.ellipse((x, 1 - radius), 0.58 * radius, STEEL)
    brush.ellipse((x, 1 - radius), 0.2 * radius, INK)


def _smoke(brush: Brush, x: float, y: float, rng: np.random.Generator) -> None:
    """Draw three puffs that drift back and up from (x, y)."""
    for n in range(3):
        x, y = x - rng.uniform(0.05, 0.1), max(y - rng.uniform(0.01, 0.04), 0.1)
        brush.ellipse((x, y), (0.06 + 0.022 * n, 0.045 + 0.018 * n), (226, 228, 232))


@kind("wheel", "window", "door", aspect=1.9, home="ground", patterned=True)
def car(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    radius, top = rng.uniform(0.17, 0.2), rng.uniform(0.06, 0.14)
    belt, front, rear = 0.46, rng.uniform(1.3, 1.42), rng.choice([0.14, 0.4])  # hatchback or saloon
    roof, screen, post = rear + 0.2, front - 0.3, (rear + front) / 2 - 0.05
    cabin = [(rear - 0.06, belt + 0.1), (roof - 0.04, top + 0.06), (roof + 0.04, top), (screen - 0.06, top)]
    brush.blob([*cabin, (screen + 0.04, top + 0.05), (front + 0.06, belt + 0.1)], coat.main)
    hood = [(0.04, 0.56), (0.12, belt - 0.01), (0.6, belt - 0.02), (front, belt), (1.72, belt + 0.1)]
    brush.blob([*hood, (1.86, 0.64), (1.84, 0.82), (1.2, 0.85), (0.5, 0.85), (0.06, 0.82)], coat.main)
    brush.box(0.08, 0.76, 1.83, 0.86, coat.dark, 0.04)
    high, low = top + 0.07, belt + 0.02
    brush.slab((high, roof, post - 0.03), (low, rear + 0.06, post - 0.03), GLASS)
    brush.slab((high, post + 0.03, screen - 0.01), (low, post + 0.03, front - 0.05), GLASS)
    brush.slab((high, post + 0.1, post + 0.18), (low, post + 0.03, post + 0.1), WHITE)
    for x in (post, front - 0.1):
        brush.line([(x, belt + 0.03), (x, 0.76)], 0.02, coat.dark)
    brush.box(post + 0.05, 0.53, post + 0.15, 0.565, coat.accent, 0.015)
    brush.ellipse((1.8, 0.62), (0.05, 0.06), GOLD)
    brush.box(0.04, 0.57, 0.1, 0.68, TAIL_LIGHT, 0.02)
    for x in (0.42, 1.46):
        brush.sector((x, 1 - radius), 1.22 * radius, 180, 360, coat.dark)
        _wheel(brush, x, radius)
    return "wheel", "window", "door"


@kind("wheel", "window", "door", aspect=1.7, home="ground", patterned=True)
def bus(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    tall, count, radius = chance(rng, 0.4), int(rng.integers(3, 6)), rng.uniform(0.12, 0.14)
    top = 0.03 if tall else rng.uniform(0.18, 0.24)
    brush.box(0.03, top, 1.67, 0.9, coat.main, 0.09)
    brush.box(0.03, 0.8, 1.67, 0.9, coat.dark, 0.03)
    brush.box(0.1, top + 0.015, 1.6, top + 0.05, coat.light, 0.02)
    rows = ((top + 0.1, 0.2), (0.44, 0.2)) if tall else ((top + 0.1, 0.25),)
    for row, (y, height) in enumerate(rows):
        upstairs = tall and row == 0
        left, right = 0.1, 1.42 if upstairs else 1.16
        step = (right - left) / count
        for n in range(count):
            x = left + n * step
            brush.box(x + 0.02, y, x + step - 0.02, y + height, GLASS, 0.03)
            brush.slab((y, x + 0.1, x + 0.15), (y + height, x + 0.04, x + 0.09), WHITE)
        brush.box(1.46, y, 1.66, y + height, GLASS, 0.03)
    y = rows[-1][0]
    brush.box(1.2, y - 0.02, 1.42, 0.87, coat.accent, 0.02)
    for x in (1.215, 1.32):
        brush.box(x, y, x + 0.085, 0.85, GLASS)
    brush.line([(0.08, y + 0.3), (1.16, y + 0.3)], 0.03, coat.accent)
    brush.ellipse((1.61, 0.76), (0.04, 0.045), GOLD)
    brush.box(0.03, 0.68, 0.07, 0.78, TAIL_LIGHT, 0.02)
    for x in (0.36, 1.08):
        brush.sector((x, 1 - radius), 1.25 * radius, 180, 360, coat.dark)
        _wheel(brush, x, radius)
    return "wheel", "window", "door"


@kind("wheel", "window", "roof", "chimney", aspect=1.55, home="ground", patterned=True)
def train(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    count, boiler, stack = int(rng.integers(2, 4)), rng.uniform(0.36, 0.42), rng.uniform(1.16, 1.24)
    _smoke(brush, stack, 0.15, rng)
    brush.polygon([(1.34, 0.78), (1.54, 0.98), (1.26, 0.98)], SHADOW)
    brush.box(0.06, 0.72, 1.4, 0.84, INK, 0.02)
    brush.box(0.5, boiler, 1.36, 0.76, coat.main, 0.05)
    brush.box(0.5, boiler + 0.03, 1.34, boiler + 0.09, coat.light, 0.02)
    brush.box(0.5, 0.64, 1.36, 0.74, coat.dark)
    brush.box(1.32, boiler - 0.02, 1.42, 0.76, SHADOW, 0.03)
    brush.ellipse((1.43, boiler + 0.14), (0.045, 0.065), GOLD)
    for x in (0.72, 1.02):
        brush.box(x, boiler, x + 0.035, 0.72, GOLD)
    brush.slab((0.16, stack - 0.1, stack + 0.1), (boiler + 0.02, stack - 0.06, stack + 0.06), INK)
    brush.box(stack - 0.12, 0.13, stack + 0.12, 0.19, coat.dark, 0.02)
    brush.sector((0.88, boiler + 0.02), (0.08, 0.12), 180, 360, GOLD)
    brush.box(0.1, 0.16, 0.54, 0.76, coat.main)
    brush.box(0.19, 0.25, 0.45, 0.47, GLASS, 0.03)
    brush.slab((0.25, 0.27, 0.34), (0.47, 0.21, 0.28), WHITE)
    brush.box(0.1, 0.64, 0.54, 0.76, coat.dark)
    brush.box(0.03, 0.1, 0.62, 0.19, coat.dark, 0.04)
    big = 0.155 if count == 2 else 0.135
    centers = np.linspace(0.26, 0.86, count)
    for x in centers:
        brush.ellipse((x, 1 - big), big, INK)
        brush.ellipse((x, 1 - big), 0.72 * big, TAIL_LIGHT if coat.name != "red" else GOLD)
        brush.ellipse((x, 1 - big), 0.2 * big, INK)
    brush.line([(centers[0], 0.9), (centers[-1], 0.9)], 0.035, STEEL)
    _wheel(brush, 1.1, 0.09)
    _wheel(brush, 1.29, 0.09)
    return "wheel", "window", "roof", "chimney"


@kind("wheel", "handle", "seat", "basket", aspect=1.6, home="ground")
def bicycle(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    radius, phase, basket = rng.uniform(0.29, 0.33), rng.uniform(0, 60), chance(rng, 0.45)
    rear, front, crank = (0.35, 1 - radius), (1.24, 1 - radius), (0.74, 0.74)
    saddle, head = (0.58, 0.26), (1.06, 0.24)
    for x, y in (rear, front):
        for angle in np.radians(phase + np.arange(0, 180, 36)):
            across, down = np.array([np.cos(angle), np.sin(angle)]) * (radius - 0.03)
            brush.line([(x + across, y + down), (x - across, y - down)], 0.013, STEEL)
        brush.ring((x, y), radius - 0.025, 0.05, INK)
        brush.ellipse((x, y), 0.04, SHADOW)
    seat_post, head_tube = (0.62, 0.4), (1.09, 0.36)
    low = (0.68, 0.58) if chance(rng, 0.4) else seat_post  # the lady's frame or the diamond
    for start, end in (
        (rear, crank),
        (rear, seat_post),
        (crank, head_tube),
        (low, head_tube),
        (crank, seat_post),
        (head, front),
    ):
        brush.line([start, end], 0.055, coat.main)
    brush.line([saddle, seat_post], 0.035, STEEL)
    brush.blob([(0.44, 0.22), (0.58, 0.22), (0.72, 0.23), (0.6, 0.29), (0.48, 0.3)], INK)
    brush.ellipse(crank, 0.065, SHADOW)
    pedal = np.radians(phase * 6)
    foot = np.array([np.cos(pedal), np.sin(pedal)]) * 0.13
    brush.line([foot + crank, crank - foot], 0.025, STEEL)
    for x, y in (foot + crank, crank - foot):
        brush.line([(x - 0.05, y), (x + 0.05, y)], 0.035, INK)
    if chance(rng):  # a bar bent back or a racer's
        bar = [(1.05, 0.26), (1.05, 0.14), (0.95, 0.1), (0.86, 0.15)]
    else:
        bar = [(1.03, 0.2), (1.2, 0.17), (1.28, 0.25), (1.2, 0.33)]
    brush.line([head, (1.04, 0.18)], 0.04, STEEL)
    brush.curve(bar, 0.04, SHADOW)
    brush.curve(bar[-2:], 0.05, INK)
    if basket:
        brush.slab((0.2, 1.14, 1.46), (0.42, 1.19, 1.4), WOOD)
        for y in (0.27, 0.34):
            brush.line([(1.17, y), (1.42, y)], 0.015, CREAM)
        brush.line([(1.14, 0.2), (1.46, 0.2)], 0.035, BARK)
    return ("wheel", "handle", "seat", "basket")[: 4 if basket else 3]


@kind("sail", "window", "chimney", aspect=1.1, home="water", patterned=True)
def boat(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    flag = WHITE if coat.name in ("red", "pink") else TAIL_LIGHT
    if chance(rng, 0.65):  # with sails
        mast, boom = rng.uniform(0.48, 0.56), rng.uniform(0.1, 0.2)
        hull, cloth, shade = (WOOD, coat.main, coat.light) if chance(rng) else (coat.main, WHITE, CREAM)
        brush.line([(mast, 0.04), (mast, 0.8)], 0.035, BARK)
        brush.polygon([(mast, 0.02), (mast, 0.13), (mast - 0.17, 0.075)], flag)
        bulge = rng.uniform(0.0, 0.05)
        aft, fore = mast - 0.03, mast + 0.04
        luff = [(aft, 0.16), (mast - 0.18, 0.34 + bulge), (boom, 0.68), (boom + 0.02, 0.71)]
        brush.blob([*luff, (aft - 0.03, 0.71), (aft, 0.69)], cloth)
        luff = [(fore, 0.2), (mast + 0.2, 0.36), (0.96, 0.68), (0.94, 0.71)]
        brush.blob([*luff, (fore + 0.02, 0.71), (fore, 0.69)], shade)
        parts: tuple[str, ...] = ("sail",)
    else:  # with a funnel
        hull, x = coat.main, rng.uniform(0.44, 0.56)
        _smoke(brush, x, 0.16, rng)
        brush.slab((0.17, x - 0.09, x + 0.07), (0.46, x - 0.09, x + 0.09), coat.main)
        brush.slab((0.17, x - 0.09, x + 0.07), (0.25, x - 0.09, x + 0.075), INK)
        brush.box(0.3, 0.42, 0.76, 0.58, WHITE, 0.02)
        brush.box(0.2, 0.56, 0.86, 0.78, CREAM, 0.02)
        for n in range(3):
            brush.box(0.36 + 0.13 * n, 0.46, 0.44 + 0.13 * n, 0.54, GLASS, 0.01)
            brush.ellipse((0.32 + 0.2 * n, 0.66), 0.05, SHADOW)
            brush.ellipse((0.32 + 0.2 * n, 0.66), 0.034, GLASS)
        parts = ("window", "chimney")
    prow = rng.uniform(0.0, 0.05)
    brush.polygon([(0.04, 0.77), (1.08, 0.75 - prow), (0.93, 0.98), (0.17, 0.98)], hull)
    painted = hull == coat.main
    brush.slab((0.92, 0.13, 0.97), (0.98, 0.17, 0.93), coat.dark if painted else BARK)
    rail = INK if painted and coat.name == "white" else WHITE
    brush.line([(0.05, 0.785), (1.06, 0.765 - prow)], 0.035, rail)
    return parts


@kind("wing", "tail", "window", "wheel", aspect=1.8, home="air", patterned=True)
def airplane(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    sweep, count = rng.uniform(-0.06, 0.08), int(rng.integers(5, 8))
    landing = chance(rng, 0.35)
    brush.slab((0.1, 0.7 - sweep, 0.82 - sweep), (0.46, 0.86, 1.08), coat.dark)
    brush.slab((0.04, 0.08, 0.26), (0.42, 0.1, 0.48), coat.main)
    brush.slab((0.05, 0.1, 0.26), (0.15, 0.1, 0.32), coat.accent)
    if landing:
        for x in (0.78, 1.42):
            brush.line([(x, 0.64), (x, 0.88)], 0.03, STEEL)
            _wheel(brush, x, 0.08)
    back, belly = [(0.04, 0.4), (0.4, 0.36), (1.3, 0.34), (1.6, 0.4)], [(1.3, 0.68), (0.6, 0.64), (0.2, 0.52)]
    brush.blob([*back, (1.76, 0.54), (1.62, 0.64), *belly], coat.main)
    brush.blob([(0.3, 0.56), (1.0, 0.6), (1.7, 0.58), (1.6, 0.64), (1.3, 0.67), (0.6, 0.635)], coat.light)
    brush.polygon([(1.5, 0.38), (1.6, 0.4), (1.68, 0.48), (1.5, 0.48)], GLASS)
    for n in range(count):
        x = 1.4 - 0.8 * n / (count - 1)
        brush.box(x - 0.035, 0.41, x + 0.025, 0.5, GLASS, 0.025)
    brush.slab((0.46, 0.08, 0.34), (0.62, 0.0, 0.12), coat.dark)
    brush.box(0.82 - sweep, 0.72, 1.1 - sweep, 0.86, SHADOW, 0.06)
    brush.slab((0.55, 0.76, 1.12), (0.96, 0.48 - sweep, 0.66 - sweep), coat.dark)
    return ("wing", "tail", "window", "wheel")[: 4 if landing else 3]


@kind("basket", aspect=0.75, home="air", patterned=True)
def balloon(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    wide, neck, axis = rng.uniform(0.3, 0.36), rng.uniform(0.72, 0.77), 0.375
    for side in (-1, 1):
        brush.line([(axis + side * 0.12, 0.62), (axis + side * 0.07, 0.86)], 0.014, BARK)
    half = [(0, 0.01), (0.7, 0.08), (1, 0.32), (0.72, 0.55), (0.3, neck), (0, neck + 0.01)]
    for share, fill in ((1.0, coat.dark), (0.74, coat.main), (0.42, coat.light), (0.14, coat.main)):
        brush.blob(both_sides(half, 0) * (wide * share, 1) + (axis, 0), fill)
    if chance(rng):
        girth = 0.98 * wide
        brush.curve([(axis - girth, 0.36), (axis, 0.43), (axis + girth, 0.36)], 0.06, coat.accent)
    brush.box(0.28, 0.86, 0.47, 0.99, WOOD, 0.025)
    brush.line([(0.29, 0.925), (0.46, 0.925)], 0.012, CREAM)
    brush.line([(0.28, 0.865), (0.47, 0.865)], 0.03, BARK)
    return ("basket",)


KINDS: tuple[Kind, ...] = (car, bus, train, bicycle, boat, airplane, balloon)
