"""Each unit's most activating images, kept in the cache: a layer's labels need a hundredth of its activations.

`extract` finds them while the activations are in memory; `score` reads all activations where they are not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.table_files import checked_stamp, read_if_fresh
from cmon.workspace.workspace import Workspace

KEPT = 256
"""Images kept of each unit: CLIP-Dissect's functions look at 100, and where activations are rounded, as in bf16, many
images share the last of them. All who share it must be there, or nobody can know which of them count."""
WORTHWHILE = 4 * KEPT
"""Probing images from which on it is worth the file."""


@dataclass(frozen=True)
class TopImages:
    """Of K units of one run, layer and epoch; T images of each: KEPT, or all there are."""

    images: np.ndarray
    """(K,T) int32: rows of the activations, most activating first, of equally activating ones the first."""
    values: np.ndarray
    """(K,T) float32: their activations, falling. What is not a number counts as 0, and no number is infinite."""
    least: np.ndarray
    """(K,) float32: the smallest activation of all images, read in the same way."""
    finite: np.ndarray
    """(K,) bool: whether all activations are finite numbers."""


def write(
    workspace: Workspace, run: str, layer: str, epoch: float, ids: np.ndarray, found: TopImages
) -> None:
    """Keep them; the activations are written. ids: (N,) int32 `image_id` of the activations' rows."""
    note = checked_stamp(workspace.activations(run, layer, epoch))
    columns = [
        pa.array(found.finite),
        pa.array(found.least),
        _lists(found.images.astype(np.int32, copy=False)),
        _lists(found.values),
    ]
    table = pa.Table.from_arrays(columns, schema=schemas.TOP_IMAGES)
    workspace.write(_path(workspace, note["origin"]), table, _origin(note, ids))


def read(workspace: Workspace, shard: Mapping[str, Any], ids: np.ndarray) -> TopImages | None:
    """Those of a row of the table `shards`; None where they are not there, or not of the activations that are.

    ids: (N,) int32 `image_id` of the images that could be read, in their order.
    """
    try:
        note = checked_stamp(workspace.activations(shard["run"], shard["layer"], shard["epoch"]))
    except CmonError:  # who reads the activations themselves is told
        return None
    if note["origin"] != shard["origin"]:
        return None
    table = read_if_fresh(_path(workspace, note["origin"]), _origin(note, ids))
    if table is None:
        return None
    images, values = (
        table[name].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
        for name in ("images", "values")
    )
    return TopImages(images, values, table["least"].to_numpy(), table["finite"].to_numpy())


def remove_others(workspace: Workspace, origins: Iterable[str]) -> None:
    """Remove those of other activations than the ones with these origins."""
    kept = {_path(workspace, origin) for origin in origins}
    for path in workspace.cache.glob("top-images-*.parquet"):
        if path not in kept:
            path.unlink(missing_ok=True)


def _path(workspace: Workspace, origin: str) -> Path:
    """origin: of the activations."""
    return workspace.cache / f"top-images-{origin[:16]}.parquet"


def _origin(note: Mapping[str, Any], ids: np.ndarray) -> str:
    """note: of the file of activations. By its content, too: another device gives other values to one origin."""
    of_images = hashlib.sha256(np.ascontiguousarray(ids, np.int32).tobytes()).hexdigest()
    return digest("top images", note["origin"], note["content"], of_images, KEPT)


def _lists(rows: np.ndarray) -> pa.ListArray:
    edges = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(edges), pa.array(np.ascontiguousarray(rows).ravel()))
