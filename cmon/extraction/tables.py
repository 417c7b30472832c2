"""The tables `checkpoints` and `shards`: what an extraction read and made, and what it keeps of earlier ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.checkpoints.runs import RunCheckpoints
from cmon.extraction.shards import Shard
from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.keys import epoch_text
from cmon.workspace.workspace import Workspace, is_fresh, read_table, stamp

logger = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


def read_known_checkpoints(workspace: Workspace) -> Rows:
    """The table `checkpoints` of an earlier extraction; empty if there is none, or of another schema version."""
    path = workspace.table("checkpoints")
    if stamp(path).get("schema_version") != schemas.VERSION:
        return []
    return read_table(path).to_pylist()


def write_tables(
    workspace: Workspace,
    checkpoints: RunCheckpoints,
    shards: Sequence[Shard],
    parameters: Mapping[str, Any],
) -> None:
    """Write both tables, unless they are so already, and keep the rows of runs that were not asked for this time.

    parameters: of both tables; `probe` in it is the hash of the images and their preprocessing. Rows with another
    one are not kept, with a warning: their activations cannot be compared with those of now.
    """
    asked = {run for run, _ in checkpoints}
    before, same_probe = _read(workspace, "shards"), _same_probe(workspace, "shards", parameters)
    left_out = {(run, one.epoch) for run, one in checkpoints if one.left_out}
    _warn_of_lost_rows(before, shards, asked, left_out, same_probe)
    made = {
        "checkpoints": [_checkpoint_row(run, checkpoint) for run, checkpoint in checkpoints],
        "shards": [asdict(shard) for shard in shards],
    }
    for name, schema in (("checkpoints", schemas.CHECKPOINTS), ("shards", schemas.SHARDS)):
        kept = []
        if _same_probe(workspace, name, parameters):
            kept = [row for row in _read(workspace, name) if row["run"] not in asked]
        table = pa.Table.from_pylist([*kept, *made[name]], schema=schema)
        origin = digest(name, table.to_pylist(), parameters)
        if not is_fresh(workspace.table(name), origin):
            workspace.write(workspace.table(name), table, origin, parameters)


def _checkpoint_row(run: str, checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "run": run,
        "checkpoint": checkpoint.name,
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "sha256": checkpoint.sha256,
        "kind": checkpoint.kind,
        "wrapper": checkpoint.wrapper,
        "weights": checkpoint.weights,
        "epoch_from": checkpoint.epoch_from,
        "prefix": checkpoint.prefix,
        "tensors": checkpoint.tensors,
        "tensors_matched": checkpoint.tensors_matched,
        "signature": checkpoint.signature,
        "status": checkpoint.status,
        "error": checkpoint.error,
    }


def _read(workspace: Workspace, name: str) -> Rows:
    """The rows of an earlier extraction; empty if there was none."""
    path = workspace.table(name)
    return read_table(path).to_pylist() if path.is_file() else []


def _same_probe(workspace: Workspace, name: str, parameters: Mapping[str, Any]) -> bool:
    """Whether an earlier table is of the same images and preprocessing."""
    before = stamp(workspace.table(name)).get("parameters", {})
    return before.get("probe") == parameters["probe"]


def _warn_of_lost_rows(
    before: Rows,
    shards: Sequence[Shard],
    asked: set[str],
    left_out: set[tuple[str, float | None]],
    same_probe: bool,
) -> None:
    """Warn of runs of another probing set, or else of layers and epochs that the runs of now had and lose.

    left_out: (run, epoch) of checkpoints that were not chosen.
    """
    others = sorted({row["run"] for row in before} - asked)
    if others and not same_probe:
        logger.warning(
            "runs left out, since they were extracted from other probe images or with another preprocessing: %s; "
            "give them to `cmon extract` again",
            ", ".join(others),
        )
        return
    now = {(shard.run, shard.layer) for shard in shards}
    runs = {run for run, _ in now}
    layers = sorted({(row["run"], row["layer"]) for row in before if row["run"] in runs} - now)
    if layers:
        logger.warning(
            "left out, since they were not asked for again: %s; give all layers of a run at once (what was extracted "
            "before is fresh)",
            ", ".join(f"layer {layer} of run {run}" for run, layer in layers[:10]),
        )
    lost = sorted({(row["run"], row["epoch"]) for row in before} & left_out)
    if lost:
        logger.warning(
            "left out, since --epoch does not choose them now: %s; give all of a run at once (what was extracted "
            "before is fresh)",
            ", ".join(f"epoch {epoch_text(epoch)} of run {run}" for run, epoch in lost[:10]),
        )
