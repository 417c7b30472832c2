"""A scored workspace in which units die, come to life and are away, and the layout that `embed` makes of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cmon.embedding.stage import EmbedResult, EmbedSettings, embed
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables
from tests.support.scored_tables import unasked

RUNS, LAYERS = {"good": 3, "poor": 2}, {"early": 12, "late": 20}


def dead(row: pd.Series) -> bool:
    """A unit that is dead from the start, one that dies, one that comes to life, one that is away for an epoch."""
    unit, epoch = row["unit"], row["epoch"]
    return unit == 3 or (unit == 4 and epoch > 0) or (unit == 6 and epoch < 1) or (unit == 7 and epoch == 1)


def scored(folder: Path, runs: dict[str, int] | None = None) -> Workspace:
    return scored_tables.write(folder, *scored_tables.units(runs or RUNS, LAYERS, dead))


def layout_of(workspace: Workspace) -> pd.DataFrame:
    return workspace.read("layout").to_pandas()


def units_of(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["kind"] == "unit"].reset_index(drop=True)


def run(workspace: Workspace, settings: EmbedSettings | None = None, **more: object) -> EmbedResult:
    return embed(workspace, None, unasked, settings or EmbedSettings(), **more)  # type: ignore[arg-type]
