"""The eleven basic color terms: paint that plainly bears a term, and the term that a pixel bears."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

RGB = tuple[int, int, int]

# For each term the box in HSV, (low, high) for hue in degrees, saturation and value, that its paint is taken
# from. The boxes are much smaller than what people accept under the term, so that a little shading or noise
# does not change the name; `name_pixels` draws the borders.
_PAINT: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "black": ((200, 260), (0.00, 0.20), (0.08, 0.14)),
    "white": ((30, 60), (0.00, 0.04), (0.95, 1.00)),
    "gray": ((200, 240), (0.00, 0.06), (0.46, 0.62)),
    "red": ((354, 364), (0.80, 0.95), (0.76, 0.92)),
    "orange": ((24, 31), (0.88, 1.00), (0.94, 1.00)),
    "brown": ((20, 29), (0.58, 0.75), (0.36, 0.50)),
    "yellow": ((49, 55), (0.76, 0.94), (0.95, 1.00)),
    "green": ((105, 145), (0.60, 0.85), (0.48, 0.70)),
    "blue": ((207, 230), (0.70, 0.90), (0.66, 0.90)),
    "purple": ((270, 285), (0.55, 0.72), (0.50, 0.68)),
    "pink": ((328, 343), (0.36, 0.52), (0.95, 1.00)),
}
COLORS: tuple[str, ...] = tuple(_PAINT)
_NUMBER = {name: number for number, name in enumerate(COLORS)}


@dataclass(frozen=True)
class Coat:
    """The paints of one object: its color, two shades of it, and a contrasting accent for small details."""

    name: str
    main: RGB
    dark: RGB
    light: RGB
    accent: RGB


def sample(name: str, rng: np.random.Generator) -> RGB:
    """A paint that anybody would call `name`, a little different every time."""
    hue, saturation, value = (rng.uniform(low, high) for low, high in _PAINT[name])
    red, green, blue = colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`first` with `share` (0 to 1) of it replaced by `second`."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def brightness(color: RGB) -> float:
    """How light a color looks, 0 (black) to 255 (white)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def coat(name: str, rng: np.random.Generator) -> Coat:
    """The paints of an object whose color is `name`."""
    main = sample(name, rng)
    # Shades stay close, so that a shaded orange is not yet brown and a lit red not yet pink.
    dark = mix(main, (25, 20, 35), {"black": 0.5, "white": 0.12}.get(name, 0.22))
    light = mix(main, (255, 250, 240), 0.07 if name == "black" else 0.22)
    accent = (250, 244, 228) if brightness(main) < 170 else (70, 56, 58)
    return Coat(name, main, dark, light, accent)


def _name_hsv(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The number in COLORS of each HSV color (hue in degrees, the rest 0 to 1)."""
    chroma = saturation * value
    cases = [
        ("black", (value < 0.2) | ((value < 0.28) & (chroma < 0.10))),
        ("white", (value > 0.84) & (saturation < 0.11)),
        ("gray", (chroma < 0.09) | (saturation < 0.13)),
        # Dark and dull warm colors are brown, light and dull reds are pink.
        ("pink", ((hue >= 345) | (hue < 18)) & (value > 0.75) & (saturation < 0.58)),
        ("brown", (hue >= 8) & (hue < 48) & ((value < 0.70) | (saturation < 0.48))),
        ("red", (hue >= 345) | (hue < 13)),
        ("orange", hue < 43),
        ("brown", (hue < 56) & (value < 0.55)),
        ("green", (hue < 70) & (value < 0.55)),
        ("yellow", hue < 66),
        ("green", hue < 168),
        ("blue", hue < 252),
        ("purple", (hue < 300) | ((hue < 325) & (value < 0.75))),
        ("pink", (value > 0.62)),
    ]
    return np.select([test for _, test in cases], [_NUMBER[name] for name, _ in cases], _NUMBER["purple"])


def _build_table() -> np.ndarray:
    """The color term of every cell of a 32 x 32 x 32 division of the RGB cube: (32768,) uint8."""
    rgb = (np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij"), -1).reshape(-1, 3) + 0.5) / 32
    value, chroma = rgb.max(1), np.ptp(rgb, 1)
    spread = np.where(chroma == 0, 1, chroma)
    red, green, blue = rgb.T
    sextant = np.select(
        [value == red, value == green],
        [(green - blue) / spread % 6, (blue - red) / spread + 2],
        (red - green) / spread + 4,
    )
    return _name_hsv(60 * sextant, chroma / value, value).astype(np.uint8)


_TABLE = _build_table()


def name_pixels(pixels: np.ndarray) -> np.ndarray:
    """For (..., 3) uint8 pixels the number in COLORS of the term each bears: (...) uint8."""
    cells = pixels.astype(np.int32) >> 3
    return _TABLE[(cells[..., 0] << 10) | (cells[..., 1] << 5) | cells[..., 2]]


def shares(pixels: np.ndarray) -> dict[str, float]:
    """Which share of (..., 3) uint8 pixels bears each color term; the shares add up to 1."""
    return term_shares(name_pixels(pixels))


def term_shares(terms: np.ndarray) -> dict[str, float]:
    """The same, given the term numbers that `name_pixels` returns."""
    counts = np.bincount(terms.ravel(), minlength=len(COLORS))
    return dict(zip(COLORS, (counts / max(terms.size, 1)).tolist(), strict=True))
