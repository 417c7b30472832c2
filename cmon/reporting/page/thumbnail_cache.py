"""Thumbnails of earlier reports, by the hash of the image's file: a new epoch shows mostly images shown before.

An image's file is read and hashed for every page all the same, so that the page is what it would be without this.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from cmon.reporting.origins import origin
from cmon.reporting.page import thumbnails
from cmon.workspace.schemas import column
from cmon.workspace.table_files import read_if_fresh
from cmon.workspace.workspace import Workspace

THUMBNAILS = pa.schema(
    [
        column("sha256", pa.string(), "of the bytes of the probe image's file"),
        column("picture", pa.list_(pa.uint8()), "the bytes of its thumbnail, a WebP file"),
    ]
)


def read(workspace: Workspace) -> dict[str, bytes]:
    """SHA-256 of a probe image to its thumbnail; nothing if they were made in another way or cannot be read."""
    table = read_if_fresh(_path(workspace), _origin())
    if table is None:
        return {}
    pictures = table["picture"].to_pandas()
    return {key: data.tobytes() for key, data in zip(table["sha256"].to_pylist(), pictures, strict=True)}


def write(workspace: Workspace, made: Mapping[str, bytes]) -> None:
    """Keep these thumbnails and no others."""
    pictures = [np.frombuffer(data, np.uint8) for data in made.values()]
    columns = {"sha256": list(made), "picture": pictures}
    workspace.write(_path(workspace), pa.table(columns, schema=THUMBNAILS), _origin())


def _path(workspace: Workspace) -> Path:
    return workspace.cache / "thumbnails.parquet"


def _origin() -> str:
    return origin("thumbnails", thumbnails.SIZE, thumbnails.QUALITY)
