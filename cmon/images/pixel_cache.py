"""The probing set as pixels: decoded once, and kept for every checkpoint of every run, now or later.

Pixels lie one image after the other in one file of the workspace's cache, so that a checkpoint is one pass
over that file and not over image files, and 60,000 images need disk, not memory. The file is read in batches, not
memory-mapped: mapped pages that were read would count as memory of the process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmon.errors import CmonError
from cmon.images import decoding, preprocessing
from cmon.images.decoding import blank
from cmon.images.files import ImageFile
from cmon.images.preprocessing import Decoded, Preprocess
from cmon.images.table import make_rows, to_table, warn_of
from cmon.progress import Progress
from cmon.workspace import schemas
from cmon.workspace.files import atomic_write, digest
from cmon.workspace.workspace import Workspace, is_fresh, read_table


@dataclass(frozen=True)
class Pixels:
    """The cached arrays of all images that could be read, in their order."""

    path: Path
    shape: tuple[int, ...]
    """Of one image's array."""
    dtype: np.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        """(rows, *shape)."""
        size = math.prod(self.shape)
        count = (rows.stop - rows.start) * size
        offset = rows.start * size * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, count, offset=offset).reshape(-1, *self.shape)


@dataclass(frozen=True)
class Probe:
    """The decoded probing set: N images that could be read."""

    pixels: Pixels
    image_ids: np.ndarray
    """(N,) int64: positions among all files, the read and the skipped."""
    origin: str
    """Hash of the images' bytes and the preprocessing."""
    skipped: list[tuple[str, str]]
    """(path, reason)."""


def decode_probe(
    workspace: Workspace, files: list[ImageFile], preprocess: Preprocess, workers: int, progress: Progress
) -> Probe:
    """Decode every image, unless the cache holds just these already, and write the table `images`.

    Raises CmonError when no file can be read as an image; then nothing is written.
    """
    origin = digest(
        [(file.name, file.sha256) for file in files], preprocess.describe(), decoding.RULES, schemas.VERSION
    )
    example = preprocess.pixels(blank())
    pixels = Pixels(workspace.cache / f"pixels-{origin[:16]}.bin", example.shape, example.dtype)
    table = workspace.table("images")
    if not (pixels.path.is_file() and is_fresh(table, origin)):
        decoded = progress(
            preprocessing.decode_all(files, preprocess, workers), "decoding probe images", len(files)
        )
        outcomes = _write_pixels(pixels, files, decoded)
        workspace.written_bytes += pixels.path.stat().st_size
        rows = make_rows(files, outcomes, workspace.root)
        workspace.write(table, to_table(rows), origin, {"preprocess": preprocess.describe()})
        _remove_other_caches(pixels.path)
    else:
        before = read_table(table).to_pylist()
        rows = make_rows(files, [(row["error"], row["notes"]) for row in before], workspace.root)
        if rows != before:  # the same images at another place
            workspace.write(table, to_table(rows), origin, workspace.parameters("images"))
    warn_of(rows)
    usable = np.array([row["image_id"] for row in rows if row["status"] == "ok"], dtype=np.int64)
    skipped = [(row["path"], row["error"]) for row in rows if row["status"] != "ok"]
    return Probe(pixels, usable, origin, skipped)


def _write_pixels(
    pixels: Pixels, files: list[ImageFile], decoded: Iterable[Decoded]
) -> list[tuple[str | None, str | None]]:
    """Write the arrays of all readable images one after the other; gives each file's error and notes, or None.

    Raises CmonError, and writes nothing, when no file is readable.
    """
    outcomes: list[tuple[str | None, str | None]] = []
    with atomic_write(pixels.path) as aside:
        with aside.open("wb") as cache:
            for _, array, error, notes in decoded:
                if array is not None and array.shape != pixels.shape:
                    error = f"its preprocessing gives {array.shape}, where {pixels.shape} is expected"
                elif array is not None:
                    cache.write(np.ascontiguousarray(array, pixels.dtype).data)
                outcomes.append((error, None if error else "; ".join(notes) or None))
        if all(error for error, _ in outcomes):
            raise CmonError(
                f"{files[0].path.parent}: none of the {len(files)} files can be read as an image",
                expected="PNG, JPEG or other image files",
                found=f"{files[0].name}: {outcomes[0][0]}",
            )
    return outcomes


def _remove_other_caches(own: Path) -> None:
    """Remove the caches of earlier probing sets and preprocessings."""
    for path in own.parent.glob("pixels-*"):
        if path != own:
            path.unlink()
