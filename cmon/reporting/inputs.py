"""What a report is made from: the tables that the other stages stored, checked to belong together."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.keys import GROUP, UNIT_KEYS, sort_rows
from cmon.workspace.selection import Choice
from cmon.workspace.table_files import is_fresh, read_table, stamp
from cmon.workspace.workspace import Workspace

TABLES = ("images", "checkpoints", "shards", "scores", "units", "concepts", "layout")


@dataclass(frozen=True)
class StoredTables:
    """The workspace's tables as DataFrames, in the order of `keys.sort_rows`."""

    images: pd.DataFrame
    checkpoints: pd.DataFrame
    shards: pd.DataFrame
    scores: pd.DataFrame
    units: pd.DataFrame
    concepts: pd.DataFrame
    layout: pd.DataFrame
    """Anchors first."""
    costs: pd.DataFrame
    """Of the other stages; no rows if they were not measured."""
    fidelity: pd.DataFrame
    """Of the layout; no rows if it was not measured."""
    n_concepts: int
    """How many were scored."""

    @property
    def places(self) -> pd.DataFrame:
        """The units of `layout`."""
        return self.layout[self.layout["kind"] == "unit"]

    @property
    def runs(self) -> list[str]:
        """In the order in which they were given."""
        return [str(run) for run in self.units["run"].unique()]


def read(workspace: Workspace) -> StoredTables:
    """Read all tables. Raises CmonError if the layout does not hold the live units that it was asked for."""
    frames = {name: workspace.read(name).to_pandas() for name in TABLES}
    units = sort_rows(_embedded(workspace, frames["units"]))
    anchors = frames["layout"][frames["layout"]["kind"] == "anchor"]
    places = sort_rows(frames["layout"][frames["layout"]["kind"] == "unit"])
    live, placed = (
        set(frame.loc[frame["status"] == "ok", UNIT_KEYS].itertuples(index=False, name=None))
        for frame in (units, places)
    )
    if live != placed:
        raise CmonError(
            f"{workspace.table('layout')}: was not made from these units",
            expected=f"the {len(live)} live units of the table 'units'",
            found=f"{len(placed)} placed units, {len(live & placed)} of them the same",
            hint=f"run `cmon embed {workspace.root}` again",
        )
    return StoredTables(
        frames["images"],
        frames["checkpoints"],
        frames["shards"],
        frames["scores"],
        units,
        frames["concepts"],
        pd.concat([anchors, places.astype(anchors.dtypes)], ignore_index=True),
        earlier_costs(workspace),
        _fidelity(workspace),
        workspace.read("vocabulary").num_rows,
    )


def embedded_runs(workspace: Workspace) -> list[str]:
    """The runs that the report is of, without reading all of the tables."""
    groups = workspace.read("units").select(GROUP).to_pandas()
    return [str(run) for run in _embedded(workspace, groups)["run"].unique()]


def _embedded(workspace: Workspace, units: pd.DataFrame) -> pd.DataFrame:
    """The rows of `units` that the layout is of: the runs, layers and epochs that `cmon embed` was asked for."""
    return Choice.of_parameters(workspace.parameters("layout")).of(units)


def earlier_costs(workspace: Workspace) -> pd.DataFrame:
    """What the other stages cost; a report that depended on its own cost would never be fresh."""
    found = _optional(workspace, "costs", schemas.COSTS)
    return found[found["stage"] != "report"].reset_index(drop=True)


def _fidelity(workspace: Workspace) -> pd.DataFrame:
    """How far the plane keeps what CLIP's space says; empty if another layout was measured."""
    path = workspace.table("fidelity")
    fresh = is_fresh(path, workspace.origin("layout"))
    return (read_table(path) if fresh else schemas.FIDELITY.empty_table()).to_pandas()


def _optional(workspace: Workspace, name: str, schema: pa.Schema) -> pd.DataFrame:
    path = workspace.table(name)
    return (read_table(path) if path.is_file() else schema.empty_table()).to_pandas()


def fidelity_origin(workspace: Workspace) -> str | None:
    """Origin of the table `fidelity`; None if the layout was not measured."""
    return stamp(workspace.table("fidelity")).get("origin")
