"""Putting things into a picture: where they stand, what they wear, and the shadow they cast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from .brush import Brush
from .colors import Coat, coat, shares
from .objects import Kind
from .scenes import Places
from .surfaces import draw_surface
from .textures import TEXTURES

SIZE = 96  # of a picture, in pixels
PATTERNED_SHARE = 0.45  # of the objects that can carry a pattern
# Surfaces that can be told on a small, curved patch.
COAT_TEXTURES = tuple(
    name for name in TEXTURES if name not in ("spiralled", "cobwebbed", "marbled", "bubbly")
)
COAT_MATERIALS = ("wood", "brick")
PATTERN_PATCH = 0.09  # share of the picture that a pattern must cover to be recognised
BLENDS_IN = 0.15  # a coat avoids colors that more than this share of the ground behind it has


@dataclass(frozen=True)
class Thing:
    """One object as it is shown; lengths are shares of the picture."""

    kind: str
    colors: tuple[str, ...]  # that one would name it by
    surface: tuple[str, str] | None  # ('texture' or 'material', name) of its coat
    parts: tuple[str, ...]  # that can be seen
    box: tuple[float, float, float, float]  # left, top, right, bottom of what is painted


@dataclass(frozen=True)
class Spot:
    """Where a thing is put; lengths are shares of the picture."""

    x: float
    bottom: float
    height: float
    angle: float  # degrees
    shadow: str  # 'under' what stands, 'beside' what lies on a ground seen from above, '' of what floats

    @property
    def center(self) -> tuple[float, float]:
        return self.x, self.bottom - self.height / 2


def choose_spot(kind: Kind, number: int, count: int, places: Places | None, rng: np.random.Generator) -> Spot:
    """A spot for thing `number` of `count`: alone it may be anywhere, one of two has a side of its own."""
    low, high, widest = (0.50, 0.80, 0.90) if count == 1 else (0.38, 0.56, 0.50)
    if places and kind.home in ("air", "water"):
        high = 0.56
    height = max(0.26, min(rng.uniform(low, high), widest / kind.aspect))
    half = height * kind.aspect / 2
    left, right = (0.0, 1.0) if count == 1 else (0.5 * number - 0.02, 0.5 * number + 0.52)
    inner = left + half + 0.02, right - half - 0.02
    x = rng.uniform(*inner) if inner[0] < inner[1] else (left + right) / 2
    if not places:
        return Spot(x, rng.uniform(height + 0.05, 0.95), height, rng.normal(0, 8), "beside")
    # A floor may reach out of the picture; what stands there is cut off at its feet, not at its knees.
    bottom = min(max(rng.uniform(*places[kind.home]), height + 0.04), 1.03)
    return Spot(x, bottom, height, rng.normal(0, 2.5), "under" if kind.home in ("ground", "table") else "")


def paint_thing(
    pixels: np.ndarray, kind: Kind, spot: Spot, rng: np.random.Generator
) -> tuple[Thing, np.ndarray]:
    """Paint a thing and its shadow into (SIZE, SIZE, 3) float32 pixels.

    Returns the thing, with all color terms of its coat, and where it covers the picture, (SIZE, SIZE) bool.
    """
    reach = spot.height * max(kind.aspect, 1) / 2
    rows, columns = (
        slice(max(0, int((c - reach) * SIZE)), int((c + reach) * SIZE) + 1) for c in spot.center[::-1]
    )
    behind = shares(pixels[rows, columns].astype(np.uint8))
    avoid = {term for term, share in behind.items() if share > BLENDS_IN}
    surface = None
    if kind.patterned and rng.random() < PATTERNED_SHARE:
        category, names = ("texture", COAT_TEXTURES) if rng.random() < 0.8 else ("material", COAT_MATERIALS)
        surface = category, str(rng.choice(names))
        terms, pattern = draw_surface(surface[1], 64, rng, avoid)
        wear = coat("gray", rng)  # its shades become the light and dark of the pattern
        parts, rgb, cover, mask = _draw(kind, spot, wear, rng)
        if (mask * cover).mean() < PATTERN_PATCH:
            surface = None  # too little of it to be recognised: a plain coat instead
        else:
            rgb = _dress(rgb, mask, wear, pattern, spot.center, spot.height * kind.aspect**0.5)
    if not surface:
        free = [term for term in kind.colors if term not in avoid]
        terms = (str(rng.choice(free or kind.colors)),)
        parts, rgb, cover, _ = _draw(kind, spot, coat(terms[0], rng), rng)
    _cast_shadow(pixels, cover, spot)
    pixels += cover[..., None] * (rgb - pixels)
    covered = cover > 0.5
    return Thing(kind.name, terms, surface, parts, _box(covered)), covered


def _draw(
    kind: Kind, spot: Spot, wear: Coat, rng: np.random.Generator
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """The parts that can be seen, then (SIZE, SIZE, 3) float32 paint, and how far it covers and is coat, 0 to 1."""
    brush = Brush(SIZE, 3)
    brush.pose(
        spot.center, spot.height, kind.aspect, spot.angle, bool(rng.random() < 0.5), rng.normal(0, 0.03)
    )
    brush.wear(wear)
    parts = kind.draw(brush, wear, rng)
    rgba, mask = brush.finish()
    return parts, rgba[..., :3].astype(np.float32), rgba[..., 3].astype(np.float32) / 255, mask


def _dress(
    rgb: np.ndarray,
    mask: np.ndarray,
    wear: Coat,
    pattern: np.ndarray,
    center: tuple[float, float],
    width: float,
) -> np.ndarray:
    """Put a pattern that is `width` wide, tiled, in place of the coat, keeping the coat's light and dark."""
    side = max(40, round(width * SIZE))
    cloth = np.asarray(Image.fromarray(pattern).resize((side, side), Image.Resampling.BILINEAR), np.float32)
    columns, rows = ((np.arange(SIZE) - round(c * SIZE) + side // 2) % side for c in center)
    light = rgb.mean(-1, keepdims=True) / np.mean(wear.main)
    return rgb + mask[..., None] * (np.clip(cloth[rows][:, columns] * light, 0, 255) - rgb)


def _cast_shadow(pixels: np.ndarray, cover: np.ndarray, spot: Spot) -> None:
    """Darken the ground where a thing touches it or, seen from above, beside the thing."""
    if spot.shadow == "beside":
        blurred = Image.fromarray((cover * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.2))
        pixels *= 1 - 0.5 * np.roll(np.asarray(blurred, np.float32), (3, 2), (0, 1))[..., None] / 255
    elif spot.shadow == "under":
        sole = spot.bottom * SIZE
        feet = np.flatnonzero(cover[max(0, int(sole - 0.12 * SIZE)) : int(sole) + 2].max(0) > 0.5)
        if len(feet):
            y, x = np.ogrid[:SIZE, :SIZE]
            middle, reach = (feet[0] + feet[-1]) / 2, (feet[-1] - feet[0]) / 2 + 3
            away = ((x - middle) / reach) ** 2 + ((y - sole + 1) / (1.5 + 0.13 * reach)) ** 2
            pixels *= (1 - 0.42 * np.clip(1.25 - away, 0, 1))[..., None]


def _box(covered: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a mask."""
    columns, rows = (np.flatnonzero(covered.any(axis)).tolist() for axis in (0, 1))
    return columns[0] / SIZE, rows[0] / SIZE, (columns[-1] + 1) / SIZE, (rows[-1] + 1) / SIZE
