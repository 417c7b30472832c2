"""Probe images: found, and read as upright RGB."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cmon.checkpoints.names import natural_key
from cmon.errors import CmonError
from cmon.workspace.workspace import file_digest


@dataclass(frozen=True)
class ImageFile:
    """One file of the probe folder."""

    path: Path
    name: str
    """Path relative to the folder, with forward slashes."""
    sha256: str | None
    error: str | None
    """Why it cannot be read; None if its bytes could be hashed."""


def find(source: Path) -> list[ImageFile]:
    """The files of a probing set with the hash of each one's bytes, in the order of `paths`."""
    root = source if source.is_dir() else source.parent
    return [_hashed(path, Path(os.path.relpath(path, root)).as_posix()) for path in paths(source)]


def paths(source: Path) -> list[Path]:
    """The files of a probing set, given as a folder or as a list.

    A folder: every file below it but hidden ones, in natural order. A file: a list of paths, one a line, or CSV
    with the column `path`, relative to the list's own folder; in the list's order, each once.
    Raises CmonError when there is nothing.
    """
    if source.is_dir():
        found = _below(source)
    elif source.is_file():
        found = _listed(source)
    else:
        raise CmonError(
            f"{source}: no such folder",
            expected="a folder of probe images, or a list of their paths",
            hint="give it as --probe FOLDER or --probe LIST",
        )
    if not found:
        raise CmonError(f"{source}: holds no image", expected="image files (PNG, JPEG, ...)", found="no file")
    return found


def _below(folder: Path) -> list[Path]:
    try:
        next(folder.iterdir(), None)  # rglob passes over what it may not read
        paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise CmonError(f"{folder}: cannot be read", found=error.strerror or str(error)) from error
    return sorted(paths, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _listed(source: Path) -> list[Path]:
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CmonError(
            f"{source}: cannot be read as a list of images",
            expected="a folder of probe images, a text file with one path a line, or CSV with the column path",
            found=str(error),
        ) from error
    header = next(csv.reader(lines[:1]), [])
    names = [row["path"] or "" for row in csv.DictReader(lines)] if "path" in header else lines
    wanted = dict.fromkeys(name.strip() for name in names if name.strip())
    return [source.parent / name for name in wanted]


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


def _hashed(path: Path, name: str) -> ImageFile:
    try:
        return ImageFile(path, name, file_digest(path), None)
    except OSError as error:
        return ImageFile(path, name, None, f"cannot be read: {error.strerror or error}")
