"""What the stages say of each run, layer and epoch: the numbers of the terminal's lines and of trackers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cmon.kept_options import Call
from cmon.reporting import inputs, tracking
from cmon.reporting.inputs import StoredTables
from cmon.reporting.layers import main_layer
from cmon.reporting.tables import d_anchor, diversity, movement
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.keys import GROUP
from cmon.workspace.workspace import Workspace

_MOVEMENT = ["born", "lost", "relabelled"]
_DIVERSITY = ["labels", "entropy", "effective_labels"]


@dataclass(frozen=True)
class Measures:
    """One layer of a run at an epoch. None where a stage that would say it was not run, or there is nothing to say."""

    run: str
    layer: str
    epoch: float
    step: int | None
    """Optimizer steps that the checkpoint counts."""
    units: int
    interpretable_units: int | None = None
    """Units whose label beats chance,"""
    interpretable: float | None = None
    """and their share of all, 0 to 1."""
    born: int | None = None
    """Units that became interpretable since the epoch before,"""
    lost: int | None = None
    """that ceased to be,"""
    relabelled: int | None = None
    """and that are so at both, under another label."""
    d_anchor: float | None = None
    """As the report's table of that name has it,"""
    d_anchor_clip: float | None = None
    labels: int | None = None
    """and these as its table `diversity`: distinct labels of interpretable units,"""
    entropy: float | None = None
    """in bits,"""
    effective_labels: float | None = None
    """and as many equally frequent labels."""


@dataclass(frozen=True)
class Findings:
    """What a round leaves in the workspace, for whoever shows it."""

    measures: tuple[Measures, ...]
    """Of all runs, layers and epochs that the last stage is of, in the order of its tables."""
    stored: StoredTables | None = None
    """The tables; None where nothing was placed."""
    tracked: tuple[TrackedUnit, ...] = ()
    """The units that the report tracks, or would."""
    images: Path | None = None
    """Where the probe images are now, if not where they were."""


def read_findings(workspace: Workspace, calls: Sequence[Call]) -> Findings:
    """Read what the stages made. calls: those that were run.

    Raises CmonError when the tables do not belong together.
    """
    steps, stages = _steps(workspace), {call.stage: call.options for call in calls}
    if "embed" in stages:
        stored = inputs.read(workspace)
        table = _of_units(stored.units).merge(_of_layout(stored), on=GROUP, how="left")
        options = stages.get("report", {})
        if options.get("track"):
            tracked = tracking.requested(stored.units, options["track"])
        else:
            main = main_layer(stored.units, stored.shards, options.get("main_layer"))
            tracked = tracking.choose(stored.units, stored.places, main)
        return Findings(_rows(table, steps), stored, tuple(tracked), options.get("images"))
    scored = "score" in stages
    table = _of_units(workspace.frame("units")) if scored else workspace.frame("shards")[[*GROUP, "units"]]
    return Findings(_rows(table, steps))


def _steps(workspace: Workspace) -> dict[tuple[str, float], int]:
    read = workspace.frame("checkpoints")
    known = read[read["status"].isin(["ok", "gone"]) & read["step"].notna()]
    return {(row.run, row.epoch): int(row.step) for row in known.itertuples()}


def _of_units(units: pd.DataFrame) -> pd.DataFrame:
    flags = units[GROUP].assign(units=1, interpretable_units=units["interpretable"])
    table = flags.groupby(GROUP, sort=False).sum().astype(int).reset_index()
    return table.assign(interpretable=table["interpretable_units"] / table["units"])


def _of_layout(stored: StoredTables) -> pd.DataFrame:
    # The report's own functions, so that its numbers are these; of the intervals nothing is needed.
    distances = d_anchor.d_anchor(stored.units, stored.places, seed=0, confidence=0.95, resamples=1)
    moved = movement.layer_movement(stored.units, stored.places)
    varied = diversity.layer_diversity(stored.units, stored.layout, stored.scores)
    return (
        distances[[*GROUP, "d_anchor", "d_anchor_clip"]]
        .merge(moved[[*GROUP, *_MOVEMENT]], on=GROUP)
        .merge(varied[[*GROUP, *_DIVERSITY]], on=GROUP)
    )


def _rows(table: pd.DataFrame, steps: Mapping[tuple[str, float], int]) -> tuple[Measures, ...]:
    """table: the columns GROUP and any of the others of `Measures`."""
    whole = ("units", "interpretable_units", *_MOVEMENT, "labels")
    columns = {
        name: [_plain(value, name in whole) for value in table[name]] for name in table if name not in GROUP
    }
    return tuple(
        Measures(
            str(run),
            str(layer),
            float(epoch),
            steps.get((run, epoch)),
            **{str(name): values[at] for name, values in columns.items()},
        )
        for at, (run, layer, epoch) in enumerate(table[GROUP].itertuples(index=False, name=None))
    )


def _plain(value: Any, whole: bool) -> Any:
    """A number of Python's own; None for no number."""
    if value is None or math.isnan(value):
        return None
    return int(value) if whole else float(value)
