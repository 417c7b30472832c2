"""Files and their hashes: a visible file is a whole file, and equal content has an equal hash."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

from cmon.errors import CmonError
from cmon.printable import printable


def digest(*parts: Any) -> str:
    """Hex SHA-256 of the parts' canonical JSON; equal parts, equal digest, on every machine."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        found = hashlib.sha256()
        while block := file.read(1 << 22):
            found.update(block)
    return found.hexdigest()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path aside to write to; move it to `path` when the block ends well, remove it when not.

    Raises CmonError when the disk is full, or nothing may be written there.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        os.replace(aside, path)
    except OSError as error:
        raise CmonError(
            f"{path}: cannot be written",
            found=error.strerror or str(error),
            hint="make room or give the right to write there, or use another workspace",
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


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
