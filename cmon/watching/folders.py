"""What lies in the runs' folders, told by names, sizes and times alone: the cheap look before anything is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from cmon.checkpoints.find import find_checkpoints

Files: TypeAlias = "tuple[tuple[str, int, int], ...]"
"""Name, size and time of change in nanoseconds of each file of a checkpoint, or of the one file that something is."""


def list_checkpoints(folders: Iterable[Path]) -> dict[Path, Files]:
    """All checkpoints of the runs, in order. Nothing is opened.

    Raises CmonError for a folder that is missing, unreadable or without a checkpoint.
    """
    return list_files(path for folder in folders for path in find_checkpoints(folder))


def list_files(paths: Iterable[Path]) -> dict[Path, Files]:
    """What is there of the paths, files or folders; one that vanishes meanwhile is left out."""
    found = {}
    for path in paths:
        try:
            found[path] = tuple(sorted(_files(path)))
        except OSError:  # removed, or exchanged for another
            continue
    return found


def _files(path: Path) -> Iterator[tuple[str, int, int]]:
    """Of a file that file, of a folder all files below it."""
    if not path.is_dir():
        at = path.stat()
        yield path.name, at.st_size, at.st_mtime_ns
        return
    with os.scandir(path) as entries:
        for entry in entries:
            for name, size, time in _files(Path(entry.path)):
                yield f"{entry.name}/{name}", size, time
