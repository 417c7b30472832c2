"""What earlier extractions of the same runs left that still holds: layers and epochs that need not be asked for again.

An extraction adds to what is there. A layer that was extracted before stays and gets the new epochs; an epoch that is
not chosen now, or whose checkpoint the training program has removed since, keeps its activations. All of it only while
everything that these depend on is the same: a run's activations are of one way to read it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.checkpoints.runs import RunCheckpoints
from cmon.errors import CmonError
from cmon.extraction.settings import ExtractSettings
from cmon.workspace.files import digest
from cmon.workspace.keys import epoch_text
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Earlier:
    """The tables of earlier extractions, of all runs."""

    checkpoints: Rows = field(default_factory=list)
    shards: Rows = field(default_factory=list)
    way: str | None = None
    """`way_of` the settings that they were made with."""

    def layers(self, run: str, settings: ExtractSettings) -> list[str]:
        """The layers that a run has, if they were extracted in the same way."""
        if self.way != way_of(settings):
            return []
        return list(dict.fromkeys(row["layer"] for row in self.shards if row["run"] == run))


def read_earlier(workspace: Workspace) -> Earlier:
    """Empty where there are no tables, or none that can be read: then everything is made again."""
    try:
        parameters = workspace.parameters("shards")
        return Earlier(
            workspace.read("checkpoints").to_pylist(),
            workspace.read("shards").to_pylist(),
            parameters.get("way"),
        )
    except CmonError:
        return Earlier()


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
