"""What the parts of an extraction share out among them, each by itself, and all in the same way."""

from __future__ import annotations

from pathlib import Path

from cmon.checkpoints.find import find_checkpoints
from cmon.storage import copies


def countable(folder: Path) -> list[Path]:
    """What of a run is shared out: its checkpoints, or all files where it lies in a store, and is not fetched yet."""
    return find_checkpoints(folder) if copies.url_of(folder) is None else copies.list_files(folder)


def counted(checkpoint: Path) -> Path:
    """As which of `countable` a checkpoint counts: itself, or of a folder in a store its first file."""
    if copies.url_of(checkpoint) is None or not checkpoint.is_dir():
        return checkpoint
    files = (path for path in checkpoint.rglob("[!.]*") if path.is_file())
    return min(files, default=checkpoint)
