"""Pixels of every kind that files hold, as 8-bit RGB of the same brightness. Nothing is guessed without a word.

    1, L, P, RGB, HSV, YCbCr, LAB, CMYK     as Pillow converts them
    with transparency (LA, La, PA, RGBA,    laid on white
    RGBa, or one transparent colour)
    I;16 (16 bits, any byte order)          value / 65535; / 4095 where the file says that it has 12 bits
    I (32-bit integers)                     by the smallest range that holds all values: 0..255 or 0..65535
    F (floating point)                      by the values: 0..1, or 0..255 if the highest is 16 or more

A picture of a range that these do not name (negative values, a highest value of 3.0, of 100,000, a pixel that is no
number) is refused: it would come out black, white or with its grey levels mixed up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_TIFF_PHOTOMETRIC, _TIFF_BITS = 262, 258
_ROUNDING = 0.5 / 255
"""Half a grey level: what arithmetic on pixels may put outside a range from 0 to 1."""
_BAND = 2**20
"""Pixels that are converted at once."""
_DARKEST_OF_255 = 16
"""A floating-point picture from 0 to 255 has some pixel that is at least so bright."""


def to_rgb(opened: Image.Image) -> tuple[Image.Image, str | None]:
    """An opened picture as RGB, and which range its values were taken to be of where the file does not say.

    Raises ValueError with the reason where the brightness cannot be told; Pillow's errors where it cannot be read.
    """
    transparent = _transparent_color(opened)
    if opened.format == "JPEG" and opened.mode == "CMYK" and "adobe" not in opened.info:
        raise ValueError("CMYK without Adobe's mark: whether its values are inverted is not known")
    if opened.mode.startswith("I;16"):
        return _of_16_bits(opened, transparent), None
    if opened.mode == "I":
        return _of_integers(opened)
    if opened.mode == "F":
        return _of_floats(opened)
    image: Image.Image = opened
    image.load()
    if transparent is not None:
        image.info["transparency"] = transparent
    if image.mode in _ALPHA or "transparency" in image.info:
        return _on_white(image), None
    return image.convert("RGB"), None


def _on_white(image: Image.Image) -> Image.Image:
    whole = Image.new("RGB", image.size)
    for top, band in _bands(image):
        if band.mode == "La":  # which Pillow converts to nothing else
            band = band.convert("LA")
        white = Image.new("RGBA", band.size, "white")
        whole.paste(Image.alpha_composite(white, band.convert("RGBA")).convert("RGB"), (0, top))
    return whole


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Parts of a picture with all of its columns, and the row at which each begins: copies of the whole take memory."""
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _of_16_bits(opened: Image.Image, transparent: object) -> Image.Image:
    tags = getattr(opened, "tag_v2", {})
    highest = 4095 if tags.get(_TIFF_BITS) == (12,) else 65535
    white_is_0 = tags.get(_TIFF_PHOTOMETRIC) == 0  # which Pillow heeds for 8 bits only

    def to_grey(values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        grey = (values * 255 + highest // 2) // highest
        if white_is_0:
            grey = 255 - grey
        if isinstance(transparent, int):
            grey[values == transparent] = 255
        return grey

    return _grey(opened, np.int64, to_grey)


def _of_integers(opened: Image.Image) -> tuple[Image.Image, str | None]:
    lows, highs = zip(*(band.getextrema() for _, band in _bands(opened)), strict=True)
    low, high = int(min(lows)), int(max(highs))
    if low < 0 or high > 65535:
        raise ValueError(f"integer pixels from {low} to {high}: no known range (0..255, 0..65535)")
    # Formats of 16 bits that some versions of Pillow open with 32.
    highest = 65535 if high > 255 or opened.format in ("PNG", "PPM") else 255
    said = None if opened.format in ("PNG", "PPM") else f"integer pixels, taken as 0..{highest}"
    return _grey(opened, np.int64, lambda values: (values * 255 + highest // 2) // highest), said


def _of_floats(opened: Image.Image) -> tuple[Image.Image, str | None]:
    low, high = math.inf, -math.inf
    for _, band in _bands(opened):
        values = np.asarray(band)
        if not np.isfinite(values).all():
            raise ValueError("float pixels that are no number (NaN or infinite)")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        highest = 1
    elif low >= -_ROUNDING * 255 and _DARKEST_OF_255 <= high <= 255 * (1 + _ROUNDING):
        highest = 255
    else:
        raise ValueError(f"float pixels from {low:.4g} to {high:.4g}: no known range (0..1, 0..255)")
    white_is_0 = getattr(opened, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == 0

    def to_grey(values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        grey = np.rint(values * (255 / highest)).clip(0, 255)
        return 255 - grey if white_is_0 else grey

    return _grey(opened, np.float64, to_grey), f"float pixels, taken as 0..{highest}"


def _transparent_color(opened: Image.Image) -> int | tuple[int, ...] | None:
    """The one colour of a PNG that is transparent, in the values that its pixels are given in.

    Pillow leaves it in those of the file, of 1 to 16 bits, where it gives pixels of 8.
    """
    color = opened.info.get("transparency")
    tiles = getattr(opened, "tile", None)  # what Pillow is going to decode, and from which form
    if opened.format != "PNG" or not tiles or not isinstance(color, (int, tuple)):
        return None
    kind = tiles[0].args
    kind = kind if isinstance(kind, str) else kind[0] if kind else ""
    if isinstance(color, tuple):
        return tuple(value >> 8 for value in color) if kind.startswith("RGB;16") else color
    return color * {"L;2": 85, "L;4": 17}.get(str(kind), 1)


def _grey(opened: Image.Image, kind: Any, to_grey: Callable[[Any], npt.NDArray[Any]]) -> Image.Image:
    """A picture of one channel as RGB. to_grey: from values, of the given dtype, to grey levels from 0 to 255."""
    levels = np.empty((opened.height, opened.width), np.uint8)
    for top, band in _bands(opened):
        levels[top : top + band.height] = to_grey(np.asarray(band).astype(kind))
    return Image.fromarray(levels).convert("RGB")
