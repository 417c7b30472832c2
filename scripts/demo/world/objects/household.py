"""Things of the house."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..brush import INK, Brush
from ..colors import Coat
from .kind import BARK, CREAM, GOLD, SHADOW, STEEL, WHITE, WOOD, Kind, both_sides, chance, kind

TEA = (96, 58, 34)


def _steam(brush: Brush, x: float, low: float, high: float) -> None:
    """Draw a curl of steam that rises from (x, low)."""
    y = np.linspace(low, high, 4)
    brush.curve(
        [(x, y[0]), (x + 0.04, y[1]), (x - 0.03, y[2]), (x + 0.02, y[3])],
        (0.02, 0.035, 0.015),
        (232, 234, 238),
    )


@kind("handle", aspect=1.05, home="table", patterned=True)
def mug(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    top, taper, bend = rng.uniform(0.12, 0.34), rng.uniform(-0.02, 0.1), rng.uniform(0.14, 0.19)
    if chance(rng):
        top = 0.34
        for x in (0.3, 0.45, 0.6):
            _steam(brush, x, 0.28, 0.03)
    middle, half = 0.42, 0.35
    brush.arc((0.73, (top + 0.96) / 2 - 0.02), (0.22, bend), -100, 100, 0.085, coat.dark)
    brush.ellipse((middle, 0.93), (half - taper, 0.06), coat.main)
    left, right = middle - half, middle + half
    brush.slab((top, left, right), (0.93, left + taper, right - taper), coat.main)
    brush.polygon(
        [(middle + 0.18, top), (right, top), (right - taper, 0.93), (middle + 0.14, 0.98)], coat.dark
    )
    brush.slab((top, middle - 0.28, middle - 0.18), (0.94, middle - 0.24, middle - 0.16), coat.light)
    brush.ellipse((middle, top), (half, 0.09), coat.light)
    brush.ellipse((middle, top + 0.005), (half - 0.04, 0.065), coat.dark)
    brush.sector((middle, top + 0.015), (half - 0.05, 0.05), 0, 180, TEA)
    return ("handle",)


@kind("handle", aspect=1.4, home="table", patterned=True)
def teapot(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    round_, tall = rng.uniform(0.36, 0.42), rng.uniform(0.3, 0.35)
    y = 0.95 - tall
    if chance(rng, 0.4):
        _steam(brush, 1.3, 0.28, 0.02)
    if chance(rng, 0.7):  # a handle at its back or a bow over its lid
        brush.arc((0.3, y - 0.02), (0.22, 0.22), 70, 290, 0.075, coat.dark)
    else:
        brush.arc((0.68, y - 0.6 * tall), (0.32, 0.36), 190, 350, 0.06, BARK)
    brush.curve(
        [(0.9, y + 0.14), (1.1, y + 0.06), (1.18, y - 0.16), (1.3, y - 0.26)],
        (0.24, 0.17, 0.1, 0.1),
        coat.main,
    )
    brush.ellipse((1.305, y - 0.265), (0.07, 0.03), coat.dark, 25)
    brush.box(0.45, 0.9, 0.91, 0.99, coat.dark, 0.03)
    brush.ellipse((0.68, y), (round_, tall), coat.main)
    brush.blob(
        [
            (0.4, y + 0.14),
            (0.68, y + 0.2),
            (0.98, y + 0.1),
            (0.9, y + 0.22),
            (0.68, y + tall - 0.02),
            (0.45, y + 0.21),
        ],
        coat.dark,
    )
    brush.ellipse((0.52, y - 0.12), (0.1, 0.06), coat.light, -35)
    lid = y - 0.86 * tall
    brush.sector((0.68, lid), (0.23, 0.13), 180, 360, coat.light)
    brush.box(0.43, lid - 0.02, 0.93, lid + 0.03, coat.dark, 0.02)
    brush.ellipse((0.68, lid - 0.15), 0.05, coat.dark)
    return ("handle",)


@kind("leg", "seat", aspect=0.75, home="ground", patterned=True)
def chair(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    seat, lean, top = rng.uniform(0.44, 0.54), rng.uniform(0.0, 0.06), rng.uniform(0.02, 0.1)
    for x in (0.14, 0.56):  # the legs behind, the back, the seat and the legs in front
        brush.box(x, seat, x + 0.06, 0.9, coat.dark)
    if chance(rng, 0.45):
        brush.slab((top, 0.11 - lean, 0.59 - lean), (seat, 0.11, 0.59), coat.main)
        brush.slab((top + 0.07, 0.18 - lean, 0.52 - lean), (seat - 0.05, 0.18, 0.52), coat.light)
    else:
        count = int(rng.integers(2, 5))
        for n in range(count):
            x = 0.16 + 0.38 * (n + 0.5) / count
            brush.line([(x - lean, top + 0.08), (x, seat)], 0.035, coat.dark)
        for x in (0.12, 0.56):
            brush.line([(x - lean, top + 0.03), (x, seat)], 0.065, coat.main)
        brush.line([(0.12 - lean, top + 0.05), (0.56 - lean, top + 0.05)], 0.1, coat.main)
    brush.slab((seat - 0.02, 0.1, 0.6), (seat + 0.12, 0.1, 0.72), coat.light)
    brush.box(0.1, seat + 0.11, 0.72, seat + 0.19, coat.main, 0.02)
    for x in (0.1, 0.64):
        brush.slab((seat + 0.17, x, x + 0.08), (1.0, x + 0.01, x + 0.07), coat.main)
    return "leg", "seat"


@kind("leg", aspect=0.75, home="table", patterned=True)
def lamp(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    low, narrow, style = rng.uniform(0.42, 0.5), rng.uniform(0.14, 0.22), rng.integers(3)
    middle, foot = 0.375, WOOD if coat.name != "brown" else STEEL
    brush.ellipse((middle, low), (0.12, 0.09), GOLD)
    brush.line([(middle, low), (middle, 0.95)], 0.045, foot)
    if style == 0:  # a turned foot, a belly or three legs
        brush.sector((middle, 0.99), (0.2, 0.1), 180, 360, foot)
    elif style == 1:
        brush.ellipse((middle, 0.78), (0.15, 0.17), foot)
        brush.ellipse((middle - 0.05, 0.73), (0.035, 0.06), CREAM, 15)
        brush.box(middle - 0.12, 0.92, middle + 0.12, 0.99, foot, 0.02)
    else:
        for x in (-0.21, 0.21, 0.0):
            brush.line([(middle, 0.62), (middle + x, 0.975)], (0.05, 0.035), foot)
    right = middle + narrow
    brush.slab((0.03, middle - narrow, right), (low, 0.02, 0.73), coat.main)
    brush.slab((0.03, middle + 0.4 * narrow, right), (low, middle + 0.17, 0.73), coat.dark)
    brush.slab((0.03, middle - 0.7 * narrow, middle - 0.3 * narrow), (low, 0.1, 0.22), coat.light)
    brush.line([(0.03, low), (0.72, low)], 0.03, coat.light)
    if style != 2 and chance(rng):
        brush.line([(0.54, low), (0.54, low + 0.16)], 0.014, STEEL)
        brush.ellipse((0.54, low + 0.18), 0.024, GOLD)
    return ("leg",) if style == 2 else ()


@kind("leg", "handle", aspect=0.9, home="table")
def clock(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    alarm = chance(rng, 0.6)
    x, y, radius = 0.45, 0.56 if alarm else 0.5, 0.36 if alarm else 0.43
    if alarm:
        for side in (-1, 1):
            brush.line([(x + side * 0.2, y + 0.26), (x + side * 0.29, 0.97)], 0.07, coat.dark)
            brush.line([(x + side * 0.2, y - 0.28), (x + side * 0.27, y - 0.38)], 0.04, STEEL)
            bell = np.array([(-0.15, 0.04), (0.14, 0.04), (0.11, -0.07), (0.0, -0.12), (-0.11, -0.07)])
            cos, sin = np.cos(side * 0.65), np.sin(side * 0.65)
            brush.blob(bell @ np.array([[cos, sin], [-sin, cos]]) + (x + side * 0.25, y - 0.35), coat.main)
        brush.arc((x, 0.12), (0.1, 0.09), 180, 360, 0.035, SHADOW)
    if alarm or chance(rng, 0.6):
        brush.ellipse((x, y), radius, coat.main)
        brush.arc((x, y), radius - 0.02, 20, 110, 0.04, coat.dark)
    else:  # on the wall, with corners
        brush.box(x - radius, y - radius, x + radius, y + radius, coat.main, 0.08)
    inner = radius - 0.085
    brush.ellipse((x, y), inner, WHITE)
    for hour in range(12):
        angle = np.radians(30 * hour)
        way = np.array([np.cos(angle), np.sin(angle)])
        long = 0.74 if hour % 3 == 0 else 0.84
        brush.line(
            [way * inner * long + (x, y), way * inner * 0.9 + (x, y)], 0.026 if hour % 3 == 0 else 0.016, INK
        )
    minutes = rng.uniform(0, 720)
    for turn, reach, width in ((minutes / 720, 0.48, 0.05), (minutes % 60 / 60, 0.72, 0.034)):
        way = np.array([np.sin(2 * np.pi * turn), -np.cos(2 * np.pi * turn)])
        brush.line([(x, y), way * inner * reach + (x, y)], width, INK)
    brush.ellipse((x, y), 0.035, (206, 52, 60))
    return ("leg", "handle") if alarm else ()


@kind("handle", aspect=1.0, home="ground", patterned=True)
def umbrella(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    low, count, stick = rng.uniform(0.44, 0.52), int(rng.integers(4, 7)), STEEL if chance(rng) else WOOD
    brush.line([(0.5, 0.02), (0.5, 0.9)], 0.03, stick)
    brush.arc((0.43, 0.88), (0.07, 0.085), 0, 180, 0.05, BARK)
    brush.line([(0.5, 0.76), (0.5, 0.88)], 0.05, BARK)
    across, up = np.cos(turn := np.linspace(0, np.pi / 2, 9)), np.sin(turn)
    shades = (coat.main, coat.dark) if count % 2 else (coat.main, coat.light, coat.main, coat.dark)
    edges = 0.5 - 0.48 * np.cos(np.linspace(0, np.pi, count + 1))
    brush.sector((0.5, low), (0.48, low - 0.06), 180, 360, coat.main)
    for n, (left, right) in enumerate(pairwise(edges)):
        fill = shades[n % len(shades)]
        panel = [(0.5 + (edge - 0.5) * across, low - (low - 0.06) * up) for edge in (left, right)]
        brush.polygon(np.concatenate([np.stack(panel[0], 1), np.stack(panel[1], 1)[::-1]]), fill)
        brush.sector(((left + right) / 2, low), ((right - left) / 2, 0.05), 0, 180, fill)
    return ("handle",)


@kind(aspect=0.5, home="ground", patterned=True)
def guitar(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    waist, hip = rng.uniform(0.13, 0.16), rng.uniform(0.21, 0.245)
    for y in (0.05, 0.095, 0.14):
        brush.line([(0.17, y), (0.33, y)], 0.03, CREAM)
    brush.slab((0.02, 0.19, 0.31), (0.18, 0.205, 0.295), BARK)
    upper = [(0, 0.47), (waist, 0.49), (waist + 0.02, 0.57), (0.85 * waist, 0.66)]
    lower = [(0.92 * hip, 0.74), (hip, 0.85), (0.65 * hip, 0.96), (0, 0.985)]
    body = both_sides([*upper, *lower], 0.25)
    brush.blob(body, coat.dark)
    brush.blob((body - (0.25, 0.73)) * 0.9 + (0.25, 0.725), coat.main)
    brush.box(0.215, 0.16, 0.285, 0.6, BARK)
    for y in np.linspace(0.21, 0.46, 6):
        brush.line([(0.22, y), (0.28, y)], 0.009, GOLD)
    brush.ellipse((0.25, 0.63), 0.078, coat.light)
    brush.ellipse((0.25, 0.63), 0.062, INK)
    brush.box(0.15, 0.82, 0.35, 0.86, BARK, 0.015)
    for x in (0.235, 0.265):
        brush.line([(x, 0.12), (x, 0.84)], 0.008, CREAM)
    return ()


@kind("collar", aspect=1.1, home="table", patterned=True)
def shirt(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    sleeve, width, long = rng.uniform(0.36, 0.5), rng.uniform(0.25, 0.29), chance(rng, 0.35)
    collar = long or chance(rng, 0.4)
    middle = 0.55
    for side in (-1, 1):
        shoulder, cuff = (0.2, 0.08), (0.44, 0.86) if long else (0.52, sleeve)
        inner = (0.31, 0.9) if long else (0.38, sleeve + 0.13)
        arm = np.array([shoulder, (0.34, 0.15), cuff, inner, (width, 0.42), (width - 0.05, 0.2)])
        brush.polygon(arm * (side, 1) + (middle, 0), coat.dark)
        hem = np.array([cuff, inner])
        brush.line(hem * (side, 1) + (middle, 0), 0.035, coat.light)
    half = [(0.1, 0.05), (0.2, 0.08), (width, 0.3), (width, 0.97)]
    brush.polygon(both_sides(half, middle), coat.main)
    brush.line([(middle - width + 0.015, 0.95), (middle + width - 0.015, 0.95)], 0.035, coat.dark)
    brush.sector((middle, 0.05), (0.12, 0.11), 0, 180, coat.dark)
    if collar:
        for side in (-1, 1):
            flap = np.array([(0.11, 0.03), (0.0, 0.18), (0.09, 0.27), (0.2, 0.09)])
            brush.polygon(flap * (side, 1) + (middle, 0), coat.light)
        brush.line([(middle, 0.18), (middle, 0.93)], 0.02, coat.dark)
        for y in np.linspace(0.32, 0.86, 4):
            brush.ellipse((middle, y), 0.024, coat.accent)
    return ("collar",) if collar else ()


KINDS: tuple[Kind, ...] = (mug, teapot, chair, lamp, clock, umbrella, guitar, shirt)
