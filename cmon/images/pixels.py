"""A file of pixels: where it is, how it is read, and whether it is as it was written.

Of a workspace in a store, each machine copies the file once, since every checkpoint reads all of it.
"""

from __future__ import annotations

import math
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from cmon.errors import CmonError
from cmon.storage.url_path import UrlPath
from cmon.workspace.files import atomic_write
from cmon.workspace.workspace import Workspace

_COMPARED = 64
"""Images whose checksums are compared at a time."""


@dataclass(frozen=True)
class Pixels:
    """The cached arrays of the N images that could be read, in their order."""

    path: Path
    shape: tuple[int, ...]
    """Of one image's array."""
    dtype: np.dtype
    checksums: np.ndarray
    """(N,) uint32, CRC-32 of each image's bytes."""

    @property
    def image_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, rows: slice) -> np.ndarray:
        """(rows, *shape). Raises CmonError, and removes the file, where it is not as it was written."""
        count = rows.stop - rows.start
        found = np.fromfile(
            self.path, np.uint8, count * self.image_bytes, offset=rows.start * self.image_bytes
        )
        whole = len(found) == count * self.image_bytes
        pictures = found.reshape(count, -1) if whole else ()
        if not whole or any(
            zlib.crc32(one.data) != crc for one, crc in zip(pictures, self.checksums[rows], strict=True)
        ):
            self.path.unlink(missing_ok=True)
            raise CmonError(
                f"{self.path}: is damaged, and was removed",
                expected=f"the pixels of images {rows.start} to {rows.stop - 1} as they were decoded",
                found="other bytes" if whole else "fewer bytes",
                hint="run `cmon extract` again: the images are decoded anew, and what was finished is kept",
            )
        return found.view(self.dtype).reshape(-1, *self.shape)


def stored_file(workspace: Workspace, pixels: Pixels) -> Path:
    """Where the workspace has the file of pixels: of one in a store, not where it is read."""
    return workspace.cache / pixels.path.name


def table_file(workspace: Workspace, pixels: Pixels) -> Path:
    return workspace.cache / f"{pixels.path.stem}.parquet"


def is_here(workspace: Workspace, pixels: Pixels, cached: pa.Table) -> bool:
    """Whether this machine has the pixels that the table is of; from a store they are copied, and compared, first."""
    size = _bytes_of(cached, pixels.image_bytes)
    if _size(pixels.path) == size:
        return True
    stored = stored_file(workspace, pixels)
    if not isinstance(stored, UrlPath) or _size(stored) != size:
        return False
    from filelock import FileLock

    pixels.path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(pixels.path.with_suffix(".lock")):  # of the processes of this machine one copies
        if _size(pixels.path) != size:
            with suppress(FileNotFoundError), atomic_write(pixels.path) as aside:
                stored.get(aside)
    return _is_whole(pixels, read_checksums(cached))


def _is_whole(pixels: Pixels, checksums: np.ndarray) -> bool:
    """Whether the file has these checksums; else it is removed."""
    whole = replace(pixels, checksums=checksums)
    try:
        for start in range(0, len(checksums), _COMPARED):
            whole[start : min(start + _COMPARED, len(checksums))]
    except (CmonError, OSError):
        return False
    return True


def read_checksums(cached: pa.Table) -> np.ndarray:
    """(N,) uint32, of the images that have pixels."""
    return cached["crc32"].drop_null().to_numpy().astype(np.uint32)


def _bytes_of(cached: pa.Table, image_bytes: int) -> int:
    """How large the file of pixels is that the table is of."""
    return (cached.num_rows - cached["crc32"].null_count) * image_bytes


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
