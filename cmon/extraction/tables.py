"""The tables `checkpoints` and `shards`: what an extraction read and made, and what it keeps of earlier ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.checkpoints.runs import RunCheckpoints
from cmon.extraction.earlier import Earlier, Rows
from cmon.extraction.shards import Shard
from cmon.workspace import schemas, top_images
from cmon.workspace.files import digest, remove_files
from cmon.workspace.keys import sort_rows
from cmon.workspace.table_files import is_fresh
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)


def write_tables(
    workspace: Workspace,
    earlier: Earlier,
    checkpoints: RunCheckpoints,
    gone: Rows,
    shards: Sequence[Shard],
    parameters: Mapping[str, Any],
) -> None:
    """Write both tables, unless they are so already, with the rows of runs that were not asked for this time.

    Files of activations that are not listed any more are removed. gone: rows of checkpoints that are no longer there.
    parameters: of both tables; `probe` in it is the hash of the images and their preprocessing. Rows with another
    one are not kept, with a warning: their activations cannot be compared with those of now.
    """
    asked, probe = {run for run, _ in checkpoints}, str(parameters["probe"])
    made = {
        "checkpoints": [*(_checkpoint_row(run, checkpoint) for run, checkpoint in checkpoints), *gone],
        "shards": [asdict(shard) for shard in shards],
    }
    _warn_of_lost_rows(earlier.shards, made["shards"], asked, earlier.same_probe("shards", probe))
    rows = {name: [*earlier.of_other_runs(name, asked, probe), *made[name]] for name in made}
    write_rows(workspace, rows, parameters)


def write_rows(workspace: Workspace, rows: Mapping[str, Rows], parameters: Mapping[str, Any]) -> None:
    """Write the tables `checkpoints` and `shards`, unless they are so, and remove unlisted files of activations."""
    inputs = {"images": str(parameters["probe"])}
    for name, schema in (("checkpoints", schemas.CHECKPOINTS), ("shards", schemas.SHARDS)):
        table = pa.Table.from_pylist(rows[name], schema=schema)
        if name == "shards":
            table = pa.Table.from_pandas(sort_rows(table.to_pandas()), schema=schema, preserve_index=False)
        origin = digest(name, table.to_pylist(), parameters)
        if not is_fresh(workspace.table(name), origin):
            workspace.write(workspace.table(name), table, origin, parameters, inputs)
    listed = {workspace.activations(row["run"], row["layer"], row["epoch"]) for row in rows["shards"]}
    remove_files((workspace.root / "activations").glob("*/*/*.parquet"), listed)
    top_images.remove_others(workspace, [row["origin"] for row in rows["shards"]])


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


def _warn_of_lost_rows(before: Rows, now: Rows, asked: set[str], same_probe: bool) -> None:
    """Warn of runs of another probing set, or else of layers and epochs that the runs of now had and lose."""
    others = sorted({row["run"] for row in before} - asked)
    if others and not same_probe:
        logger.warning(
            "runs left out, since they were extracted from other probe images or with another preprocessing: %s; "
            "give them to `cmon extract` again",
            ", ".join(others),
        )
    there = {(row["run"], row["layer"]) for row in now}
    lost = sorted({(row["run"], row["layer"]) for row in before if row["run"] in asked} - there)
    if lost:
        logger.warning(
            "left out, since they were extracted from another model or in another way than is asked for now: %s",
            ", ".join(f"layer {layer} of run {run}" for run, layer in lost[:10]),
        )
