"""The files of `units` and `concepts`, one each for a run, layer and epoch, and the table `scores` that lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cmon.errors import CmonError
from cmon.scoring import redundancy, status
from cmon.workspace import schemas
from cmon.workspace.files import digest, remove_files
from cmon.workspace.keys import GROUP
from cmon.workspace.table_files import are_fresh, is_fresh
from cmon.workspace.workspace import Workspace

_FILES = ("concepts", "units")
"""In the order of writing."""


@dataclass(frozen=True)
class Group:
    """The units of one run, layer and epoch."""

    shard: Mapping[str, Any]
    """Their row of the table `shards`."""
    origin: str
    """Hash of all that their files depend on."""

    def path(self, workspace: Workspace, name: str) -> Path:
        return workspace.group_file(name, *(self.shard[key] for key in GROUP))

    def files(self, workspace: Workspace) -> list[tuple[Path, str]]:
        """Its files of units and concepts, each with its origin."""
        return [(self.path(workspace, name), self.origin) for name in _FILES]

    def write(self, workspace: Workspace, tables: Mapping[str, pa.Table], inputs: Mapping[str, str]) -> None:
        """tables: `units` and `concepts`. inputs: origins of the tables `images` and `vocabulary`."""
        for name in _FILES:
            workspace.write(self.path(workspace, name), tables[name], self.origin, inputs=inputs)


def find_stale(workspace: Workspace, groups: Sequence[Group]) -> list[Group]:
    """Those of which a file is missing, or of something else."""
    files = [file for group in groups for file in group.files(workspace)]
    fresh = dict(zip((path for path, _ in files), are_fresh(files), strict=True))
    return [group for group in groups if not all(fresh[path] for path, _ in group.files(workspace))]


def plan_groups(shards: Iterable[Mapping[str, Any]], scoring: str, *, against_first: bool) -> list[Group]:
    """scoring: hash of the images, the concepts and the parameters.

    against_first: whether each is compared with the first epoch of its run and layer, and so depends on that, too.
    """
    listed = list(shards)
    firsts = {key: shard["origin"] for key, shard in first_of(listed).items()} if against_first else {}
    return [
        Group(
            shard,
            digest(scoring, [shard[key] for key in GROUP], shard["origin"], firsts.get(trajectory(shard))),
        )
        for shard in listed
    ]


def trajectory(shard: Mapping[str, Any]) -> tuple[str, str]:
    """Its run and layer."""
    return shard["run"], shard["layer"]


def first_of(shards: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The shard of the first epoch of every run and layer."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for shard in shards:
        known = found.setdefault(trajectory(shard), shard)
        if shard["epoch"] < known["epoch"]:
            found[trajectory(shard)] = shard
    return found


def scores_table(workspace: Workspace, groups: Sequence[Group]) -> pa.Table:
    """Schema SCORES, in the groups' order. Only the units of those that the table did not list yet are counted."""
    known = {row["origin"]: row for row in _listed(workspace)}
    images = workspace.read("images")["status"].to_pylist().count("ok")
    chance = redundancy.compared_images(images) / images if images else None
    rows = []
    for group in groups:
        row = known.get(group.origin)
        if row is None:
            units = workspace.read_group("units", {**group.shard, "origin": group.origin})
            row = {**status.count_units(units), "activations": group.shard["origin"], "origin": group.origin}
            row["overlap by chance"] = None if row["overlap"] is None else chance
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schemas.SCORES)


def write_listing(workspace: Workspace, table: pa.Table, parameters: Mapping[str, Any]) -> bool:
    """Write the table `scores`, unless it is there and the same; whether it was written."""
    inputs = {name: workspace.origin(name) for name in ("images", "vocabulary")}
    origin = digest("scores", table.to_pylist(), parameters, inputs, schemas.VERSION)
    path = workspace.table("scores")
    if is_fresh(path, origin):
        return False
    workspace.write(path, table, origin, parameters, inputs)
    return True


def remove_others(workspace: Workspace, groups: Sequence[Group]) -> None:
    """Remove the files that the table `scores` does not list, so that a folder read as one data set is the table."""
    for name in _FILES:
        kept = {group.path(workspace, name) for group in groups}
        remove_files((workspace.root / name).glob("*/*/*.parquet"), kept)


def _listed(workspace: Workspace) -> list[dict[str, Any]]:
    """The rows of an earlier scoring; none if it cannot be read: then everything is counted again."""
    try:
        return workspace.read("scores").to_pylist()
    except CmonError:
        return []
