"""The probing set as pixels: decoded once, and kept for every checkpoint of every run, now or later.

Pixels lie one image after the other in one file of the workspace's cache, so that a checkpoint is one pass
over that file and not over image files, and 60,000 images need disk, not memory. It is read in batches and not
mapped into memory, where the pages that were touched would count as the process's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from cmon.errors import CmonError
from cmon.images import files as images
from cmon.images import preprocessing
from cmon.images.decoding import blank
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


def decoded(
    workspace: Workspace,
    files: list[images.ImageFile],
    preprocess: preprocessing.Preprocess,
    workers: int,
    progress: Progress,
) -> Probe:
    """Decode every image, unless the cache holds just these already, and write the table `images`.

    Raises CmonError when no file can be read as an image; then nothing is written.
    """
    origin = digest([(file.name, file.sha256) for file in files], preprocess.describe(), schemas.VERSION)
    cached = workspace.cache / f"pixels-{origin[:16]}.bin"
    example = preprocess.pixels(blank())
    table = workspace.table("images")
    if not (cached.is_file() and is_fresh(table, origin)):
        errors: list[str | None] = []
        with atomic_write(cached) as aside:
            decoded = preprocessing.decode_all(files, preprocess, workers)
            with aside.open("wb") as file:
                for _, array, error in progress(decoded, "decoding probe images", len(files)):
                    if array is not None and array.shape != example.shape:
                        error = f"its preprocessing gives {array.shape}, where {example.shape} is expected"
                    elif array is not None:
                        file.write(np.ascontiguousarray(array, example.dtype).data)
                    errors.append(error)
            if all(errors):
                raise CmonError(
                    f"{files[0].path.parent}: none of the {len(files)} files can be read as an image",
                    expected="PNG, JPEG or other image files",
                    found=f"{files[0].name}: {errors[0]}",
                )
        workspace.written_bytes += cached.stat().st_size
        rows = [
            {
                "image_id": image_id,
                "path": str(file.path.resolve()),
                "sha256": file.sha256,
                "status": "skipped" if error else "ok",
                "error": error,
            }
            for image_id, (file, error) in enumerate(zip(files, errors, strict=True))
        ]
        parameters = {"preprocess": preprocess.describe()}
        workspace.write(table, pa.Table.from_pylist(rows, schema=schemas.IMAGES), origin, parameters)
        for old in workspace.cache.glob("pixels-*"):
            if old != cached:  # of an earlier probing set or preprocessing
                old.unlink()
    rows = read_table(table).to_pylist()
    usable = np.array([row["image_id"] for row in rows if row["status"] == "ok"], dtype=np.int64)
    skipped = [(row["path"], row["error"]) for row in rows if row["status"] != "ok"]
    return Probe(Pixels(cached, example.shape, example.dtype), usable, origin, skipped)
