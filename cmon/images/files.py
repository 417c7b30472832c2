"""The files of a probing set, found in a folder or read off a list, with the hash of each one's bytes."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from cmon.errors import CmonError
from cmon.workspace.files import file_digest, natural_key


@dataclass(frozen=True)
class ImageFile:
    """One file of the probing set, an image or not."""

    path: Path
    name: str
    """Path relative to the folder, or to the list's folder, with forward slashes."""
    sha256: str | None
    error: str | None
    """Why it cannot be read; None if its bytes could be hashed."""


def find_images(source: Path) -> list[ImageFile]:
    """The files of a probing set, each with its hash, in the order of `list_paths`. Raises CmonError as that does."""
    root = source if source.is_dir() else source.parent
    return [_hash(path, Path(os.path.relpath(path, root)).as_posix()) for path in list_paths(source)]


def list_paths(source: Path) -> list[Path]:
    """The paths of a probing set's files, given as a folder or as a list.

    A folder: every file below it but hidden ones, in natural order. A file: a list of paths, one a line, or CSV
    with the column `path`, relative to the list's own folder; in the list's order, each once.
    Raises CmonError when there is nothing.
    """
    if source.is_dir():
        found = _list_folder(source)
    elif source.is_file():
        found = [source.parent / name for name in dict.fromkeys(_read_names(source))]
    else:
        raise CmonError(
            f"{source}: no such folder",
            expected="a folder of probe images, or a list of their paths",
            hint="give it as --probe FOLDER or --probe LIST",
        )
    if not found:
        raise CmonError(f"{source}: holds no image", expected="image files (PNG, JPEG, ...)", found="no file")
    return found


def _list_folder(folder: Path) -> list[Path]:
    try:
        next(folder.iterdir(), None)  # rglob says nothing of a folder that may not be read
        paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise CmonError(f"{folder}: cannot be read", found=error.strerror or str(error)) from error
    return sorted(paths, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _read_names(source: Path) -> list[str]:
    """The names in a list of images: its lines, or its column `path` if it is CSV with such a column."""
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
    return [name.strip() for name in names if name.strip()]


def _hash(path: Path, name: str) -> ImageFile:
    try:
        return ImageFile(path, name, file_digest(path), None)
    except OSError as error:
        return ImageFile(path, name, None, f"cannot be read: {error.strerror or error}")
