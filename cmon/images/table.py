"""The table `images`: a row for each file of the probing set, read or not, and what is to be said of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cmon.images.files import ImageFile
from cmon.workspace import schemas, stored_paths

logger = logging.getLogger(__name__)

Row = dict[str, Any]


def make_rows(
    files: Sequence[ImageFile], outcomes: Iterable[tuple[str | None, str | None]], root: Path
) -> list[Row]:
    """Rows of schemas.IMAGES. outcomes: of each file (error, notes). root: the workspace's folder."""
    return [
        {
            "image_id": image_id,
            "path": stored_path(file),
            "from_workspace": stored_paths.from_workspace(stored_paths.absolute(file.path), root),
            "sha256": file.sha256,
            "status": "skipped" if error else "ok",
            "error": error,
            "notes": notes,
        }
        for image_id, (file, (error, notes)) in enumerate(zip(files, outcomes, strict=True))
    ]


def to_table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schemas.IMAGES)


def stored_path(file: ImageFile) -> str:
    """The file's path as the table has it."""
    return stored_paths.origin_text(file.path)


def warn_of(rows: Sequence[Mapping[str, Any]]) -> None:
    """Say what was decided to read images, and how many are copies of each other."""
    read = [row for row in rows if row["status"] == "ok"]
    noted = Counter(note for row in read for note in (row.get("notes") or "").split("; ") if note)
    for note, number in noted.items():
        example = next(row["path"] for row in read if note in (row.get("notes") or ""))
        logger.warning("probe images: %s: %d of %d, for example %s", note, number, len(read), example)
    times = Counter(row["sha256"] for row in read)
    copies = len(read) - len(times)
    if copies:
        most = times.most_common(1)[0][0]
        first, second = [row["path"] for row in read if row["sha256"] == most][:2]
        logger.warning(
            "probe images that are copies of others, byte for byte: %d of %d, for example %s and %s: each counts, so "
            "that they stand side by side among a unit's top images; leave the copies out if that is not wanted",
            copies,
            len(read),
            first,
            second,
        )
