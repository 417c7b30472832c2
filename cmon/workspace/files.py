"""Files and their hashes: a visible file is a whole file on the disk, and equal content has an equal hash."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

from cmon.errors import CmonError
from cmon.printable import printable
from cmon.regular_files import open_regular
from cmon.storage.aside import aside_name, host
from cmon.storage.url_path import UrlPath

AT_A_TIME = 16
"""Requests to a store."""
_STRANGERS_AGE = 24 * 3600.0
"""Seconds after which what another machine left aside counts as left for good."""


def digest(*parts: Any) -> str:
    """Hex SHA-256 of the parts' canonical JSON; equal parts, equal digest, on every machine."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file's bytes. Raises OSError, also for what is no regular file."""
    if isinstance(path, UrlPath):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with open_regular(path) as file:
        found = hashlib.sha256()
        while block := file.read(1 << 22):
            found.update(block)
    return found.hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path aside to write to; when the block ends well, sync that file and move it to `path`, else remove it.

    So `path` is whole or as it was, also after a power cut. In a store, where a name cannot be moved, the file aside
    is one of this machine, and put there at once. Raises CmonError when the disk is full, or nothing may be written
    there.
    """
    if isinstance(path, UrlPath):
        with _written_here(path) as aside:
            yield aside
            path.put(aside)
        return
    aside = path.with_name(aside_name(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CmonError(
            f"{path}: cannot be written",
            found=error.strerror or str(error),
            hint="make room or give the right to write there, or use another workspace",
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


@contextmanager
def _written_here(path: UrlPath) -> Iterator[Path]:
    """A path on this machine for a file that is to be put in a store; removed at the end."""
    try:
        with tempfile.TemporaryDirectory(prefix="cmon-") as folder:
            yield Path(folder) / aside_name(path.name)
    except OSError as error:
        raise CmonError(
            f"{path}: cannot be written",
            found=error.strerror or str(error),
            hint=f"make room in {tempfile.gettempdir()}, or set TMPDIR to a folder that has it",
        ) from error


def remove_files(paths: Iterable[Path], kept: set[Path]) -> None:
    """Remove those of the files, two folders deep, that are not to be kept, and folders that this leaves empty."""
    gone = [path for path in paths if path not in kept]
    if any(isinstance(path, UrlPath) for path in gone):  # a store has no empty folders
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            list(pool.map(lambda path: path.unlink(missing_ok=True), gone))
        return
    for path in gone:
        path.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent):
            if not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()


def sweep(root: Path) -> None:
    """Remove what `atomic_write` left aside below a folder in processes that were killed.

    To be called by the one process that may write there. What another machine began is left for a day: whether its
    process still runs cannot be seen from here.
    """
    own, this_host = f".{os.getpid()}.part", host()
    for path in root.rglob(".*.part"):
        here = path.name.rsplit(".", 3)[1] == this_host
        with suppress(OSError):
            if (here and not path.name.endswith(own)) or time.time() - path.stat().st_mtime > _STRANGERS_AGE:
                path.unlink()


def _sync_folder(folder: Path) -> None:
    """See to it that a new name in the folder is on the disk; not all file systems offer it."""
    if os.name == "nt":
        return
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key that orders the numbers in a text by value.

    >>> sorted(["epoch_10.pt", "epoch_2.pt", "Epoch_1.pt"], key=natural_key)
    ['Epoch_1.pt', 'epoch_2.pt', 'epoch_10.pt']
    """
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in re.split(r"(\d+)", text)
        if part
    ]


def printable_path(path: PurePath) -> str:
    r"""How a path is shown and stored: with forward slashes, bytes that are not UTF-8 as `\xe9`.

    The path itself must be kept to open the file: the escaped name is not the file's.
    """
    return printable(path.as_posix())
