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

import numpy as np
import numpy.typing as npt
from PIL import Image

_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_TIFF_PHOTOMETRIC, _TIFF_BITS = 262, 258
_ROUNDING = 0.5 / 255
"""Half a grey level: what arithmetic on pixels may put outside a range from 0 to 1."""
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
    if transparent is not None:
        image.load()
        image.info["transparency"] = transparent
    if image.mode == "La":  # which Pillow converts to nothing else
        image = image.convert("LA")
    if image.mode in _ALPHA or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB"), None


def _of_16_bits(opened: Image.Image, transparent: object) -> Image.Image:
    values = np.asarray(opened).astype(np.int64)
    tags = getattr(opened, "tag_v2", {})
    highest = 4095 if tags.get(_TIFF_BITS) == (12,) else 65535
    clear = values == transparent if isinstance(transparent, int) else None
    grey = (values * 255 + highest // 2) // highest
    if tags.get(_TIFF_PHOTOMETRIC) == 0:  # 0 is white, which Pillow heeds for 8 bits only
        grey = 255 - grey
    if clear is not None:
        grey[clear] = 255
    return _grey(grey)


def _of_integers(opened: Image.Image) -> tuple[Image.Image, str | None]:
    values = np.asarray(opened).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(f"integer pixels from {low} to {high}: no known range (0..255, 0..65535)")
    # Formats of 16 bits that some versions of Pillow open with 32.
    highest = 65535 if high > 255 or opened.format in ("PNG", "PPM") else 255
    said = None if opened.format in ("PNG", "PPM") else f"integer pixels, taken as 0..{highest}"
    return _grey((values * 255 + highest // 2) // highest), said


def _of_floats(opened: Image.Image) -> tuple[Image.Image, str | None]:
    values = np.asarray(opened).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("float pixels that are no number (NaN or infinite)")
    low, high = float(values.min()), float(values.max())
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        highest = 1
    elif low >= -_ROUNDING * 255 and _DARKEST_OF_255 <= high <= 255 * (1 + _ROUNDING):
        highest = 255
    else:
        raise ValueError(f"float pixels from {low:.4g} to {high:.4g}: no known range (0..1, 0..255)")
    grey = np.rint(values * (255 / highest)).clip(0, 255)
    if getattr(opened, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == 0:
        grey = 255 - grey
    return _grey(grey), f"float pixels, taken as 0..{highest}"


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


def _grey(values: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
