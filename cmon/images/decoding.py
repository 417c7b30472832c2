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
    """Read a file as an upright RGB image; transparency is laid on white.

    Raises OSError, ValueError or PIL's errors with the reason; see `reason`.
    """
    with bombs_refused():
        return upright(path)


@contextmanager
def bombs_refused() -> Iterator[None]:
    """Inside the block an image too large to be a photograph is an error, not a warning, in all threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def upright(source: Path | IO[bytes], enough: int | None = None) -> Image.Image:
    """As `decode`, but to be called inside `bombs_refused`, from as many threads as you like.

    enough: pixels a side that will do; a JPEG is then decoded at the smallest of its own scales that has them,
    which is several times as fast.
    """
    with Image.open(source) as opened:
        if enough:
            opened.draft("RGB", (enough, enough))  # other formats pass it by
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16"):  # Pillow would cut all above 255 to white
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        return image.convert("RGB")


def reason(error: BaseException) -> str:
    """One line that tells a person why an image was skipped."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or an empty one"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large to be a photograph: {error}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def blank() -> Image.Image:
    """A grey image: for seeing the shapes that a preprocessing and a network make."""
    return Image.new("RGB", (256, 256), (127, 127, 127))
