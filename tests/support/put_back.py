"""A folder that tests may change, though they share it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def put_back(folder: Path) -> Iterator[None]:
    """After the block, the folder is what it was before it, the times of its files too."""
    kept = folder.with_name(f"{folder.name} as it was")
    shutil.copytree(folder, kept)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)
