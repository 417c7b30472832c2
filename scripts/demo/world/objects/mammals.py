"""Mammals, seen from the side and facing right (a cat looks at you)."""

from __future__ import annotations

import numpy as np

from ..brush import INK, Brush, Point
from ..colors import RGB, Coat
from .kind import FUR, ROSE, WHITE, Kind, chance, kind


def _legs(brush: Brush, fill: RGB, hips: tuple[Point, ...], strides: tuple[float, ...], width: float) -> None:
    """Draw legs from the hips to the ground, each foot a stride ahead of its hip."""
    for (x, y), stride in zip(hips, strides, strict=True):
        brush.line([(x, y), (x + stride, 1 - 0.4 * width)], (1.25 * width, 0.8 * width), fill)
        brush.ellipse((x + stride + 0.2 * width, 1 - 0.4 * width), (0.7 * width, 0.4 * width), fill)


@kind("leg", "tail", "ear", "collar", aspect=1.2, home="ground", colors=FUR)
def dog(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    wag, nod, collar = rng.uniform(-0.1, 0.1), rng.uniform(-0.05, 0.06), chance(rng)
    if chance(rng):  # stands
        leg, stride = rng.uniform(0.24, 0.33), rng.uniform(-0.08, 0.08)
        top = 0.66 - leg
        x, y = 0.88, top - 0.08 + nod
        brush.curve([(0.26, top + 0.1), (0.13, top), (0.1 + wag, top - 0.16)], (0.1, 0.05), coat.dark)
        _legs(brush, coat.dark, ((0.38, top + 0.2), (0.8, top + 0.2)), (stride, -stride), 0.09)
        brush.curve([(0.74, top + 0.14), (x - 0.02, y + 0.02)], (0.3, 0.22), coat.main)
        _legs(brush, coat.main, ((0.27, top + 0.2), (0.7, top + 0.2)), (-stride, stride), 0.1)
        back = [(0.18, top + 0.12), (0.28, top + 0.02), (0.55, top + 0.04), (0.8, top + 0.05)]
        brush.blob(
            [*back, (0.82, top + 0.26), (0.65, top + 0.32), (0.45, top + 0.27), (0.24, top + 0.29)], coat.main
        )
        neck = [(x - 0.2, y + 0.08), (x - 0.11, y + 0.17), (x + 0.05, y + 0.18)]
    else:  # sits
        x, y = 0.72, 0.27 + nod
        brush.curve([(0.3, 0.92), (0.16, 0.9), (0.06, 0.76 + wag)], (0.1, 0.05), coat.dark)
        _legs(brush, coat.dark, ((0.72, 0.62),), (0.02,), 0.09)
        brush.blob(
            [(0.6, 0.3), (0.8, 0.4), (0.8, 0.65), (0.6, 0.98), (0.3, 0.98), (0.25, 0.78), (0.42, 0.5)],
            coat.main,
        )
        brush.ellipse((0.4, 0.82), (0.17, 0.16), coat.dark)
        brush.ellipse((0.415, 0.835), (0.165, 0.15), coat.main)
        _legs(brush, coat.main, ((0.64, 0.6),), (0.02,), 0.1)
        brush.ellipse((0.48, 0.965), (0.14, 0.04), coat.light)
        neck = [(x - 0.14, y + 0.13), (x - 0.04, y + 0.17), (x + 0.08, y + 0.17)]
    if collar:
        brush.curve(neck, 0.06, (206, 52, 60))
    if chance(rng):
        brush.ellipse((x + 0.13, y + 0.15), (0.035, 0.07), ROSE)
    brush.ellipse((x, y), (0.17, 0.15), coat.main)
    brush.ellipse((x + 0.14, y + 0.05), (0.13, 0.085), coat.light)
    brush.ellipse((x + 0.25, y), (0.045, 0.035), INK)
    brush.eye((x + 0.06, y - 0.05), 0.03)
    if chance(rng, 0.7):  # the ear hangs
        brush.blob(
            [(x - 0.1, y - 0.14), (x - 0.02, y - 0.1), (x - 0.06, y + 0.16), (x - 0.16, y + 0.12)], coat.dark
        )
    else:
        brush.polygon([(x - 0.14, y - 0.04), (x - 0.12, y - 0.27), (x + 0.03, y - 0.11)], coat.dark)
    return ("leg", "tail", "ear", "collar")[: 4 if collar else 3]


def _cat_head(brush: Brush, coat: Coat, x: float, y: float, size: float) -> None:
    for side in (-1, 1):
        ear = np.array([(0.95, -0.1), (0.92, -1.2), (0.2, -0.7)]) * (side * size, size) + (x, y)
        brush.polygon(ear, coat.main)
        brush.polygon(ear * 0.6 + 0.4 * ear.mean(axis=0), ROSE)
    brush.ellipse((x, y), (1.1 * size, 0.85 * size), coat.main)
    brush.ellipse((x, y + 0.38 * size), (0.48 * size, 0.34 * size), coat.light)
    whiskers = coat.accent
    for side in (-1, 1):
        brush.ellipse((x + side * 0.46 * size, y - 0.1 * size), (0.23 * size, 0.26 * size), (190, 220, 90))
        brush.ellipse((x + side * 0.46 * size, y - 0.1 * size), (0.1 * size, 0.24 * size), INK)
        for lift in (0.15, 0.42):
            start, end = (
                (x + side * 0.5 * size, y + 0.36 * size),
                (x + side * 1.45 * size, y + lift * size + 0.05 * size),
            )
            brush.line([start, end], 0.014, whiskers)
    brush.polygon(
        [(x - 0.13 * size, y + 0.2 * size), (x + 0.13 * size, y + 0.2 * size), (x, y + 0.36 * size)], ROSE
    )


@kind("leg", "tail", "ear", "collar", aspect=1.1, home="ground", colors=FUR)
def cat(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    swish, collar = rng.uniform(-0.08, 0.08), chance(rng, 0.4)
    if chance(rng):  # sits
        x, y, size = 0.5 + rng.uniform(-0.04, 0.04), 0.29, rng.uniform(0.19, 0.22)
        brush.curve([(0.66, 0.94), (0.92, 0.92), (0.95, 0.7), (0.92 + swish, 0.5)], (0.1, 0.07), coat.dark)
        brush.blob(
            [(0.5, 0.36), (0.66, 0.52), (0.76, 0.8), (0.7, 0.98), (0.3, 0.98), (0.24, 0.8), (0.34, 0.52)],
            coat.main,
        )
        brush.box(0.36, 0.6, 0.64, 0.99, coat.dark, 0.08)
        for side in (-0.065, 0.065):
            brush.box(0.445 + side, 0.58, 0.555 + side, 0.99, coat.main, 0.05)
            brush.ellipse((0.5 + side, 0.965), (0.065, 0.035), coat.light)
        neck = [(x - 0.14, 0.475), (x, 0.5), (x + 0.14, 0.475)]
    else:  # walks with its tail up
        leg, stride = rng.uniform(0.22, 0.32), rng.uniform(-0.06, 0.06)
        top = 0.72 - leg
        x, y, size = 0.8, top + 0.02, rng.uniform(0.18, 0.21)
        brush.curve(
            [(0.2, top + 0.1), (0.08, top - 0.05), (0.13, top - 0.2), (0.08 + swish, top - 0.36)],
            0.075,
            coat.dark,
        )
        _legs(brush, coat.dark, ((0.31, top + 0.18), (0.76, top + 0.18)), (stride, -stride), 0.08)
        _legs(brush, coat.main, ((0.22, top + 0.18), (0.66, top + 0.18)), (-stride, stride), 0.09)
        brush.blob(
            [
                (0.14, top + 0.1),
                (0.3, top),
                (0.75, top),
                (0.8, top + 0.2),
                (0.5, top + 0.22),
                (0.18, top + 0.24),
            ],
            coat.main,
        )
        neck = [(x - 0.13, y + 0.16), (x, y + 0.19), (x + 0.13, y + 0.16)]
    if collar:
        brush.curve(neck, 0.06, (206, 52, 60))
    _cat_head(brush, coat, x, y, size)
    return ("leg", "tail", "ear", "collar")[: 4 if collar else 3]


@kind("leg", "tail", "ear", aspect=0.95, home="ground", colors=(*FUR, "pink"))
def rabbit(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    plump, long = rng.uniform(0.22, 0.28), rng.uniform(0.15, 0.2)
    x, y = rng.uniform(0.62, 0.68), rng.uniform(0.44, 0.5)
    brush.ellipse((0.13, 0.8), 0.095, WHITE if coat.name != "white" else coat.dark)
    for lean, fill in ((rng.uniform(-38, -15), coat.dark), (rng.uniform(-14, 12), coat.main)):
        direction = np.array([np.sin(np.radians(lean)), -np.cos(np.radians(lean))])
        middle = np.array([x - 0.02, y - 0.1]) + direction * long
        brush.ellipse(middle, (0.065, long), fill, lean)
        brush.ellipse(middle, (0.032, 0.75 * long), ROSE, lean)
    brush.line([(0.62, 0.7), (0.68, 0.95)], (0.13, 0.08), coat.dark)
    brush.ellipse((0.4, 0.72), (plump + 0.06, plump), coat.main, 15)
    brush.ellipse((0.3, 0.8), (0.19, 0.17), coat.dark)
    brush.ellipse((0.315, 0.81), (0.185, 0.165), coat.main)
    brush.line([(0.58, 0.72), (0.61, 0.95)], (0.13, 0.09), coat.main)
    for foot, reach in ((0.36, 0.15), (0.64, 0.07)):
        brush.ellipse((foot, 0.96), (reach, 0.04), coat.light)
    brush.ellipse((x, y), (0.18, 0.155), coat.main, 12)
    brush.ellipse((x + 0.1, y + 0.07), (0.09, 0.07), coat.light)
    brush.eye((x + 0.06, y - 0.03), 0.034)
    brush.ellipse((x + 0.175, y + 0.03), (0.026, 0.022), ROSE)
    return "leg", "tail", "ear"


@kind("leg", "tail", "ear", aspect=1.2, home="ground", colors=("brown", "black", "white", "gray", "orange"))
def horse(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    top, stride, pose = rng.uniform(0.32, 0.38), rng.uniform(-0.1, 0.1), rng.integers(3)
    hips = ((0.24, top + 0.2), (0.72, top + 0.2))
    for fill, shift, way in ((coat.dark, 0.08, -1), (coat.main, 0.0, 1)):
        for (hip, height), step in zip(hips, (way * stride, -way * stride), strict=True):
            x = hip + shift
            knee, hoof = np.array([(x + step * 0.8, 0.76), (x + step * 0.7 - 0.02, 0.965)])
            if pose == 1 and way == 1 and x > 0.5:  # it lifts a foreleg
                knee, hoof = np.array([(x + 0.17, 0.68), (x + 0.13, 0.86)])
            brush.curve([(x, height - 0.06), knee, hoof], (0.17, 0.08, 0.06), fill)
            (left, high), (right, low) = hoof - 0.035, hoof + 0.035
            brush.box(left, high, right, low, INK, 0.02)
    withers, mane, sway = np.array([0.7, top + 0.12]), coat.accent, rng.uniform(-0.06, 0.08)
    if pose == 2:  # it grazes
        poll, face, crest = np.array([1.03, 0.52]), (0.07, 0.29), np.array([0.04, -0.06])
        bend, ear = (withers + poll) / 2 + (0.04, -0.04), [(-0.03, -0.05), (0.13, -0.12), (0.07, 0.03)]
    else:
        poll = np.array([rng.uniform(0.88, 0.96), rng.uniform(0.14, 0.18)])
        face, crest = (0.2, 0.13), np.array([-0.07, -0.04])
        bend, ear = (withers + poll) / 2 + (0.03, 0.04), [(-0.06, -0.04), (-0.03, -0.16), (0.03, -0.05)]
    brush.curve([(0.18, top + 0.06), (0.08, top + 0.12), (0.07 + sway, top + 0.42)], (0.06, 0.12, 0.03), mane)
    brush.curve([withers + crest, bend + crest, poll + 0.6 * crest], 0.11, mane)
    brush.curve([withers, bend, poll], (0.28, 0.19, 0.14), coat.main)
    back = [(0.15, top + 0.12), (0.24, top), (0.5, top + 0.03), (0.74, top), (0.84, top + 0.14)]
    brush.blob([*back, (0.74, top + 0.27), (0.5, top + 0.26), (0.22, top + 0.28)], coat.main)
    muzzle = poll + face
    brush.curve([poll, (poll + muzzle) / 2, muzzle], (0.15, 0.13, 0.1), coat.main)
    brush.ellipse(muzzle, (0.055, 0.05), coat.light)
    brush.polygon(np.add(poll, ear), coat.dark)
    brush.eye(0.7 * poll + 0.3 * muzzle + (0, -0.02), 0.022)
    return "leg", "tail", "ear"


@kind("leg", "tail", "ear", aspect=1.35, home="ground", colors=("gray", "blue", "pink", "purple", "brown"))
def elephant(brush: Brush, coat: Coat, rng: np.random.Generator) -> tuple[str, ...]:
    stride, ear = rng.uniform(-0.04, 0.04), rng.uniform(0.17, 0.23)
    brush.curve([(0.12, 0.36), (0.05, 0.48), (0.06, 0.64)], 0.03, coat.dark)
    brush.ellipse((0.06, 0.66), (0.025, 0.045), INK)
    for fill, hips, way in ((coat.dark, (0.36, 0.82), 1), (coat.main, (0.2, 0.68), -1)):
        for hip in hips:
            foot = hip + way * stride
            brush.polygon([(hip, 0.5), (hip + 0.2, 0.5), (foot + 0.19, 1), (foot + 0.01, 1)], fill)
            for toe in (0.055, 0.105, 0.155):
                brush.sector((foot + toe, 1.0), (0.023, 0.035), 180, 360, coat.light)
    brush.blob(
        [
            (0.09, 0.5),
            (0.18, 0.22),
            (0.5, 0.12),
            (0.85, 0.2),
            (0.95, 0.5),
            (0.8, 0.72),
            (0.5, 0.76),
            (0.18, 0.72),
        ],
        coat.main,
    )
    if chance(rng, 0.4):  # the trunk is raised
        trunk = [(1.02, 0.4), (1.17, 0.5), (1.26, 0.36), (1.24, 0.16), (1.3, 0.07)]
    else:
        sway = rng.uniform(-0.05, 0.06)
        trunk = [(1.02, 0.38), (1.15, 0.5), (1.17 + sway / 2, 0.72), (1.15 + sway, 0.86), (1.24 + sway, 0.9)]
    brush.ellipse((0.98, 0.36), (0.2, 0.21), coat.main)
    brush.curve(trunk, (0.24, 0.17, 0.11, 0.09, 0.08), coat.main)
    brush.curve([(1.06, 0.53), (1.14, 0.63), (1.24, 0.62)], (0.05, 0.045, 0.015), WHITE)
    flap = np.array(
        [(0.0, -1), (0.75, -0.75), (0.8, 0.1), (0.25, 1.1), (-0.45, 0.9), (-0.85, 0.0), (-0.6, -0.8)]
    )
    brush.blob(flap * ear + (0.84, 0.38), coat.dark)
    brush.blob(flap * ear * 0.8 + (0.85, 0.37), coat.light)
    brush.eye((1.06, 0.33), 0.028)
    return "leg", "tail", "ear"


KINDS: tuple[Kind, ...] = (dog, cat, rabbit, horse, elephant)
