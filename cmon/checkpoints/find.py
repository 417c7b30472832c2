"""What in a folder is a checkpoint, and the hash of its bytes: all that is known without opening one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cmon.checkpoints.bytes_read import read_bytes
from cmon.checkpoints.formats.base import Format
from cmon.checkpoints.formats.foreign import describe_others
from cmon.checkpoints.formats.registry import claim_checkpoints, describe_formats, find_format, list_files
from cmon.errors import CmonError
from cmon.workspace.files import natural_key


def find_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints below a folder, files or folders, in natural order (epoch 2 before epoch 10).

    Raises CmonError when the folder is missing, unreadable, or holds none.
    """
    if not folder.is_dir():
        raise CmonError(
            f"{folder}: no such folder" if not folder.exists() else f"{folder}: not a folder",
            expected="a folder with one checkpoint per epoch",
            hint="give the folder that the training program saves to: --run NAME=FOLDER",
        )
    try:
        found = _search(folder)
        others = sum(1 for _ in folder.iterdir())
        known = "" if found else describe_others(folder)
    except OSError as error:
        raise CmonError(f"{folder}: cannot be read", found=error.strerror or str(error)) from error
    if not found:
        raise CmonError(
            f"{folder}: holds no checkpoint",
            expected=describe_formats(),
            found=(f"{others} other entries" + (f": {known}" if known else ""))
            if others
            else "an empty folder",
        )
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def hash_checkpoint(path: Path, format: Format | None = None) -> str:
    """Hex SHA-256 of a checkpoint's bytes: of the file, or of all files of the folder that are read.

    format: of the checkpoint, where it is known already. Raises CmonError or OSError when files are missing.
    """
    return read_bytes(path, (format or find_format(path)).content_files(path)).sha256


_HIDDEN = frozenset(("__MACOSX", "@eaDir", "@Recently-Snapshot", "#recycle", "$RECYCLE.BIN", "lost+found"))
"""Folders that an operating system makes; so are those that begin with a dot."""


def _search(folder: Path) -> list[Path]:
    """Files and folders that are one checkpoint each, in no particular order.

    Links to folders are followed, but not into a folder that they lie in.
    """
    found: list[Path] = []
    waiting: list[tuple[Path, frozenset[str]]] = [(folder, frozenset())]
    while waiting:
        here, above = waiting.pop()
        real = os.path.realpath(here)
        if real in above:
            continue
        claimed = claim_checkpoints(here, list_files(here))
        found += claimed
        own = claimed.get(here)
        waiting += [
            (entry, above | {real})
            for entry in here.iterdir()
            if entry.is_dir()
            and not entry.name.startswith(".")
            and entry.name not in _HIDDEN
            and not (own and own.inner and re.fullmatch(own.inner, entry.name))
        ]
    return found
