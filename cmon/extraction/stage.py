"""Stage 1: from checkpoints and probe images to pooled activations.

checkpoints of every run --inspect--> table `checkpoints`
probe images --decode once--> pixel cache, table `images`
pixels x checkpoint --network, hooks--> activations/RUN/LAYER/EPOCH, listed in table `shards`
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from cmon.checkpoints.checkpoint import Checkpoint, read_unchanged
from cmon.errors import CmonError
from cmon.extraction import hooks, receipts
from cmon.extraction.fitting import Fit, check_fit, fit_networks
from cmon.extraction.hooks import LayerOutput
from cmon.extraction.network import load_weights
from cmon.extraction.settings import ExtractResult, ExtractSettings, Plan
from cmon.images import pixel_cache, preprocessing
from cmon.images.files import find_images, list_paths
from cmon.images.pixel_cache import Probe
from cmon.progress import Progress, silent
from cmon.workspace import costs, schemas
from cmon.workspace.files import digest
from cmon.workspace.workspace import Workspace, is_fresh, read_table, stamp

logger = logging.getLogger(__name__)


class Unreadable(CmonError):
    """A checkpoint that could be inspected can no longer be read, or no longer fits."""


@dataclass(frozen=True)
class Job:
    """One checkpoint to run, and the activation files to write from it."""

    checkpoint: Checkpoint
    shards: list[dict[str, Any]]


def extract(
    workspace: Workspace,
    folders: Mapping[str, Path],
    probe_folder: Path,
    settings: ExtractSettings,
    progress: Progress = silent,
) -> ExtractResult:
    """Extract the activations that are missing or stale, and write the tables that list them.

    folders: a folder of checkpoints by the run's name.
    Raises CmonError when a folder, layer or model does not exist, or nothing can be read from it.
    """
    files = find_images(probe_folder)  # first: that it is not there is known at once
    fitted = fit_networks(folders, settings, _rows_before(workspace), progress)
    found, fits, preprocess = fitted.checkpoints, fitted.fits, fitted.preprocess

    with costs.measured(workspace, "extract", "images x checkpoints") as work:
        probe = pixel_cache.decode_probe(workspace, files, preprocess, settings.workers, progress)
        shards = [
            shard
            for run, checkpoint in found
            if checkpoint.error is None
            for shard in _shards(run, checkpoint, fits[checkpoint.signature].outputs, probe, settings)
        ]
        stale = [
            shard for shard in shards if not is_fresh(workspace.activations(*_place(shard)), shard["origin"])
        ]
        jobs = _jobs(found, stale)
        failed: dict[Path, CmonError] = {}

        def work_through() -> Iterator[int]:
            for job in jobs:
                fit = fits[job.checkpoint.signature]
                try:
                    yield from _run(workspace, job, fit, probe, preprocess, settings)
                except Unreadable as error:  # a training program may remove or rewrite what was found
                    failed[job.checkpoint.path] = error

        steps = work_through()
        batches = -(-len(probe.image_ids) // settings.batch_size)
        for images_done in progress(steps, "extracting activations", len(jobs) * batches):
            work.items += images_done
        found = [(run, one.skipped(failed[one.path]) if one.path in failed else one) for run, one in found]
        left = {(run, one.epoch) for run, one in found if one.error is None}
        shards = [shard for shard in shards if (shard["run"], shard["epoch"]) in left]
        stale = [shard for shard in stale if (shard["run"], shard["epoch"]) in left]
        if not shards:
            raise next(iter(failed.values()))
        _write_tables(workspace, found, shards, probe, settings)
    if not failed:  # else what failed for now would count as seen
        hashes = [(file.name, file.sha256) for file in files]
        receipts.write(workspace, [(run, one.name, one.sha256) for run, one in found], hashes, settings)
    return ExtractResult(
        sum(one.error is None for _, one in found),
        [(f"{run}/{one.name}", str(one.error)) for run, one in found if one.status == "skipped"],
        sum(one.status == "redundant" for _, one in found),
        len(probe.image_ids),
        probe.skipped,
        len(stale),
        len(shards) - len(stale),
    )


def plan(
    folders: Mapping[str, Path],
    probe_folder: Path,
    settings: ExtractSettings,
    progress: Progress = silent,
) -> Plan:
    """What `extract` would read, and what the layers give; looks at every checkpoint, writes nothing."""
    files = list_paths(probe_folder)
    fitted = fit_networks(folders, settings, (), progress)
    return Plan(fitted.checkpoints, next(iter(fitted.fits.values())).outputs, len(files))


def _rows_before(workspace: Workspace) -> list[dict[str, Any]]:
    """The table `checkpoints` as an earlier extraction left it, if there was one."""
    path = workspace.table("checkpoints")
    if stamp(path).get("schema_version") != schemas.VERSION:
        return []
    return read_table(path).to_pylist()


def _shards(
    run: str, checkpoint: Checkpoint, outputs: Sequence[LayerOutput], probe: Probe, settings: ExtractSettings
) -> list[dict[str, Any]]:
    """The activation files of a checkpoint, each with the origin of everything that it depends on."""
    network = [settings.model, dict(settings.model_arguments), settings.pooling, settings.precision]
    network.append(settings.weights)
    return [
        {
            "run": run,
            "layer": output.name,
            "epoch": checkpoint.epoch,
            "units": output.units,
            "axes": output.axes,
            "pooling": settings.pooling,
            "origin": digest(
                checkpoint.sha256, output.name, output.axes, network, probe.origin, schemas.VERSION
            ),
        }
        for output in outputs
    ]


def _place(shard: Mapping[str, Any]) -> tuple[str, str, float]:
    return shard["run"], shard["layer"], shard["epoch"]


def _jobs(found: Sequence[tuple[str, Checkpoint]], stale: Sequence[dict[str, Any]]) -> list[Job]:
    """The checkpoints that have a stale file, with those files."""
    jobs = []
    for run, checkpoint in found:
        if checkpoint.error is None:
            own = [shard for shard in stale if (shard["run"], shard["epoch"]) == (run, checkpoint.epoch)]
            jobs += [Job(checkpoint, own)] if own else []
    return jobs


def _run(
    workspace: Workspace,
    job: Job,
    fit: Fit,
    probe: Probe,
    preprocess: preprocessing.Preprocess,
    settings: ExtractSettings,
) -> Iterator[int]:
    """Run one checkpoint over all probe images and write its activation files; gives the images per batch."""
    try:
        tensors = read_unchanged(job.checkpoint, settings.trust_pickle)
        check_fit(load_weights(fit.network, tensors, settings.model), preprocess, settings)
    except CmonError as error:
        raise Unreadable(error.line) from error
    del tensors
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    network = fit.network.to(settings.device, dtype).to(memory_format=torch.channels_last)
    wanted = {shard["layer"] for shard in job.shards}
    outputs = [output for output in fit.outputs if output.name in wanted]
    kept = {output.name: np.empty((len(probe.image_ids), output.units), np.float32) for output in outputs}
    with hooks.recording(network, outputs, settings.pooling) as activations:
        for rows in preprocessing.batches(len(probe.image_ids), settings.batch_size):
            batch = preprocess.batch(probe.pixels[rows]).to(settings.device, dtype)
            for layer, pooled in activations(batch).items():
                kept[layer][rows] = pooled.cpu().numpy()
            yield rows.stop - rows.start
    for shard in job.shards:
        values = kept[shard["layer"]]
        columns = [pa.array(probe.image_ids, pa.int32()), schemas.vectors(values)]
        table = pa.Table.from_arrays(columns, schema=schemas.activations(values.shape[1]))
        workspace.write(
            workspace.activations(*_place(shard)), table, shard["origin"], {"axes": shard["axes"]}
        )


def _warn_of_dropped(before: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> None:
    """Layers of the runs of now that an earlier extraction had, and this one was not asked for."""
    now = {(row["run"], row["layer"]) for row in rows}
    runs = {run for run, _ in now}
    dropped = sorted({(row["run"], row["layer"]) for row in before if row["run"] in runs} - now)
    if dropped:
        logger.warning(
            "left out, since they were not asked for again: %s; give all layers of a run at once (what was extracted "
            "before is fresh)",
            ", ".join(f"layer {layer} of run {run}" for run, layer in dropped[:10]),
        )


def _write_tables(
    workspace: Workspace,
    found: Sequence[tuple[str, Checkpoint]],
    shards: Sequence[dict[str, Any]],
    probe: Probe,
    settings: ExtractSettings,
) -> None:
    """Write `checkpoints` and `shards`, keeping the rows of runs that were not asked for this time.

    Such rows stay only while they come from the same images and preprocessing: others cannot be compared.
    """
    rows = [
        {
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
        for run, checkpoint in found
    ]
    asked = {run for run, _ in found}
    for name, schema, new in (
        ("checkpoints", schemas.CHECKPOINTS, rows),
        ("shards", schemas.SHARDS, list(shards)),
    ):
        path = workspace.table(name)
        others = []
        if path.is_file():
            before = read_table(path).to_pylist()
            others = [row for row in before if row["run"] not in asked]
            if others and workspace.parameters(name).get("probe") != probe.origin:
                lost = ", ".join(sorted({row["run"] for row in others}))
                if name == "shards":
                    logger.warning(
                        "runs left out, since they were extracted from other probe images or with another "
                        "preprocessing: %s; give them to `cmon extract` again",
                        lost,
                    )
                others = []
            elif name == "shards":
                _warn_of_dropped(before, shards)
        table = pa.Table.from_pylist([*others, *new], schema=schema)
        parameters = {
            "probe": probe.origin,
            "model": settings.model,
            "layers": settings.layers,
            "pooling": settings.pooling,
        }
        origin = digest(name, table.to_pylist(), parameters)
        if not is_fresh(path, origin):
            workspace.write(path, table, origin, parameters)
