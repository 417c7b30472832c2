"""Two-colored textures, named as in the Describable Textures Dataset.

Every texture is a function (size, first, second, rng) -> (size, size, 3) uint8: `second` drawn on `first`,
with scale, angle and phase of its own. Lengths are in shares of the picture's width, so that a texture
looks the same at every size; edges are one pixel soft.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .colors import RGB

Texture = Callable[[int, RGB, RGB, np.random.Generator], np.ndarray]


def grid_of(size: int, angle: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the pixels' middles, x right and y down in 0..1, turned by `angle` (radians)."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = steps[None, :], steps[:, None]
    if angle == 0:
        return x, y  # one row and one column: what is computed of one of them alone stays cheap
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * cos + y * sin, y * cos - x * sin


def inside(distance: np.ndarray, size: int) -> np.ndarray:
    """How far a pixel is covered (0 to 1) by a shape whose edge is `distance` away, positive inside."""
    return np.clip(distance * size + 0.5, 0, 1)


def blend(first: RGB, second: RGB, share: np.ndarray) -> np.ndarray:
    """Paint from `first` (share 0) to `second` (share 1): (H, W) to (H, W, 3) float32."""
    low, high = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return low + share[..., None].astype(np.float32) * (high - low)


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Rounded and clipped to uint8."""
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def wave(position: np.ndarray) -> np.ndarray:
    """A triangle wave of period 1: 0 at whole numbers, 0.5 halfway between."""
    return np.abs(position - np.round(position))


def noise(size: int, cells: int, rng: np.random.Generator, octaves: int = 1) -> np.ndarray:
    """Smooth noise with about `cells` bumps across, roughly -1 to 1: (size, size) float32."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        knots = rng.uniform(-1, 1, (count + 3, count + 3)).astype(np.float32)
        weights = _spline(size, count)
        total += 2.0 * (weights @ knots @ weights.T) / 2**octave
    return total


def _spline(size: int, count: int) -> np.ndarray:
    """Weights of a cubic B-spline with `count` spans at `size` points: (size, count + 3)."""
    place = (np.arange(size, dtype=np.float32) + 0.5) / size * count
    away = np.abs(place[:, None] - np.arange(-1, count + 2, dtype=np.float32)[None, :])
    near = 2 / 3 - away**2 + away**3 / 2
    return np.where(away < 1, near, np.clip(2 - away, 0, None) ** 3 / 6).astype(np.float32)


def nearest_two(
    x: np.ndarray, y: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances of pixels to the nearest and second nearest of (N, 2) points, and the nearest one's number."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    first, second = np.full(shape, np.inf, np.float32), np.full(shape, np.inf, np.float32)
    number = np.zeros(shape, np.uint8)
    for index, (point_x, point_y) in enumerate(points.tolist()):
        square = (x - point_x) ** 2 + (y - point_y) ** 2
        np.copyto(number, index, where=square < first)
        np.minimum(second, np.maximum(square, first), out=second)
        np.minimum(first, square, out=first)
    return np.sqrt(first), np.sqrt(second), number


def scatter(count: int, rng: np.random.Generator, jitter: float = 0.8) -> np.ndarray:
    """About `count` points spread evenly but irregularly over the unit square and its rim: (N, 2)."""
    across = max(2, round(count**0.5))
    steps = (np.arange(-1, across + 1) + 0.5) / across
    points = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    return points + rng.uniform(-0.5, 0.5, points.shape) * jitter / across


def striped(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Straight parallel stripes in any direction."""
    x, _ = grid_of(size, rng.uniform(0, np.pi))
    period, width = rng.uniform(0.11, 0.22), rng.uniform(0.40, 0.55)
    away = width / 2 - wave(x / period + rng.uniform())
    return blend(first, second, inside(away * period, size) + np.zeros((size, 1)))


def chequered(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """A chessboard, upright or on its corner."""
    tilt = rng.choice([0, 0, np.pi / 4]) + rng.normal(0, 0.05)
    x, y = grid_of(size, tilt)
    period = rng.uniform(0.24, 0.42)
    a, b = (0.25 - wave(part / period + rng.uniform()) for part in (x, y))
    sign = np.clip(a * period * size * 2, -1, 1) * np.clip(b * period * size * 2, -1, 1)
    return blend(first, second, 0.5 + 0.5 * sign)


def dotted(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Round dots in rows, the rows shifted by half a step or not."""
    x, y = grid_of(size, rng.normal(0, 0.15) + rng.choice([0, np.pi / 4]))
    period = rng.uniform(0.15, 0.26)
    x, y = x / period + rng.uniform(), y / period + rng.uniform()
    away = np.hypot(wave(x), wave(y))
    return blend(first, second, inside((rng.uniform(0.27, 0.34) - away) * period, size))


def zigzagged(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Stripes that run in a zigzag."""
    x, y = grid_of(size, rng.normal(0, 0.08) + rng.choice([0, np.pi / 2]))
    tooth, period = rng.uniform(0.20, 0.30), rng.uniform(0.17, 0.26)
    bend = y + wave(x / tooth + rng.uniform()) * tooth * rng.uniform(0.9, 1.2)
    away = rng.uniform(0.22, 0.27) - wave(bend / period + rng.uniform())
    return blend(first, second, inside(away * period * 0.7, size))


def grid(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Thin straight lines that cross at right angles."""
    x, y = grid_of(size, rng.normal(0, 0.06))
    period, width = rng.uniform(0.13, 0.22), rng.uniform(0.026, 0.040)
    lines = [inside(width / 2 - wave(part / period + rng.uniform()) * period, size) for part in (x, y)]
    return blend(first, second, np.maximum(*np.broadcast_arrays(*lines)))


def woven(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Bands of two colors that pass over and under each other."""
    x, y = grid_of(size, rng.choice([0, np.pi / 4]) + rng.normal(0, 0.05))
    period = rng.uniform(0.15, 0.22)
    x, y = x / period + rng.uniform(), y / period + rng.uniform()
    odd = (np.floor(x) + np.floor(y)) % 2 == 1
    u, v = np.abs(x % 1 - 0.5), np.abs(y % 1 - 0.5)
    # In every cell one band lies on top, bulging; beside it the other band dives under, and between is a gap.
    across, along = np.where(odd, u, v), np.where(odd, v, u)
    over = across < 0.36
    light = np.where(over, 1.06 - 1.3 * across**2 - 0.5 * along**2, np.where(along < 0.36, 0.70, 0.30))
    return to_bytes(blend(first, second, odd == over) * light[..., None])


def honeycombed(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Hexagonal cells with thick walls."""
    x, y = grid_of(size, rng.normal(0, 0.12) + rng.choice([0, np.pi / 2]))
    period = rng.uniform(0.19, 0.28)
    x, y = x / period + rng.uniform(), y / period + rng.uniform()
    # Two interleaved rectangular lattices make the hexagonal one; the nearer center is the pixel's cell.
    tall = np.float32(3**0.5)
    cells = []
    for shift in (0.0, 0.5):
        u, v = (x + shift) - np.round(x + shift), (y / tall + shift) - np.round(y / tall + shift)
        u, v = np.broadcast_arrays(np.abs(u), np.abs(v * tall))
        cells.append((u, v))
    near = (cells[0][0] ** 2 + cells[0][1] ** 2) < (cells[1][0] ** 2 + cells[1][1] ** 2)
    u, v = (np.where(near, a, b) for a, b in zip(*cells, strict=True))
    wall = 0.5 - np.maximum(u, u * 0.5 + v * tall / 2)
    glow = 1.08 - 0.5 * (u**2 + v**2)
    cover = inside((rng.uniform(0.09, 0.12) - wall) * period, size)
    return to_bytes(blend(first, second, cover) * np.where(cover > 0.5, 1, glow)[..., None])


def swirly(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Flowing bands that curl around several centers."""
    x, y = np.broadcast_arrays(*grid_of(size))
    centers = rng.uniform(0.1, 0.9, (3, 2)) + np.array([[0, 0], [0.1, -0.1], [-0.1, 0.1]])
    for (cx, cy), turn in zip(centers, rng.choice([-1, 1], 3), strict=True):
        dx, dy = x - cx, y - cy
        angle = turn * rng.uniform(4.5, 6.5) * np.exp(-(dx**2 + dy**2) / 0.05)
        cos, sin = np.cos(angle), np.sin(angle)
        x, y = cx + dx * cos - dy * sin, cy + dx * sin + dy * cos
    period = rng.uniform(0.20, 0.27)
    tilt = rng.uniform(0, np.pi)
    band = np.sin(2 * np.pi * ((x * np.cos(tilt) + y * np.sin(tilt)) / period + rng.uniform()))
    return blend(first, second, np.clip(0.5 + 2.2 * band, 0, 1))


def cracked(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Dry ground: irregular plates with thin, ragged gaps between them."""
    x, y = grid_of(size)
    ragged = 0.022 * noise(size, 9, rng, 2), 0.022 * noise(size, 9, rng, 2)
    near, next_near, number = nearest_two(
        x + ragged[0], y + ragged[1], scatter(int(rng.integers(12, 26)), rng, 0.85)
    )
    width = 0.013 + 0.007 * noise(size, 4, rng)
    shade = 0.90 + 0.10 * rng.uniform(0, 1, number.max() + 1).astype(np.float32)
    return to_bytes(
        blend(first, second, inside(width - (next_near - near) / 2, size)) * shade[number][..., None]
    )


def bubbly(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Round bubbles of many sizes, each with a rim and a glint."""
    x, y = grid_of(size)
    pixels = blend(first, second, 0.12 + np.zeros((size, size)))
    centers = scatter(20, rng, 1.1)
    centers = centers[(np.abs(centers - 0.5) < 0.55).all(1)]
    radii = rng.uniform(0.035, 0.13, len(centers))
    for (cx, cy), radius in sorted(
        zip(centers.tolist(), radii.tolist(), strict=True), key=lambda item: item[1]
    ):
        # Only the bubble's own window is touched: thirty full pictures would take too long.
        rows, columns = (
            slice(max(0, int((c - radius) * size) - 1), max(0, int((c + radius) * size) + 2))
            for c in (cy, cx)
        )
        dx, dy = x[:, columns] - cx, y[rows] - cy
        away = np.hypot(dx, dy)
        rim = np.clip((away / radius) ** 3, 0, 1) * 0.75 + 0.25
        glint = inside(radius * 0.25 - np.hypot(dx + radius * 0.36, dy + radius * 0.36), size)
        ball = blend(first, second, rim)
        ball += glint[..., None] * (np.float32(250) - ball)
        window = pixels[rows, columns]
        window += inside(radius - away, size)[..., None] * (ball - window)
    return to_bytes(pixels)


def spiralled(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """One large spiral of a few arms."""
    x, y = grid_of(size)
    dx, dy = x - rng.uniform(0.4, 0.6), y - rng.uniform(0.4, 0.6)
    arms, period = rng.choice([-2, -1, 1, 2]), rng.uniform(0.14, 0.20)
    turn = np.arctan2(dy, dx) / (2 * np.pi) * arms
    away = 0.25 - wave(np.hypot(dx, dy) / period + turn + rng.uniform())
    return blend(first, second, inside(away * period, size))


def cobwebbed(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """A spider's web: spokes from one middle and sagging threads between them."""
    x, y = grid_of(size)
    dx, dy = x - rng.uniform(0.3, 0.7), y - rng.uniform(0.3, 0.7)
    spokes = rng.integers(9, 13)
    radius = np.hypot(dx, dy)
    turn = (np.arctan2(dy, dx) / (2 * np.pi) + rng.uniform()) * spokes
    from_spoke = wave(turn) / spokes * 2 * np.pi * radius
    # Threads hang inwards between two spokes, so their radius is larger there for the same thread.
    ring = radius * (1 + 0.55 * (0.5 - wave(turn + 0.5)) * 0.9) / rng.uniform(0.095, 0.125)
    thin = 0.010
    threads = inside(thin - wave(ring) * 0.1, size)
    return blend(first, second, np.maximum(inside(thin - from_spoke, size), threads * 0.95))


def marbled(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Polished stone: cloudy, with branching soft veins in one direction."""
    x, y = grid_of(size, rng.uniform(0, np.pi))
    flow = noise(size, 3, rng, 4)
    vein = 1 - np.abs(np.sin(np.pi * (1.3 * x + 0.4 * y + 0.75 * flow)))
    fine = 1 - np.abs(np.sin(np.pi * (2.1 * x - 1.1 * y + 0.9 * noise(size, 4, rng, 3))))
    share = np.clip(1.15 * vein**4 + 0.6 * fine**9 + 0.14 * (flow + 0.6), 0, 1)
    return to_bytes(blend(first, second, share))


def scaly(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Rows of overlapping round scales, each with a rim."""
    x, y = grid_of(size, rng.normal(0, 0.1) + rng.choice([0, 0, np.pi / 2, np.pi]))
    period, step = rng.uniform(0.24, 0.34), 0.25
    x, y = x / period + rng.uniform(), y / period + rng.uniform()
    # Scales are discs of radius 0.5 whose rows lie `step` apart, every row shifted and over the one below it:
    # the pixel shows the highest row whose disc reaches it, which is one of the next three.
    top = np.ceil((y - 0.5) / step)
    away = [np.hypot(wave(x + row / 2), y - row * step) for row in (top, top + 1, top + 2)]
    away = np.where(away[0] < 0.5, away[0], np.where(away[1] < 0.5, away[1], away[2]))
    rim = inside((away - 0.415) * period, size)
    return to_bytes(blend(first, second, rim) * (1.06 - 0.5 * away * (rim < 0.5))[..., None])


def crosshatched(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Fine pen strokes in two slanted directions, not quite regular."""
    slant = rng.uniform(0.6, 0.95)
    share = np.zeros((size, size), np.float32)
    for angle in (slant, -slant):
        x, _ = grid_of(size, angle)
        period = rng.uniform(0.062, 0.080)
        bend = x / period + 0.25 * noise(size, 5, rng)
        stroke = inside((0.17 - wave(bend)) * period, size)
        share = np.maximum(share, stroke * np.clip(0.95 + 0.6 * noise(size, 6, rng), 0.45, 1))
    return blend(first, second, share)


def sprinkled(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Short rods strewn in all directions."""
    x, y = grid_of(size)
    share = np.zeros((size, size), np.float32)
    length, width = rng.uniform(0.032, 0.042), rng.uniform(0.014, 0.018)
    reach = length + width
    points = scatter(int(rng.integers(45, 65)), rng, 0.7)
    for cx, cy in points[(np.abs(points - 0.5) < 0.5 + reach).all(1)].tolist():
        rows, columns = (
            slice(max(0, int((c - reach) * size)), max(0, int((c + reach) * size) + 2)) for c in (cy, cx)
        )
        angle = rng.uniform(0, math.pi)
        cos, sin = math.cos(angle), math.sin(angle)
        dx, dy = x[:, columns] - cx, y[rows] - cy
        beyond = np.maximum(np.abs(dx * cos + dy * sin) - length, 0)
        away = np.hypot(beyond, dy * cos - dx * sin)
        window = share[rows, columns]
        np.maximum(window, inside(width - away, size), out=window)
    return blend(first, second, share)


_DRAWN = (
    striped, chequered, dotted, zigzagged, grid, woven, honeycombed, swirly,
    cracked, bubbly, spiralled, cobwebbed, marbled, scaly, crosshatched, sprinkled,
)  # fmt: skip


def _in_bytes(texture: Texture) -> Texture:
    return lambda size, first, second, rng: to_bytes(texture(size, first, second, rng))


TEXTURES: dict[str, Texture] = {texture.__name__: _in_bytes(texture) for texture in _DRAWN}
