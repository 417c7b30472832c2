"""Painters of scenes that people made.

A painter takes a board and a random generator and returns places: for each home of objects that the scene
offers, the range of heights (0 top, 1 bottom) on which the lower edge of such an object may lie.
"""

from __future__ import annotations

import numpy as np

from ..colors import RGB, mix, sample
from .board import SHADE, WHITE, Board, Places, paint_sky


def street(board: Board, rng: np.random.Generator) -> Places:
    """A row of house fronts with lit or dark windows, a pavement, and a road with a broken line."""
    paint_sky(board, 0.5, rng, clouds=1)
    curb = rng.uniform(0.62, 0.68)
    left = -rng.uniform(0, 0.15)
    while left < 1:
        wide, top = rng.uniform(0.20, 0.32), rng.uniform(0.06, 0.26)
        plaster = str(rng.choice(["red", "white", "orange", "gray", "yellow", "pink", "blue", "green"]))
        wall = mix(sample(plaster, rng), (190, 180, 170), 0.45)
        board.box(left, top, left + wide - 0.006, curb, wall)
        board.box(left - 0.008, top, left + wide, top + 0.025, mix(wall, SHADE, 0.35))
        columns = 2 if wide < 0.25 else 3
        pane = (255, 224, 130) if rng.random() < 0.25 else (88, 112, 140)
        for row in np.arange(top + 0.06, curb - 0.15, 0.115):
            for column in (np.arange(columns) + 0.5) / columns * wide + left:
                board.box(column - 0.026, row, column + 0.026, row + 0.07, mix(wall, WHITE, 0.6))
                board.box(column - 0.019, row + 0.007, column + 0.019, row + 0.063, pane)
        door = left + wide * rng.uniform(0.3, 0.7)
        board.box(door - 0.03, curb - 0.12, door + 0.03, curb, mix(wall, SHADE, 0.6))
        left += wide
    asphalt = mix((92, 94, 102), (112, 112, 118), rng.random())
    board.box(0, curb, 1, curb + 0.08, (190, 188, 186))
    board.box(0, curb + 0.07, 1, curb + 0.09, (140, 138, 138))
    board.box(0, curb + 0.085, 1, 1, asphalt)
    middle, shift = (curb + 1.09) / 2, rng.uniform(0, 0.3)
    for x in np.arange(-0.3, 1, 0.3) + shift:
        low = middle + 0.025
        board.shape([(x, middle), (x + 0.17, middle), (x + 0.16, low), (x - 0.01, low)], (245, 245, 238))
    return {"ground": (curb + 0.14, 0.95), "table": (curb + 0.06, 0.92), "air": (0.30, 0.5)}


def kitchen(board: Board, rng: np.random.Generator) -> Places:
    """Cupboards above and below a worktop, tiles between them, an oven, a floor."""
    paint = str(rng.choice(["white", "blue", "green", "brown", "yellow", "red"]))
    front = mix(sample(paint, rng), (236, 232, 222), 0.35)
    tile, edge = (243, 241, 235), mix(front, SHADE, 0.4)
    top = rng.uniform(0.56, 0.64)
    board.box(0, 0, 1, top, tile)
    for step in np.arange(0.22, top, 0.085):
        board.line([(0, step), (1, step)], 0.006, (205, 205, 205))
    for step in np.arange(0.04, 1, 0.085):
        board.line([(step, 0.2), (step, top)], 0.006, (205, 205, 205))
    board.box(0, 0, 1, 0.24, front)
    for x in np.arange(-rng.uniform(0, 0.25), 1, 0.25):
        board.line([(x, 0), (x, 0.24)], 0.010, edge)
        board.disc(x + 0.215, 0.19, 0.013, mix(front, SHADE, 0.75))
    board.line([(0, 0.245), (1, 0.245)], 0.014, edge)
    board.box(0, top, 1, 0.92, front)
    shift, oven = rng.uniform(0, 0.3), rng.integers(0, 3)
    for number, x in enumerate(np.arange(-0.33, 1, 0.333) + shift):
        board.line([(x, top), (x, 0.92)], 0.010, edge)
        if number == oven + 1 or (oven == 2 and number == 0):
            board.box(x + 0.015, top + 0.05, x + 0.318, 0.91, (205, 207, 212), 0.01)
            board.box(x + 0.05, top + 0.14, x + 0.283, 0.88, (38, 40, 50), 0.02)
            for knob in (0.08, 0.14, 0.20, 0.26):
                board.disc(x + knob, top + 0.095, 0.015, (60, 60, 68))
        else:
            board.disc(x + 0.29, top + 0.10, 0.013, mix(front, SHADE, 0.75))
    board.box(0, top - 0.012, 1, top + 0.035, (140, 96, 60) if rng.random() < 0.5 else (86, 88, 96))
    board.box(0, 0.92, 1, 1, [(150, 122, 96), (120, 124, 132), (206, 200, 190)][rng.integers(3)])
    return {"ground": (0.94, 0.98), "table": (top - 0.005, top + 0.02)}


def bedroom(board: Board, rng: np.random.Generator) -> Places:
    """A bed with a pillow and a blanket, a painting on the wall, a rug on the boards."""
    wall = mix(
        sample(str(rng.choice(["blue", "pink", "yellow", "green", "purple"])), rng), (245, 242, 238), 0.55
    )
    floor, low = rng.uniform(0.66, 0.72), [(176, 124, 78), (150, 152, 160), (236, 226, 200)][rng.integers(3)]
    board.fade(0, floor, wall, mix(wall, WHITE, 0.25))
    board.fade(floor, 1, mix(low, SHADE, 0.15), low)
    for step in (0.30, 0.62):
        board.line(
            [(0, floor + step * (1 - floor)), (1, floor + step * (1 - floor))], 0.006, mix(low, SHADE, 0.3)
        )
    board.box(0, floor - 0.025, 1, floor, (248, 246, 242))
    flip = rng.random() < 0.5

    def box(left: float, top: float, right: float, bottom: float, fill: RGB, radius: float = 0) -> None:
        board.box(1 - right if flip else left, top, 1 - left if flip else right, bottom, fill, radius)

    cloth = sample(str(rng.choice(["red", "blue", "orange", "purple", "green", "pink"])), rng)
    frame, sill = rng.uniform(0.60, 0.70), rng.uniform(0.40, 0.46)
    box(frame, 0.12, frame + 0.28, sill, (112, 78, 50))
    box(frame + 0.025, 0.145, frame + 0.255, sill - 0.025, (170, 212, 244))
    box(frame + 0.025, sill - 0.10, frame + 0.255, sill - 0.025, (110, 168, 96))
    x = frame + rng.uniform(0.08, 0.19)
    board.disc(1 - x if flip else x, 0.21, 0.03, (255, 214, 80))
    board.disc(0.5, floor + 0.22, 0.40, mix(cloth, WHITE, 0.55), 0.22)
    board.disc(0.5, floor + 0.22, 0.32, mix(cloth, WHITE, 0.30), 0.20)
    wood = (122, 82, 52)
    box(0.0, 0.38, 0.06, floor + 0.12, wood, 0.02)
    box(0.56, floor - 0.14, 0.61, floor + 0.12, wood, 0.02)
    box(0.03, floor - 0.08, 0.59, floor + 0.07, mix(wood, SHADE, 0.2))
    box(0.05, floor - 0.17, 0.57, floor, (250, 248, 244), 0.02)
    box(0.07, floor - 0.24, 0.22, floor - 0.12, WHITE, 0.04)
    box(0.20, floor - 0.19, 0.575, floor + 0.035, cloth, 0.03)
    box(0.20, floor - 0.19, 0.27, floor + 0.035, mix(cloth, WHITE, 0.4), 0.02)
    return {"ground": (floor + 0.16, 0.96), "table": (floor + 0.18, 0.96)}


def farm(board: Board, rng: np.random.Generator) -> Places:
    """Crop rows that run to the horizon, a barn and a wooden fence."""
    line = rng.uniform(0.40, 0.48)
    paint_sky(board, line + 0.02, rng)
    crop, soil = mix(sample("green", rng), (130, 180, 50), 0.35), (134, 92, 54)
    if rng.random() < 0.4:
        soil = (238, 206, 84)  # ripe corn between the green rows
    x, red = rng.uniform(0.15, 0.85), mix((178, 44, 40), (150, 50, 40), rng.random())
    board.ridge(line, 0.01, 1.0, mix(crop, (70, 130, 50), 0.4), rng)
    board.box(x - 0.11, line - 0.12, x + 0.11, line + 0.04, red)
    roof = [(-0.13, -0.12), (-0.08, -0.20), (0, -0.24), (0.08, -0.20), (0.13, -0.12)]
    board.shape(np.array(roof) + np.array([x, line]), mix(red, SHADE, 0.45))
    board.box(x - 0.04, line - 0.06, x + 0.04, line + 0.04, WHITE)
    board.box(x - 0.03, line - 0.05, x + 0.03, line + 0.04, mix(red, SHADE, 0.3))
    board.box(0, line + 0.04, 1, 1, crop)
    vanish = rng.uniform(0.3, 0.7)
    for foot in np.arange(-2, 3, 0.26) + rng.uniform(0, 0.2):
        board.shape([(vanish, line - 0.02), (foot, 1), (foot + 0.11, 1)], soil)
    board.box(0, line + 0.02, 1, line + 0.055, mix(crop, (60, 120, 50), 0.5))
    rail, post = (236, 230, 218), line + 0.02
    for height in (post, post + 0.055):
        board.line([(0, height), (1, height)], 0.016, rail)
    for place in np.arange(rng.uniform(0, 0.16), 1, 0.16):
        board.box(place - 0.013, post - 0.03, place + 0.013, post + 0.10, rail)
    return {"ground": (line + 0.24, 0.95), "table": (line + 0.3, 0.95), "air": (0.28, 0.45)}


def stadium(board: Board, rng: np.random.Generator) -> Places:
    """A mown pitch with white lines in front of a full stand."""
    rim, roof = rng.uniform(0.42, 0.50), rng.uniform(0.06, 0.12)
    paint_sky(board, 0.3, rng, clouds=1)
    board.box(0, roof, 1, rim, (74, 78, 96))
    paints = [sample(name, rng) for name in ("red", "blue", "yellow", "white", "orange", "white")]
    for row, y in enumerate(np.arange(roof + 0.07, rim - 0.04, 0.042)):
        for x in np.arange(0.012 + 0.018 * (row % 2), 1, 0.036):
            board.disc(x, y, 0.014, paints[rng.integers(len(paints))], 1.15)
    board.shape([(0, roof - 0.05), (1, roof - 0.05), (1, roof + 0.035), (0, roof + 0.035)], (224, 228, 234))
    board.box(0, rim - 0.045, 1, rim, sample(str(rng.choice(["blue", "red", "orange"])), rng))
    grass, middle = sample("green", rng), rng.uniform(0.35, 0.65)
    board.box(0, rim, 1, 1, grass)
    light = mix(grass, (150, 220, 90), 0.28)
    for foot in np.arange(-2.4, 3.4, 0.56):
        far = [(middle + (x - middle) * 0.45, rim) for x in (foot, foot + 0.28)]
        board.shape([*far, (foot + 0.28, 1), (foot, 1)], light)
    board.line([(0, rim + 0.035), (1, rim + 0.035)], 0.012, WHITE)
    board.line([(middle, rim + 0.035), (0.5 + (middle - 0.5) * 2.2, 1)], 0.016, WHITE)
    ring = np.linspace(0, 2 * np.pi, 40)
    center = middle + (middle - 0.5) * 0.6
    board.line(np.stack([center + 0.30 * np.cos(ring), rim + 0.27 + 0.11 * np.sin(ring)], 1), 0.014, WHITE)
    return {"ground": (rim + 0.25, 0.95), "table": (rim + 0.28, 0.95), "air": (0.30, 0.5)}
