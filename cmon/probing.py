"""The probing set as pixels: decoded once, and kept for every checkpoint of every run, now or later.

Pixels lie in one memory-mapped file of the workspace's cache, so that a checkpoint is one pass over memory
and not over image files, and 60,000 images need disk, not memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cmon import images, schemas
from cmon.errors import CmonError
from cmon.store import Workspace, digest, is_fresh, read_table, written_whole


@dataclass(frozen=True)
class Probe:
    """The decoded probing set."""

    pixels: np.ndarray
    """Memory-mapped, one row per file of the folder."""
    rows: np.ndarray
    """(N,) positions of the images that could be read; also their image_id."""
    key: str
    """Hash of the images' bytes and the preprocessing."""
    skipped: list[tuple[str, str]]


def decoded(
    workspace: Workspace,
    files: list[images.ImageFile],
    preprocess: images.Preprocess,
    workers: int,
    progress: Callable[..., Iterable[Any]],
) -> Probe:
    """Decode every image, unless the cache holds just these already, and write the table `images`.

    Raises CmonError when no file can be read as an image; then nothing is written.
    """
    key = digest([(file.name, file.sha256) for file in files], preprocess.describe(), schemas.VERSION)
    cached = workspace.cache / f"pixels-{key[:16]}.npy"
    table = workspace.table("images")
    if not (cached.is_file() and is_fresh(table, key)):
        errors: list[str | None] = []
        blank = preprocess.pixels(images.blank())
        with written_whole(cached) as aside:
            pixels = np.lib.format.open_memmap(aside, "w+", blank.dtype, (len(files), *blank.shape))
            decoded = images.decode_all(files, preprocess, workers)
            for position, array, error in progress(decoded, "decoding probe images", len(files)):
                if array is not None:
                    pixels[position] = array
                errors.append(error)
            pixels.flush()
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
        workspace.write(table, pa.Table.from_pylist(rows, schema=schemas.IMAGES), key, parameters)
        for old in workspace.cache.glob("pixels-*.npy"):
            if old != cached:  # of an earlier probing set or preprocessing
                old.unlink()
    rows = read_table(table).to_pylist()
    usable = np.array([row["image_id"] for row in rows if row["status"] == "ok"], dtype=np.int64)
    skipped = [(row["path"], row["error"]) for row in rows if row["status"] != "ok"]
    return Probe(np.load(cached, mmap_mode="r"), usable, key, skipped)
