"""The probing set as pixels: decoded once, and kept for every checkpoint of every run, now or later.

Pixels lie one image after the other in one file of the workspace's cache, so that a checkpoint is one pass
over that file and not over image files, and 60,000 images need disk, not memory. The file is read in batches, not
memory-mapped: mapped pages that were read would count as memory of the process. A table beside it says of each image
where its pixels lie, with a checksum that every reading is compared with. When the probing set changes, only images
that are new to it are decoded. Of a workspace in a store, each machine copies the file once, and compares it then.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cmon.errors import CmonError
from cmon.images import decoding, preprocessing
from cmon.images.decoding import blank
from cmon.images.files import ImageFile
from cmon.images.pixels import Pixels, is_here, read_checksums, stored_file, table_file
from cmon.images.preprocessing import Preprocess
from cmon.images.table import make_rows, stored_path, to_table, warn_of
from cmon.progress import Progress
from cmon.storage.url_path import UrlPath
from cmon.workspace import schemas
from cmon.workspace.files import atomic_write, digest
from cmon.workspace.table_files import is_fresh, read_if_fresh, read_noted, read_table
from cmon.workspace.workspace import Workspace

Row = dict[str, Any]


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
    """Decode every image that the cache does not hold already, and write the table `images`.

    Raises CmonError when no file can be read as an image; then nothing is written.
    """
    cached, pixels, origin = _decode(workspace, files, preprocess, workers, progress)
    _write_images(workspace, files, cached.to_pylist(), origin, preprocess)
    _remove_other_caches(workspace, pixels.path)
    return _probe(cached, pixels, origin, [stored_path(file) for file in files])


def decode_part(
    workspace: Workspace, files: list[ImageFile], preprocess: Preprocess, workers: int, progress: Progress
) -> Probe:
    """`decode_probe` for one of several processes that do so at once: the first decodes, and no table is written."""
    with workspace.alone("decoded images"):
        cached, pixels, origin = _decode(workspace, files, preprocess, workers, progress)
    return _probe(cached, pixels, origin, [stored_path(file) for file in files])


def open_probe(workspace: Workspace, origin: str, preprocess: Preprocess) -> Probe:
    """The probing set that another process decoded; of images that could not be read it does not know the paths.

    Raises CmonError where this process does not find it.
    """
    pixels = _pixels(workspace, origin, preprocess)
    cached = read_if_fresh(table_file(workspace, pixels), origin)
    if cached is None or not is_here(workspace, pixels, cached):
        raise CmonError(
            f"{pixels.path}: is not there as it was decoded",
            expected="the pixels that the process that gives the tasks decoded",
            hint="put the workspace on storage that all machines share",
        )
    return _probe(cached, pixels, origin, [f"image {number}" for number in range(cached.num_rows)])


def _decode(
    workspace: Workspace, files: list[ImageFile], preprocess: Preprocess, workers: int, progress: Progress
) -> tuple[pa.Table, Pixels, str]:
    """The table of the cache, the empty `Pixels` of its file, and the probing set's origin."""
    way = digest(preprocess.describe(), decoding.RULES, schemas.VERSION)
    origin = digest([(file.name, file.sha256) for file in files], way)
    empty = _pixels(workspace, origin, preprocess)
    table = table_file(workspace, empty)
    cached = read_if_fresh(table, origin)
    if cached is None or not is_here(workspace, empty, cached):
        known = _known(workspace, way, empty)
        rows = _write_pixels(empty, files, known, preprocess, workers, progress)
        if isinstance(stored := stored_file(workspace, empty), UrlPath):
            stored.put(empty.path)
        workspace.written_bytes += empty.path.stat().st_size
        cached = pa.Table.from_pylist(rows, schema=schemas.PIXELS)
        workspace.write(table, cached, origin, {"way": way})
    return cached, empty, origin


def _pixels(workspace: Workspace, origin: str, preprocess: Preprocess) -> Pixels:
    """Where the pixels of a probing set lie, and in which form; of no image yet."""
    example = preprocess.pixels(blank())
    path = workspace.local_cache / f"pixels-{origin[:16]}.bin"
    return Pixels(path, example.shape, example.dtype, np.empty(0, np.uint32))


def _probe(cached: pa.Table, empty: Pixels, origin: str, paths: Sequence[str]) -> Probe:
    """paths: of all files, in the order of the cache's rows."""
    rows = cached.to_pylist()
    checksums = read_checksums(cached)
    usable = np.array([at for at, row in enumerate(rows) if not row["error"]], dtype=np.int64)
    skipped = [(path, row["error"]) for path, row in zip(paths, rows, strict=True) if row["error"]]
    return Probe(replace(empty, checksums=checksums), usable, origin, skipped)


def _write_images(
    workspace: Workspace, files: list[ImageFile], cached: Sequence[Row], origin: str, preprocess: Preprocess
) -> None:
    """Write the table `images`, unless it is there, with the files at the same place. cached: rows of PIXELS."""
    rows = make_rows(files, [(row["error"], row["notes"]) for row in cached], workspace.root)
    path = workspace.table("images")
    if not is_fresh(path, origin) or read_table(path).to_pylist() != rows:
        workspace.write(path, to_table(rows), origin, {"preprocess": preprocess.describe()})
    warn_of(rows)


@dataclass(frozen=True)
class _Known:
    """An image of an earlier cache."""

    row: Row
    pixels: Pixels
    position: int
    """Of its pixels, if it has any."""


def _known(workspace: Workspace, way: str, empty: Pixels) -> Mapping[str, _Known]:
    """What earlier caches of the same preprocessing hold, by the images' hashes; nothing of damaged ones."""
    found: dict[str, _Known] = {}
    for table in workspace.cache.glob("pixels-*.parquet"):
        try:
            cached, note = read_noted(table)
        except CmonError:
            continue
        pixels = replace(
            empty, path=workspace.local_cache / f"{table.stem}.bin", checksums=read_checksums(cached)
        )
        if note["parameters"].get("way") != way or not is_here(workspace, pixels, cached):
            continue
        rows = cached.to_pylist()
        position = 0
        for row in rows:
            if row["sha256"] is not None:
                found[row["sha256"]] = _Known(row, pixels, position)
            position += row["crc32"] is not None
    return found


def _write_pixels(
    pixels: Pixels,
    files: list[ImageFile],
    known: Mapping[str, _Known],
    preprocess: Preprocess,
    workers: int,
    progress: Progress,
) -> list[Row]:
    """Write the arrays of all readable images one after the other; gives rows of PIXELS.

    Raises CmonError, and writes nothing, when no file is readable.
    """
    rows: list[Row] = []
    new = [file for file in files if file.sha256 not in known]
    with atomic_write(pixels.path) as aside:
        with aside.open("wb") as cache:
            arrays = preprocessing.decode_all(new, preprocess, workers) if new else iter(())
            decoded = iter(progress(arrays, "decoding probe images", len(new)))
            for file in files:
                before = known.get(file.sha256 or "")
                outcome = _copied(before) if before else _decoded(next(decoded), pixels)
                row, array = outcome
                if array is not None:
                    data = np.ascontiguousarray(array).tobytes()
                    cache.write(data)
                    row["crc32"] = zlib.crc32(data)
                rows.append({"sha256": file.sha256, **row})
            next(decoded, None)  # so that the bar of the progress ends
        if all(row["error"] for row in rows):
            raise CmonError(
                f"{files[0].path.parent}: none of the {len(files)} files can be read as an image",
                expected="PNG, JPEG or other image files",
                found=f"{files[0].name}: {rows[0]['error']}",
            )
    return rows


def _decoded(found: preprocessing.Decoded, pixels: Pixels) -> tuple[Row, np.ndarray | None]:
    _, array, error, notes = found
    if array is not None and array.shape != pixels.shape:
        error, array = f"its preprocessing gives {array.shape}, where {pixels.shape} is expected", None
    row = {"crc32": None, "error": error, "notes": None if error else "; ".join(notes) or None}
    return row, None if array is None else array.astype(pixels.dtype, copy=False)


def _copied(before: _Known) -> tuple[Row, np.ndarray | None]:
    row = {name: before.row[name] for name in ("crc32", "error", "notes")}
    if row["crc32"] is None:
        return row, None
    return row, before.pixels[before.position : before.position + 1][0]


def _remove_other_caches(workspace: Workspace, own: Path) -> None:
    """Remove the caches of earlier probing sets and preprocessings."""
    for folder in dict.fromkeys((workspace.cache, workspace.local_cache)):
        for path in folder.glob("pixels-*"):
            if path.stem != own.stem:
                path.unlink(missing_ok=True)
