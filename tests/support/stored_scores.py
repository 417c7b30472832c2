"""The tables `units`, `concepts` and `scores` of a workspace, from rows made in code: files as `score` leaves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from cmon.scoring.groups import Group, remove_others, scores_table, write_listing
from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.keys import GROUP
from cmon.workspace.workspace import Workspace


def write(
    workspace: Workspace,
    units: pa.Table,
    concepts: pa.Table,
    shards: Iterable[Mapping[str, Any]] = (),
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """shards: rows of that table, where there is one.

    The tables `images` and `vocabulary` are made empty where they are missing.
    """
    for name in ("images", "vocabulary"):
        if not workspace.table(name).is_file():
            empty = (schemas.IMAGES if name == "images" else schemas.vocabulary(1)).empty_table()
            workspace.write(workspace.table(name), empty, f"no {name}")
    of = {tuple(row[key] for key in GROUP): row for row in shards}
    inputs = {name: workspace.origin(name) for name in ("images", "vocabulary")}
    frames = {name: table.to_pandas() for name, table in (("units", units), ("concepts", concepts))}
    rows = {name: dict(list(frame.groupby(GROUP, sort=False))) for name, frame in frames.items()}
    groups = []
    for key, own in rows["units"].items():
        shard = of.get(key) or {**dict(zip(GROUP, key, strict=True)), "origin": "scored elsewhere"}
        best = rows["concepts"].get(key, frames["concepts"].iloc[:0])
        group = Group(shard, digest(shard["origin"], own.to_json(), best.to_json()))
        tables = {
            name: pa.Table.from_pandas(frame, schema=getattr(schemas, name.upper()), preserve_index=False)
            for name, frame in (("units", own), ("concepts", best))
        }
        group.write(workspace, tables, inputs)
        groups.append(group)
    write_listing(workspace, scores_table(workspace, groups), parameters or {})
    remove_others(workspace, groups)


def rewrite(workspace: Workspace, units: pd.DataFrame) -> None:
    """The same scores with other `units`, as if they had been scored so."""
    table = pa.Table.from_pandas(units, schema=schemas.UNITS, preserve_index=False)
    shards = workspace.read("shards").to_pylist() if workspace.table("shards").is_file() else ()
    write(workspace, table, workspace.read("concepts"), shards, workspace.parameters("scores"))
