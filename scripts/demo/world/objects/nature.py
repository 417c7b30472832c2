"""Plants and fruit, and the buildings that stand among them."""

from __future__ import annotations

import numpy as np

from ..brush import INK, Brush
from ..colors import Coat
from .kind import (
    ANY,
    BARK,
    CREAM,
    GLASS,
    GOLD,
    GRASS,
    LEAF,
    SHADOW,
    STEEL,
    WHITE,
    WOOD,
    Kind,
    both_sides,
    chance,
    kind,
)

BLOSSOM = (236, 92, 140)


@kind("leaf", aspect=0.85, home="ground", colors=("green", "orange", "yellow", "red", "pink"))
def tree(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    form, middle = rng.integers(3), 0.425
    if form == 0:  # a fir
        brush.box(middle - 0.06, 0.8, middle + 0.06, 1, BARK)
        for n in range(tiers := int(rng.integers(3, 5))):
            low, wide = 0.86 - 0.62 * n / tiers, 0.38 - 0.24 * n / tiers
            tip = max(low - 0.42, 0.02)
            brush.polygon([(middle, tip), (middle + wide, low), (middle - wide, low)], coat.main)
            brush.polygon([(middle, tip), (middle + wide, low), (middle + 0.25 * wide, low)], coat.dark)
        return ()
    if form == 1:  # a palm
        lean = rng.uniform(-0.1, 0.1)
        top = np.array([middle + lean, 0.34])
        brush.curve([(middle - lean, 0.94), (middle - lean / 2, 0.66), top], (0.13, 0.09, 0.07), BARK)
        leaves = ((0.32, -0.2, -0.12), (0.2, -0.3, -0.3), (0.38, -0.1, 0.14), (0.24, 0.04, 0.3))
        for reach, lift, fall in leaves:
            for side in (-1, 1):
                bend, tip = np.add(top, [(side * reach * 0.6, lift), (side * reach, fall)])
                brush.curve([top, bend, tip], (0.06, 0.11, 0.015), coat.main if fall < 0.1 else coat.dark)
        for x in (-0.04, 0.05):
            brush.ellipse(np.add(top, (x, 0.05)), 0.04, WOOD)
        return ("leaf",)
    brush.line([(middle, 0.92), (middle, 0.5)], (0.16, 0.1), BARK)
    spread = rng.uniform(0.16, 0.2)
    puffs = [(-0.18, 0.42), (0.19, 0.42), (-0.13, 0.24), (0.14, 0.24), (0, 0.18), (0, 0.36)]
    for n, (x, y) in enumerate(puffs):
        center = np.add((middle + x, y), rng.uniform(-0.02, 0.02, size=2))
        brush.ellipse(center, spread * (1.05, 0.95)[n % 2], coat.dark if n < 2 else coat.main)
    for x, y in ((-0.12, 0.2), (0.06, 0.12)):
        brush.ellipse((middle + x, y), (0.09, 0.07), coat.light)
    for x, y in ((-0.14, 0.56), (0.15, 0.54)):
        brush.line([(middle, 0.72), (middle + x, y)], (0.07, 0.035), BARK)
    return ()


@kind(
    "petal",
    "stem",
    "leaf",
    aspect=0.7,
    home="ground",
    colors=("red", "orange", "yellow", "pink", "purple", "blue", "white"),
)
def flower(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    x, y, bend = 0.35, 0.33, rng.uniform(-0.08, 0.08)
    brush.curve([(x, y), (x + bend, 0.66), (x, 0.99)], 0.045, GRASS)
    if chance(rng, 0.3):  # a tulip
        brush.blob([(x - 0.01, 0.98), (0.12, 0.7), (0.06, 0.42), (0.22, 0.7)], LEAF)
        brush.blob([(x + 0.01, 0.98), (0.56, 0.72), (0.62, 0.5), (0.48, 0.72)], GRASS)
        outer = np.array([(0, 0.56), (0.2, 0.46), (0.18, 0.2), (0.19, 0.08), (0.02, 0.2)])
        for side in (-1, 1):
            brush.blob(outer * (side, 1) + (x, 0), coat.dark)
        brush.blob(both_sides([(0, 0.06), (0.1, 0.22), (0.13, 0.44), (0, 0.56)], x), coat.main)
        return "petal", "stem", "leaf"
    for side in (-1, 1):
        leaf = np.array([(0, 0), (0.12, -0.14), (0.28, -0.13), (0.2, 0.0)]) * (side, 1)
        brush.blob(np.add(leaf, (x + 0.6 * bend, 0.84 - 0.06 * side)), LEAF)
    count, phase = int(rng.integers(5, 9)), rng.uniform(0, 90)
    reach = 0.18 if count < 7 else 0.2
    for n in range(count):
        angle = phase + 360 * n / count
        middle = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * reach + (x, y)
        brush.ellipse(middle, (0.145, 0.68 / count + 0.015), coat.dark, angle)
        brush.ellipse(middle, (0.13, 0.68 / count - 0.005), coat.main, angle)
    brush.ellipse((x, y), 0.11, GOLD if coat.name not in ("yellow", "orange") else BARK)
    return "petal", "stem", "leaf"


@kind(
    "stem", aspect=1.0, home="ground", colors=("red", "brown", "orange", "purple", "yellow", "white", "blue")
)
def mushroom(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    rim, thick, flat = rng.uniform(0.5, 0.6), rng.uniform(0.1, 0.16), rng.uniform(0.42, 0.5)
    stem = [(thick, rim), (thick + 0.03, 0.86), (thick + 0.02, 0.98)]
    gills = (228, 222, 210)
    brush.blob(both_sides(stem, 0.5), CREAM)
    brush.blob(both_sides(stem, 0) * (0.35, 1) + (0.5 + 0.65 * thick, 0), gills)
    brush.ellipse((0.5, rim), (0.44, 0.1), gills)
    edge = [(0.47, rim), (0.25, rim + 0.03), (0, rim + 0.045)]
    brush.blob(both_sides([(0.16, rim - flat), (0.4, rim - 0.7 * flat), *edge], 0.5), coat.main)
    brush.blob(both_sides([(0, rim - 0.06), *edge], 0.5), coat.dark)
    spot = coat.accent if coat.name in ("white", "yellow") else WHITE
    spots = (
        (0.3, 0.5, 0.085),
        (0.58, 0.72, 0.075),
        (0.72, 0.34, 0.08),
        (0.48, 0.28, 0.05),
        (0.14, 0.2, 0.045),
    )
    for x, y, size in spots:
        brush.ellipse((x, rim - y * flat), (size, 0.8 * size), spot)
    return ("stem",)


@kind("stem", "leaf", aspect=0.95, home="table", colors=("red", "green", "yellow"))
def apple(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    wide, lean, leaf = rng.uniform(0.4, 0.45), rng.uniform(-0.06, 0.08), chance(rng, 0.75)
    half = [(0, 0.27), (0.5, 0.2), (0.92, 0.32), (1.0, 0.56), (0.82, 0.84), (0.45, 0.98), (0.12, 0.95)]
    whole = both_sides(half, 0) * (wide, 1) + (0.475, 0)
    brush.blob(whole, coat.dark)
    brush.blob((whole - (0.475, 0.6)) * 0.93 + (0.46, 0.585), coat.main)
    brush.ellipse((0.27, 0.44), (0.055, 0.11), coat.light, 25)
    brush.ellipse((0.475, 0.275), (0.14, 0.035), coat.dark)
    brush.curve([(0.475, 0.29), (0.48, 0.16), (0.49 + lean, 0.04)], (0.03, 0.045), BARK)
    if leaf:
        brush.blob([(0.49, 0.18), (0.6, 0.04), (0.82, 0.02), (0.74, 0.16), (0.6, 0.2)], LEAF)
        brush.line([(0.52, 0.17), (0.74, 0.07)], 0.012, GRASS)
    return ("stem", "leaf") if leaf else ("stem",)


@kind("petal", aspect=0.8, home="ground", colors=("green",))
def cactus(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    x, potted, blooms = 0.4, chance(rng, 0.4), chance(rng, 0.5)
    floor = 0.78 if potted else 0.99
    top = rng.uniform(0.06, 0.14)
    for side in (-1, 1)[: 1 + chance(rng, 0.75)]:
        elbow, tip = rng.uniform(0.46, 0.62), rng.uniform(0.2, 0.34)
        hand = x + side * 0.27
        brush.curve(
            [(x, elbow + 0.06), (x + side * 0.22, elbow + 0.04), (hand, elbow - 0.06), (hand, tip)],
            0.14,
            coat.dark,
        )
        brush.line([(hand - 0.02, elbow - 0.04), (hand - 0.02, tip)], 0.025, coat.light)
        if blooms:
            brush.ellipse((hand, tip - 0.07), (0.06, 0.045), BLOSSOM)
    for y in np.arange(top + 0.14, floor - 0.05, 0.1):  # its spines
        for side in (-1, 1):
            brush.line([(x + side * 0.1, y), (x + side * 0.17, y - 0.02)], (0.03, 0.012), GRASS)
    brush.box(x - 0.13, top, x + 0.13, floor, coat.main, 0.13)
    brush.box(x - 0.13, floor - 0.12, x + 0.13, floor, coat.main)
    for rib in (-0.055, 0.055):
        brush.line([(x + rib, top + 0.1), (x + rib, floor - 0.03)], 0.022, coat.dark)
    if blooms:
        for turn in range(-60, 61, 40):
            petal = (x + 0.07 * np.sin(np.radians(turn)), top + 0.01 - 0.06 * np.cos(np.radians(turn)))
            brush.ellipse(petal, (0.065, 0.035), BLOSSOM, turn - 90)
        brush.ellipse((x, top), 0.03, GOLD)
    if potted:
        brush.slab((0.78, x - 0.22, x + 0.22), (1, x - 0.16, x + 0.16), (198, 104, 62))
        brush.box(x - 0.25, 0.74, x + 0.25, 0.83, (214, 122, 76), 0.02)
    return ("petal",) if blooms else ()


def _window(brush: Brush, x: float, y: float, width: float, height: float) -> None:
    brush.box(x, y, x + width, y + height, WHITE)
    brush.box(x + 0.02, y + 0.02, x + width - 0.02, y + height - 0.02, GLASS)
    brush.line([(x + width / 2, y + 0.01), (x + width / 2, y + height - 0.01)], 0.018, WHITE)
    brush.line([(x + 0.01, y + height / 2), (x + width - 0.01, y + height / 2)], 0.018, WHITE)


@kind("door", "window", "roof", "chimney", aspect=1.1, home="ground", patterned=True)
def house(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    eaves, wide, chimney = rng.uniform(0.4, 0.5), rng.uniform(0.4, 0.46), chance(rng, 0.65)
    tiles, shade = ((142, 74, 46), (112, 56, 38))
    if coat.name in ("red", "brown", "orange"):
        tiles, shade = SHADOW, (66, 68, 78)
    middle, tip = 0.55, rng.uniform(0.03, 0.12)
    if chimney:
        brush.box(middle + 0.2, tip + 0.02, middle + 0.32, eaves, (140, 88, 72))
        brush.box(middle + 0.18, tip, middle + 0.34, tip + 0.05, (104, 62, 52))
    brush.box(middle - wide, eaves - 0.02, middle + wide, 1, coat.main)
    gable = chance(rng)
    if gable:
        brush.polygon([(middle, tip), (middle + wide, eaves), (middle - wide, eaves)], coat.main)
        brush.ellipse((middle, (tip + eaves) / 2 + 0.05), 0.07, WHITE)
        brush.ellipse((middle, (tip + eaves) / 2 + 0.05), 0.05, GLASS)
        low, out = eaves + 0.05, wide + 0.07
        roof = [(middle - out, low), (middle, tip + 0.02), (middle + out, low)]
        brush.line(np.add(roof, (0, 0.035)), 0.09, coat.dark)
        brush.line(roof, 0.09, tiles)
    else:
        brush.box(middle - wide, eaves, middle + wide, eaves + 0.07, coat.dark)
        ridge = wide - 0.12
        brush.slab((tip + 0.06, middle - ridge, middle + ridge), (eaves + 0.02, 0.02, 1.08), tiles)
        brush.slab((eaves - 0.03, 0.04, 1.06), (eaves + 0.02, 0.02, 1.08), shade)
    door = middle + rng.choice([-0.25, 0.0, 0.25])
    for x in (-0.26, 0.26) if gable else (-0.27, 0.0, 0.27):
        if abs(middle + x - door) > 0.15:
            _window(brush, middle + x - 0.09, eaves + 0.13, 0.18, 0.2)
    fill = WOOD if coat.name not in ("brown", "orange") else (52, 92, 140)
    brush.box(door - 0.095, 0.66, door + 0.095, 1, CREAM)
    brush.box(door - 0.075, 0.68, door + 0.075, 1, fill)
    brush.ellipse((door + 0.045, 0.85), 0.018, GOLD)
    return ("door", "window", "roof", "chimney")[: 4 if chimney else 3]


@kind("door", "window", "roof", aspect=0.6, home="ground", colors=ANY, patterned=True)
def lighthouse(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    top, base, middle = rng.uniform(0.24, 0.32), rng.uniform(0.18, 0.23), 0.3
    cap = (204, 48, 50) if coat.name not in ("red", "pink", "orange") else (46, 62, 110)
    brush.sector((middle, 1.0), (0.29, 0.09), 180, 360, SHADOW)
    neck, foot = (top, 0.115), (0.97, base)  # the tower's half width at two heights
    brush.slab((top, middle - neck[1], middle + neck[1]), (0.97, middle - base, middle + base), coat.main)
    brush.slab((top, middle + 0.04, middle + neck[1]), (0.97, middle + 0.4 * base, middle + base), coat.dark)
    if chance(rng):
        (high, upper), (low, lower) = (np.multiply(neck, 1 - t) + np.multiply(foot, t) for t in (0.38, 0.62))
        brush.slab((high, middle - upper, middle + upper), (low, middle - lower, middle + lower), coat.accent)
    for y in (top + 0.1, top + 0.36):
        brush.box(middle - 0.035, y, middle + 0.035, y + 0.09, INK, 0.03)
        brush.box(middle - 0.022, y + 0.013, middle + 0.022, y + 0.078, GLASS, 0.02)
    brush.box(middle - 0.06, 0.82, middle + 0.06, 0.97, coat.accent, 0.06)
    brush.box(middle - 0.06, 0.9, middle + 0.06, 0.97, coat.accent)
    brush.ellipse((middle + 0.03, 0.91), 0.014, GOLD)
    brush.box(middle - 0.085, top - 0.15, middle + 0.085, top, GOLD if chance(rng, 0.6) else GLASS)
    for x in (-0.08, 0.0, 0.08):
        brush.line([(middle + x, top - 0.15), (middle + x, top)], 0.018, SHADOW)
    brush.box(middle - 0.17, top - 0.02, middle + 0.17, top + 0.035, SHADOW, 0.01)
    brush.sector((middle, top - 0.14), (0.125, 0.12), 180, 360, cap)
    brush.line([(middle, top - 0.25), (middle, top - 0.29)], 0.02, STEEL)
    return "door", "window", "roof"


KINDS: tuple[Kind, ...] = (tree, flower, mushroom, apple, cactus, house, lighthouse)
