"""What all passes over the same images and concepts share, kept in the workspace's cache.

With it a new checkpoint costs what its own units cost: the pseudo-units are not scored again.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pyarrow as pa
import torch

from cmon.scoring.labelling import Shared
from cmon.workspace import schemas
from cmon.workspace.table_files import read_if_fresh
from cmon.workspace.workspace import Workspace


def read_shared(workspace: Workspace, origin: str) -> Shared:
    """What an earlier scoring with the same origin shared; empty if there was none, or it is damaged."""
    path = workspace.cache / _name(origin)
    shared = Shared()
    table = read_if_fresh(path, origin)
    if table is None:
        return shared
    values = table["values"].combine_chunks()
    for row, keys in enumerate(table.select(["part", "name", "shape"]).to_pylist()):
        numbers = torch.from_numpy(values[row].values.to_numpy().copy()).view(keys["shape"])
        getattr(shared, keys["part"])[keys["name"]] = numbers
    return shared


def write_shared(workspace: Workspace, origin: str, shared: Shared) -> None:
    """Keep it for later scorings with the same origin."""
    rows = [
        (part, name, tensor.numpy())
        for part in ("products", "null")
        for name, tensor in getattr(shared, part).items()
    ]
    if not rows:
        return
    numbers = [array.ravel() for _, _, array in rows]
    edges = accumulate((len(one) for one in numbers), initial=0)
    columns = [
        pa.array([part for part, _, _ in rows]),
        pa.array([name for _, name, _ in rows]),
        pa.array([array.shape for _, _, array in rows], pa.list_(pa.int64())),
        pa.ListArray.from_arrays(pa.array(list(edges), pa.int32()), pa.array(np.concatenate(numbers))),
    ]
    path = workspace.cache / _name(origin)
    cast = [part.cast(field.type) for part, field in zip(columns, schemas.SHARED, strict=True)]
    table = pa.Table.from_arrays(cast, schema=schemas.SHARED)
    workspace.write(path, table, origin)


def remove_other_shared(workspace: Workspace, origin: str) -> None:
    """Remove what scorings with other images, concepts or parameters shared, also those that were stopped."""
    for other in workspace.cache.glob("shared-*.parquet"):
        if other.name != _name(origin):
            other.unlink()


def _name(origin: str) -> str:
    return f"shared-{origin[:16]}.parquet"
