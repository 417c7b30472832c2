"""Materials seen from close by, in the same form as the textures, and the colors they naturally have."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .colors import RGB, mix
from .textures import Texture, blend, grid_of, inside, nearest_two, noise, scatter, to_bytes, wave


def wood(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Planks with grain that flows around knots."""
    x, y = np.broadcast_arrays(*grid_of(size))
    if rng.random() < 0.5:
        x, y = y, x
    width = rng.uniform(0.24, 0.40)
    place = y / width + rng.uniform()
    plank = np.floor(place).astype(int)
    plank -= plank.min()
    tone, phase = rng.uniform(0.84, 1.08, plank.max() + 1), rng.uniform(0, 9, plank.max() + 1)
    bend = y + 0.025 * noise(size, 3, rng)
    for cx, cy in rng.uniform(0.1, 0.9, (2, 2)).tolist():
        squeezed = (x - cx) ** 2 * 14 + (y - cy) ** 2 * 130
        bend = bend + 0.07 * np.exp(-squeezed) * np.sign(y - cy + 1e-6)
    rings = np.sin(2 * np.pi * (bend / 0.055 + phase[plank] + 0.35 * x))
    share = 0.24 + 0.24 * rings + 0.10 * noise(size, 24, rng)
    seam = inside(0.008 - wave(place) * width, size)
    return to_bytes(blend(first, second, np.clip(share, 0, 1)) * (tone[plank] * (1 - 0.6 * seam))[..., None])


def brick(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Courses of bricks, half overlapping, with mortar of the second color."""
    x, y = grid_of(size, rng.normal(0, 0.02))
    tall = rng.uniform(0.105, 0.15)
    wide = tall * rng.uniform(2.0, 2.4)
    y = y / tall + rng.uniform()
    course = np.floor(y)
    x = x / wide + rng.uniform() + 0.5 * (course % 2)
    gap = np.minimum(wave(x) * wide, wave(y) * tall)
    # Every brick has a tone of its own, looked up by its number.
    tones = rng.uniform(0.78, 1.10, 1009)
    tone = tones[(np.floor(x) * 7 + course * 31).astype(int) % 1009] + 0.05 * noise(size, 30, rng)
    mortar = inside(rng.uniform(0.010, 0.014) - gap, size)
    return to_bytes(blend(first, second, mortar) * np.where(mortar > 0.5, 1, tone)[..., None])


def metal(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """A brushed plate with a sheen and rivets along its seams."""
    x, y = np.broadcast_arrays(*grid_of(size))
    if rng.random() < 0.5:
        x, y = y, x
    lines = rng.normal(0, 1, (size, 1)) * 0.5 + rng.normal(0, 1, (size, size)) * 0.15
    brushed = lines if y[1, 0] > y[0, 0] else lines.T
    sheen = np.cos(2 * np.pi * (x * rng.uniform(0.9, 1.3) + 0.25 * y + rng.uniform()))
    pixels = blend(first, second, np.clip(0.40 + 0.45 * sheen + 0.10 * brushed, 0, 1))
    step, side = rng.uniform(0.16, 0.22), rng.uniform(0.42, 0.60)
    place = y + rng.uniform()
    from_seam = wave(place / side) * side
    pixels *= (1 - 0.55 * inside(0.010 - from_seam, size))[..., None]
    u = (wave(x / step + 0.25)) * step
    v = from_seam - 0.060
    rivet = inside(0.028 - np.hypot(u, v), size)
    glint = inside(0.011 - np.hypot(u, v), size)
    shadow = inside(0.036 - np.hypot(u, v), size)
    pixels *= (1 - 0.5 * (shadow - rivet))[..., None]
    return to_bytes(pixels + (rivet * 18 + glint * 60)[..., None])


def stone(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """A wall of rounded cobbles, lit from above, with dark joints."""
    x, y = grid_of(size)
    bent = x + 0.012 * noise(size, 6, rng), y + 0.012 * noise(size, 6, rng)
    points = scatter(int(rng.integers(14, 24)), rng, 0.75)
    near, next_near, number = nearest_two(*bent, points)
    height = np.clip((next_near - near) * 6, 0, 1) ** 0.5
    tone = rng.uniform(0, 0.55, number.max() + 1)[number] + 0.10 * noise(size, 24, rng)
    # A cobble is a little lighter where it faces up, darker where it faces down.
    facing = (points[:, 1].astype(np.float32)[number] - y) * 2.2
    light = 0.28 + 0.72 * height + facing * height
    return to_bytes(blend(first, second, np.clip(tone, 0, 1)) * light[..., None])


def paper(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """A crumpled sheet: flat facets in different light, with sharp folds between them."""
    x, y = grid_of(size)
    share = np.zeros((size, size), np.float32)
    for count, weight in ((7, 0.55), (22, 0.30)):
        points = scatter(count, rng, 1.3)
        near, next_near, number = nearest_two(x, y, points)
        slope = rng.normal(0, 2.2, (len(points), 2)).astype(np.float32)
        across, along = (part - points[number, axis].astype(np.float32) for axis, part in enumerate((x, y)))
        tone = rng.uniform(0.1, 0.9, len(points)).astype(np.float32)[number]
        fold = (
            np.clip(1 - (next_near - near) * size / 3.5, 0, 1) * rng.uniform(-0.5, 0.5, len(points))[number]
        )
        share += weight * (tone + across * slope[number, 0] + along * slope[number, 1] + fold)
    return to_bytes(blend(first, second, np.clip(share, 0, 1)))


def leather(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Padded upholstery: glossy diamonds drawn in by buttons."""
    x, y = grid_of(size)
    wide = rng.uniform(0.30, 0.42)
    x, y = x / wide + rng.uniform(), y / (wide * rng.uniform(1.0, 1.3)) + rng.uniform()
    a, b = wave(x + y), wave(x - y)
    fold = np.minimum(a, b)
    share = 0.85 * np.exp(-fold * 11) + 0.12 * noise(size, 32, rng)
    pixels = blend(first, second, np.clip(share, 0, 1))
    # The gloss lies on the upper half of every cushion.
    u, v = (x + y) % 1 - 0.5, (x - y) % 1 - 0.5
    gloss = np.exp(-(((u - v) * 1.5) ** 2 + (u + v + 0.30) ** 2 * 5) * 5)
    pixels += (gloss * 70)[..., None]
    button = inside((0.085 - np.hypot(a, b)) * wide, size)
    glint = inside((0.035 - np.hypot(a, b)) * wide, size)
    return to_bytes(pixels + button[..., None] * (blend(first, second, 0.75 - glint * 0.75) - pixels))


def fur(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Overlapping pointed locks of hair that all lie roughly one way."""
    x, y = grid_of(size, rng.uniform(0, 2 * np.pi))
    x = x + 0.05 * noise(size, 3, rng)
    y = y + 0.05 * noise(size, 3, rng)
    # Rows of locks: the hem of every row is jagged, dark at its roots under the row before, light at its tips.
    jag = wave(x * 9 + 0.5 * noise(size, 7, rng)) + 0.35 * wave(x * 23) + 0.35 * noise(size, 9, rng)
    lock = (y * rng.uniform(4.5, 6) + jag) % 1
    strands = np.sin(2 * np.pi * (x * 30 + 0.8 * noise(size, 10, rng))) * 0.13
    return to_bytes(blend(first, second, np.clip(1.0 - 1.25 * lock + strands, 0, 1)))


def water(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Small waves seen at a slant: broken level lines of light, closer together farther up."""
    x, y = grid_of(size, rng.normal(0, 0.06))
    far = (y + 0.5) ** 1.5 * rng.uniform(4.5, 6.5)
    sway = 0.35 * noise(size, 4, rng) + 0.5 * np.sin(2 * np.pi * (x * rng.uniform(1.5, 2.5) + far * 0.37))
    crest = np.clip(np.sin(2 * np.pi * (far + 0.45 * sway)) * 1.2 - 0.1, 0, 1) ** 2
    broken = np.clip(
        0.55 + 0.9 * np.sin(2 * np.pi * (x * 2.6 + far * 0.71)) + 0.7 * noise(size, 5, rng), 0, 1
    )
    return to_bytes(
        blend(first, second, np.clip(0.05 + 0.10 * noise(size, 2, rng) + 0.9 * crest * broken, 0, 1))
    )


def foliage(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Many pointed leaves over each other, one half of each in the light."""
    layer = Image.new("RGB", (2 * size, 2 * size), mix(second, (10, 15, 10), 0.5))
    pen = ImageDraw.Draw(layer)
    centers = np.concatenate([scatter(20, rng, 1.0), scatter(20, rng, 1.0)])
    along = np.linspace(-1, 1, 9)
    half = 0.46 * (1 - along**2) * (1.1 - 0.35 * along)
    rim = np.concatenate([np.stack([along, half], 1), np.stack([along, -half], 1)[::-1]])
    for center in centers:
        angle, length, tone = rng.uniform(0, 2 * np.pi), rng.uniform(0.10, 0.16), rng.random()
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        corners = ((rim * length) @ turn + center) * 2 * size
        color = mix(first, second, 0.1 + 0.5 * tone)
        shade, rim_color = mix(color, (20, 20, 20), 0.18), mix(color, (0, 0, 0), 0.5)
        pen.polygon(corners.ravel().tolist(), fill=shade, outline=rim_color)
        pen.polygon(corners[:9].ravel().tolist(), fill=mix(color, (255, 255, 220), 0.12))
    return np.asarray(layer.reduce(2))


def granite(size: int, first: RGB, second: RGB, rng: np.random.Generator) -> np.ndarray:
    """Cut rock: dense fine grains, light, dark and in between."""
    grains = 1.3 * noise(size, 40, rng) + rng.normal(0, 0.4, (size, size)).astype(np.float32)
    share = np.clip(0.35 + 0.9 * grains + 0.15 * noise(size, 5, rng), 0, 1)
    dark = np.clip((noise(size, 44, rng) - 0.38) * 5, 0, 1)
    return to_bytes(blend(first, second, share) * (1 - 0.7 * dark)[..., None])


MATERIALS: dict[str, Texture] = {
    material.__name__: material
    for material in (wood, brick, metal, stone, paper, leather, fur, water, foliage, granite)
}

# The pairs of colors that each material is seen in: its body, then its grain, joints, folds or shadows.
# Where both are the same term the second paint is a darker (or, for water, lighter) shade of the first.
NATURAL: dict[str, tuple[tuple[str, str], ...]] = {
    "wood": (("brown", "brown"), ("orange", "brown"), ("brown", "orange"), ("gray", "brown"), ("white", "gray")),
    "brick": (("red", "white"), ("red", "gray"), ("brown", "gray"), ("orange", "white"), ("yellow", "gray")),
    "metal": (("gray", "white"), ("gray", "gray"), ("gray", "white"), ("blue", "blue")),
    "stone": (("gray", "gray"), ("gray", "white"), ("gray", "brown"), ("brown", "gray")),
    "paper": (("white", "gray"), ("white", "gray"), ("yellow", "orange"), ("pink", "pink"), ("green", "green")),
    "leather": (("brown", "brown"), ("black", "black"), ("red", "red"), ("white", "gray"), ("green", "green")),
    "fur": (("brown", "brown"), ("white", "gray"), ("orange", "brown"), ("gray", "black"), ("brown", "black")),
    "water": (("blue", "white"), ("blue", "blue"), ("green", "white"), ("blue", "white")),
    "foliage": (("green", "green"), ("green", "green"), ("green", "yellow"), ("orange", "red"), ("red", "brown")),
    "granite": (("gray", "white"), ("gray", "black"), ("pink", "white"), ("brown", "white")),
}  # fmt: skip
