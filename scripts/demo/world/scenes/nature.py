"""Painters of scenes in nature.

A painter takes a board and a random generator and returns places: for each home of objects that the scene
offers, the range of heights (0 top, 1 bottom) on which the lower edge of such an object may lie.
"""

from __future__ import annotations

import numpy as np

from ..colors import mix, sample
from .board import SHADE, WHITE, Board, Places, paint_sky, paint_sun


def beach(board: Board, rng: np.random.Generator) -> Places:
    """Sand in front, a bay with waves, the horizon."""
    horizon, shore = rng.uniform(0.30, 0.40), rng.uniform(0.54, 0.64)
    paint_sky(board, horizon, rng)
    if rng.random() < 0.6:
        paint_sun(board, rng.uniform(0.08, 0.2), rng)
    sea, sand = (
        mix(sample("blue", rng), (20, 120, 190), 0.5),
        mix((252, 230, 128), (246, 218, 100), rng.random()),
    )
    board.fade(horizon, 1, mix(sea, SHADE, 0.18), mix(sea, (90, 215, 225), 0.75))
    for _ in range(9):
        x, y = rng.uniform(0, 1), rng.uniform(horizon + 0.02, shore - 0.05)
        length = 0.03 + 0.25 * (y - horizon)
        board.line([(x - length, y), (x, y - 0.008), (x + length, y)], 0.008, mix(sea, WHITE, 0.6))
    crest = board.ridge(shore, 0.018, 1.3, WHITE, rng)
    board.shape([*(crest + np.array([0, 0.022])).tolist(), (1, 1), (0, 1)], mix(sand, (190, 150, 80), 0.35))
    board.shape([*(crest + np.array([0, 0.055])).tolist(), (1, 1), (0, 1)], sand)
    for x, y in rng.uniform((0, shore + 0.12), (1, 1), (16, 2)).tolist():
        board.disc(x, y, 0.008, mix(sand, (150, 110, 60), 0.45), 0.6)
    return {"ground": (shore + 0.14, 0.95), "table": (shore + 0.16, 0.95), "air": (0.30, 0.50),
            "water": (shore - 0.07, shore)}  # fmt: skip


def forest(board: Board, rng: np.random.Generator) -> Places:
    """Rows of trunks under a roof of leaves, the nearer the darker."""
    leaf = sample("green", rng)
    floor = rng.uniform(0.60, 0.70)
    board.fade(0, floor, mix(leaf, (215, 245, 170), 0.62), mix(leaf, (225, 245, 190), 0.75))
    for depth, (count, width) in enumerate(((9, 0.025), (6, 0.045), (4, 0.075))):
        near = (depth + 1) / 3
        bark = mix(mix(leaf, (210, 240, 180), 0.55), (88, 58, 36), near)
        foot = floor + 0.035 * depth
        for x in (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count:
            lean = rng.normal(0, 0.015)
            top = x + lean
            trunk = [
                (top - width * 0.4, 0),
                (top + width * 0.4, 0),
                (x + width * 0.6, foot),
                (x - width * 0.6, foot),
            ]
            board.shape(trunk, bark)
            board.line(
                [(x + lean - width * 0.2, 0), (x - width * 0.3, foot)], width * 0.2, mix(bark, WHITE, 0.15)
            )
        crown = mix(mix(leaf, (205, 240, 160), 0.45), mix(leaf, (10, 50, 25), 0.3), near)
        for x in np.linspace(0, 1, 9) + rng.normal(0, 0.03, 9):
            board.disc(x, 0.20 - 0.10 * depth + rng.uniform(-0.04, 0.03), rng.uniform(0.08, 0.12), crown, 0.8)
        if depth == 0:
            board.ridge(floor, 0.008, 1.0, mix(leaf, (120, 170, 60), 0.3), rng)
    board.ridge(floor + 0.075, 0.012, 1.2, mix(leaf, (60, 110, 40), 0.3), rng)
    for x, y in rng.uniform((0, floor + 0.13), (1, 1), (22, 2)).tolist():
        board.line(
            [(x - 0.012, y - 0.035), (x, y), (x + 0.012, y - 0.035)], 0.006, mix(leaf, (150, 210, 80), 0.4)
        )
    return {"ground": (floor + 0.12, 0.95), "table": (floor + 0.15, 0.95), "air": (0.45, 0.62)}


def mountain(board: Board, rng: np.random.Generator) -> Places:
    """Two ranges of peaks, the nearer ones with snow, and a meadow."""
    paint_sky(board, 0.7, rng)
    rock = mix((122, 124, 140), (108, 100, 104), rng.random())
    meadow = rng.uniform(0.66, 0.74)
    for x in rng.uniform(0, 1, 4).tolist():
        top = rng.uniform(0.26, 0.38)
        board.shape([(x, top), (x + 0.35, 0.8), (x - 0.35, 0.8)], mix(rock, (176, 200, 232), 0.6))
    for x in sorted(np.array([0.12, 0.52, 0.92]) + rng.uniform(-0.1, 0.1, 3), key=lambda _: rng.random()):
        top, wide = rng.uniform(0.10, 0.24), rng.uniform(0.30, 0.38)
        foot = 0.80
        board.shape([(x, top), (x + wide, foot), (x - wide, foot)], rock)
        shaded = [(x, top), (x + wide, foot), (x + wide * 0.25, foot), (x + 0.03, top + 0.22)]
        board.shape(shaded, mix(rock, SHADE, 0.3))
        # The snow's lower rim is jagged.
        depth = np.where(np.arange(7) % 2, 0.24, 0.20)
        slope = np.linspace(1, -1, 7) * wide / (foot - top)
        low = np.stack([x + slope * depth * 0.95, top + depth], 1).tolist()
        board.shape([(x, top), *low], (246, 248, 252))
    grass = sample("green", rng)
    board.ridge(meadow, 0.02, 0.8, mix(grass, (150, 200, 90), 0.35), rng)
    board.ridge(meadow + 0.09, 0.015, 1.1, grass, rng)
    return {"ground": (meadow + 0.12, 0.95), "table": (meadow + 0.14, 0.95), "air": (0.32, 0.55)}


def desert(board: Board, rng: np.random.Generator) -> Places:
    """Dunes behind dunes, a table mountain, a hot sun."""
    line = rng.uniform(0.44, 0.54)
    warm = rng.random() < 0.5
    board.fade(
        0, 0.7, (255, 196, 110) if warm else (120, 190, 240), (255, 232, 190) if warm else (215, 232, 240)
    )
    paint_sun(board, rng.uniform(0.10, 0.24), rng, (255, 250, 215) if warm else (255, 226, 90))
    rust = mix((196, 92, 52), (170, 84, 60), rng.random())
    for x in rng.uniform(0.1, 0.9, 2).tolist():
        wide, top = rng.uniform(0.08, 0.16), line - rng.uniform(0.10, 0.18)
        board.shape([(x - wide, top), (x + wide, top), (x + wide * 1.5, 0.7), (x - wide * 1.5, 0.7)], rust)
        shaded = [(x + wide * 0.3, top), (x + wide, top), (x + wide * 1.5, 0.7), (x + wide * 0.5, 0.7)]
        board.shape(shaded, mix(rust, SHADE, 0.22))
    sand = mix((244, 172, 66), (236, 152, 60), rng.random())
    for step, level in enumerate((line, line + 0.13, line + 0.28)):
        tone = mix(sand, (255, 224, 150), 0.40 - 0.17 * step)
        crest, foot = mix(tone, (255, 226, 150), 0.35), mix(tone, (206, 112, 40), 0.5)
        board.ridge(level, 0.035, 0.9 + 0.3 * step, crest, rng, foot)
    return {"ground": (line + 0.28, 0.95), "table": (line + 0.30, 0.95), "air": (0.32, 0.5)}


def snowfield(board: Board, rng: np.random.Generator) -> Places:
    """White hills with the tracks of a sledge, and flakes falling."""
    line = rng.uniform(0.42, 0.52)
    sky = mix((112, 156, 214), (146, 172, 206), rng.random())
    board.fade(0, 0.7, sky, mix(sky, WHITE, 0.45))
    for step in range(3):
        # Every hill is lit at its crest and bluish at its foot, where the next one starts.
        board.ridge(line + 0.16 * step, 0.03, 0.6 + 0.15 * step, WHITE, rng, (206, 222, 244))
    track = np.linspace(0, 1, 20)
    bend, start = rng.uniform(-0.25, 0.25), rng.uniform(0.25, 0.75)
    for side in (-0.5, 0.5):
        x = start + bend * np.sin(track * 2.6) + side * (0.02 + 0.07 * track)
        board.line(np.stack([x, line + 0.36 + track * (0.66 - line)], 1), 0.012, (196, 212, 238))
    for x, y in rng.uniform(0, 1, (rng.integers(26, 44), 2)).tolist():
        board.disc(x, y, rng.uniform(0.007, 0.016), WHITE)
    return {"ground": (line + 0.26, 0.95), "table": (line + 0.28, 0.95), "air": (0.32, 0.5)}


def underwater(board: Board, rng: np.random.Generator) -> Places:
    """Deep blue with rays of light from above, weeds and a sandy bottom."""
    blue = mix(sample("blue", rng), (24, 128, 196), 0.6)
    surface, deep = mix(blue, (150, 235, 245), 0.55), mix(blue, (8, 22, 84), 0.55)
    board.fade(0, 1, surface, deep)
    for x in rng.uniform(0.05, 0.95, 3).tolist():
        wide, lean = rng.uniform(0.03, 0.06), rng.uniform(-0.25, 0.1)
        for high in np.arange(0, 0.7, 0.05):
            low, spread = high + 0.05, wide * (1 + high)
            left, right = x + lean * high - spread, x + lean * high + spread
            spots = [(left, high), (right, high), (right + lean * 0.05, low), (left + lean * 0.05, low)]
            board.shape(spots, mix(mix(surface, deep, high), (190, 245, 250), 0.30 * (1 - high / 0.7)))
    bottom = rng.uniform(0.82, 0.88)
    board.ridge(bottom, 0.015, 1.2, (206, 186, 128), rng)
    for x in rng.uniform(0.03, 0.97, rng.integers(4, 7)).tolist():
        weed = mix(sample("green", rng), blue, 0.2)
        rise = np.linspace(0, rng.uniform(0.18, 0.42), 12)
        sway = 0.018 * np.sin(rise * rng.uniform(20, 30) + rng.uniform(0, 6))
        board.line(np.stack([x + sway, bottom + 0.05 - rise], 1), 0.022, weed)
    for x in rng.uniform(0, 1, 3).tolist():
        coral = mix(sample(str(rng.choice(["red", "pink", "orange", "purple"])), rng), blue, 0.15)
        for angle in (-0.7, -0.25, 0.25, 0.7):
            tip = x + 0.09 * np.sin(angle), bottom + 0.05 - 0.10 * np.cos(angle)
            board.line([(x, bottom + 0.06), tip], 0.022, coral)
    for x, y in rng.uniform(0.05, 0.8, (7, 2)).tolist():
        board.disc(x, y, 0.012, mix(blue, WHITE, 0.6))
    return {"water": (0.62, 0.84), "table": (0.90, 0.97)}


def night(board: Board, rng: np.random.Generator) -> Places:
    """Stars and a moon over dark hills."""
    deep = mix((14, 16, 50), (28, 18, 66), rng.random())
    line = rng.uniform(0.60, 0.70)
    board.fade(0, 0.8, deep, mix(deep, (64, 72, 140), 0.6))
    for x, y in rng.uniform((0, 0), (1, line), (rng.integers(36, 56), 2)).tolist():
        board.disc(x, y, rng.choice([0.005, 0.007, 0.011]), (255, 252, 220))
    x, y, radius = rng.uniform(0.14, 0.86), rng.uniform(0.12, 0.24), rng.uniform(0.07, 0.10)
    board.disc(x, y, radius, (252, 244, 200))
    if rng.random() < 0.6:
        board.disc(x + radius * 0.55, y - radius * 0.2, radius * 0.9, mix(deep, (64, 72, 140), 0.12))
    board.ridge(line, 0.03, 0.9, mix(deep, (24, 44, 52), 0.6), rng)
    board.ridge(line + 0.12, 0.02, 1.1, mix(deep, (16, 40, 34), 0.75), rng)
    return {"ground": (line + 0.14, 0.95), "table": (line + 0.16, 0.95), "air": (0.36, 0.6)}
