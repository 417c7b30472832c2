"""Image files as upright RGB pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError


def decode(path: Path) -> Image.Image:
    """Read a file as an upright RGB image; transparent pixels are laid on white.

    Raises OSError, ValueError or Pillow's errors; `reason` makes a line of text of them.
    """
    with bombs_refused():
        return upright(path)


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Context in which an image too large to be a photograph is an error, not a warning, in all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def upright(source: Path | IO[bytes], enough: int | None = None) -> Image.Image:
    """As `decode`, but to be called inside `bombs_refused`, by any number of threads.

    enough: pixels per side that are needed; a JPEG is then decoded at the smallest of its own scales that has them,
    which is several times as fast.
    """
    with Image.open(source) as opened:
        if enough:
            opened.draft("RGB", (enough, enough))  # other formats ignore it
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16"):  # Pillow would turn all above 255 to white
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        return image.convert("RGB")


def reason(error: BaseException) -> str:
    """Why an image was skipped, on one line."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or an empty one"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large to be a photograph: {error}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def blank() -> Image.Image:
    """A grey image, to find out the shapes that a preprocessing and a network make."""
    return Image.new("RGB", (256, 256), (127, 127, 127))
