"""What earlier extractions of the same runs left that still holds: layers and epochs that need not be asked for again.

An extraction adds to what is there. A layer that was extracted before stays and gets the new epochs; an epoch that is
not chosen now, or whose checkpoint the training program has removed since, keeps its activations. All of it only while
everything that these depend on is the same: a run's activations are of one way to read it.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.checkpoints.runs import RunCheckpoints
from cmon.extraction.settings import ExtractSettings
from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.keys import epoch_text
from cmon.workspace.table_files import read_noted, stamp
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Earlier:
    """The tables `checkpoints` and `shards` of earlier extractions, of all runs."""

    rows: Mapping[str, Rows]
    """By the table's name; none of a table that is not there, or of another version of cmon."""
    parameters: Mapping[str, Mapping[str, Any]]

    @property
    def checkpoints(self) -> Rows:
        return self.rows["checkpoints"]

    @property
    def shards(self) -> Rows:
        return self.rows["shards"]

    def layers(self, run: str, settings: ExtractSettings) -> list[str]:
        """The layers that a run has, if they were extracted in the same way."""
        if self.parameters["shards"].get("way") != way_of(settings):
            return []
        return list(dict.fromkeys(row["layer"] for row in self.shards if row["run"] == run))

    def same_probe(self, name: str, probe: str) -> bool:
        """Whether a table is of these images and this preprocessing. probe: their hash."""
        return self.parameters[name].get("probe") == probe

    def of_other_runs(self, name: str, runs: Container[str], probe: str) -> Rows:
        """A table's rows of other runs, if they can be compared with those of now."""
        return (
            [row for row in self.rows[name] if row["run"] not in runs] if self.same_probe(name, probe) else []
        )


def read_earlier(workspace: Workspace) -> Earlier:
    """Raises CmonError when one of the tables is damaged."""
    rows: dict[str, Rows] = {}
    parameters: dict[str, Mapping[str, Any]] = {}
    for name in ("checkpoints", "shards"):
        path = workspace.table(name)
        current = stamp(path).get("schema_version") == schemas.VERSION
        table, note = read_noted(path) if current else (None, {"parameters": {}})
        rows[name] = [] if table is None else table.to_pylist()
        parameters[name] = note["parameters"]
    return Earlier(rows, parameters)


def way_of(settings: ExtractSettings) -> str:
    """Equal for settings that read the same checkpoint, layer and images to the same activations."""
    return digest(
        settings.model,
        dict(settings.model_arguments),
        settings.weights,
        settings.pooling,
        settings.image_size,
        settings.mean,
        settings.std,
        settings.precision,
    )


def not_read_now(earlier: Earlier, found: RunCheckpoints) -> RunCheckpoints:
    """Checkpoints whose activations may be there though they are not read now: left out by choice, or gone.

    found: those of now. Of a run that was trained again under its name, none are given, with a warning: some epoch
    that is there now must have the same bytes as then, and none may have others.
    """
    chosen = [(run, replace(one, error=None, left_out=False)) for run, one in found if one.left_out]
    gone: RunCheckpoints = []
    for run in dict.fromkeys(run for run, _ in found):
        now = {
            one.epoch: one.sha256 for name, one in found if name == run and one.status in ("ok", "left out")
        }
        rows = [row for row in earlier.checkpoints if row["run"] == run and row["status"] in ("ok", "gone")]
        missing = [row for row in rows if row["epoch"] not in now]
        shared = [row for row in rows if row["epoch"] in now]
        if missing and not (shared and all(now[row["epoch"]] == row["sha256"] for row in shared)):
            logger.warning(
                "%s: left out, since their checkpoints are no longer there, and %s: epoch %s",
                run,
                "the others are of another training than then"
                if shared
                else "nothing tells that they are of the training of now",
                ", ".join(epoch_text(row["epoch"]) for row in missing),
            )
            continue
        gone += [(run, _of_row(row)) for row in missing]
    return chosen + gone


def is_gone(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint that `not_read_now` gave is no longer there."""
    return checkpoint.path == _NOWHERE


_NOWHERE = Path()


def _of_row(row: Mapping[str, Any]) -> Checkpoint:
    """What planning needs of a checkpoint that is gone."""
    return Checkpoint(
        _NOWHERE,
        row["checkpoint"],
        sha256=row["sha256"],
        epoch=row["epoch"],
        step=row["step"],
        signature=row["signature"],
        weights=row["weights"],
    )


def rows_of_gone(earlier: Earlier, gone: Iterable[tuple[str, Checkpoint]]) -> Rows:
    """Their rows of the table `checkpoints`, with the status 'gone'."""
    wanted = {(run, one.epoch) for run, one in gone}
    return [
        {**row, "status": "gone", "error": "no longer there; what was extracted of it is kept"}
        for row in earlier.checkpoints
        if (row["run"], row["epoch"]) in wanted and row["status"] in ("ok", "gone")
    ]
