"""Stage 1: from checkpoints and probe images to pooled activations.

checkpoints of every run --inspect--> table `checkpoints`
probe images --decode once--> pixel cache, table `images`
pixels x checkpoint --network, hooks--> activations/RUN/LAYER/EPOCH, listed in table `shards`
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from cmon import checkpoints, costs, hooks, images, models, probing, schemas
from cmon.checkpoints import Checkpoint
from cmon.errors import CmonError
from cmon.hooks import LayerOutput
from cmon.probing import Probe
from cmon.store import Workspace, digest, is_fresh, read_table

logger = logging.getLogger(__name__)
Progress = Callable[..., Iterable[Any]]
"""`progress(iterable, description, total)` gives the iterable's items and may show how far it is."""


@dataclass(frozen=True)
class Settings:
    """What `cmon extract` was asked for, but where."""

    model: str
    """torchvision:NAME, timm:NAME or python:MODULE:FACTORY."""
    layers: tuple[str, ...]
    """Names as in `network.named_modules()`."""
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    pooling: str = "avg"
    image_size: int | None = None
    """Side of the network's square input in pixels; None takes the model's own preprocessing."""
    device: str = "cpu"
    precision: str = "fp32"
    batch_size: int = 64
    workers: int = 2


@dataclass(frozen=True)
class Summary:
    """What the stage found and did."""

    checkpoints: list[tuple[str, Checkpoint]]
    """(run, checkpoint), skipped ones included."""
    outputs: list[LayerOutput]
    images: int
    skipped_images: list[tuple[str, str]]
    """(path, reason)."""
    made: int
    """Activation files made now; the others were fresh."""
    reused: int

    @property
    def skipped(self) -> int:
        return len(self.skipped_images) + sum(found.error is not None for _, found in self.checkpoints)


@dataclass(frozen=True)
class Fit:
    """A network that the weights of one signature fit, and what its layers give."""

    network: torch.nn.Module
    outputs: list[LayerOutput]


@dataclass(frozen=True)
class Job:
    """One checkpoint to run, and the activation files to write from it."""

    checkpoint: Checkpoint
    shards: list[dict[str, Any]]


def extract(
    workspace: Workspace,
    runs: Mapping[str, Path],
    probe_folder: Path,
    settings: Settings,
    progress: Progress = lambda items, *_: items,
) -> Summary:
    """Extract the activations that are missing or stale, and write the tables that list them.

    Raises CmonError when a folder, layer or model does not exist, or nothing can be read from it.
    """
    found, fits, preprocess = _fitted(survey(runs, progress), settings)
    files = images.find(probe_folder)

    with costs.measured(workspace, "extract", "images x checkpoints") as work:
        probe = probing.decoded(workspace, files, preprocess, settings.workers, progress)
        shards = [
            shard
            for run, checkpoint in found
            if checkpoint.error is None
            for shard in _shards(run, checkpoint, fits[checkpoint.signature].outputs, probe, settings)
        ]
        stale = [
            shard for shard in shards if not is_fresh(workspace.activations(*_place(shard)), shard["key"])
        ]
        jobs = _jobs(found, stale)
        steps = (
            images_done
            for job in jobs
            for images_done in _run(
                workspace, job, fits[job.checkpoint.signature], probe, preprocess, settings
            )
        )
        batches = -(-len(probe.rows) // settings.batch_size)
        for images_done in progress(steps, "extracting activations", len(jobs) * batches):
            work.items += images_done
        _write_tables(workspace, found, shards, probe, settings)
    outputs = next(iter(fits.values())).outputs
    return Summary(found, outputs, len(probe.rows), probe.skipped, len(stale), len(shards) - len(stale))


def plan(
    runs: Mapping[str, Path], settings: Settings, progress: Progress = lambda items, *_: items
) -> Summary:
    """What `extract` would read, and what the layers give; looks at every checkpoint, writes nothing."""
    found, fits, _ = _fitted(survey(runs, progress), settings)
    return Summary(found, next(iter(fits.values())).outputs, 0, [], 0, 0)


def survey(
    runs: Mapping[str, Path], progress: Progress = lambda items, *_: items
) -> list[tuple[str, Checkpoint]]:
    """Find and inspect every checkpoint of every run; copies and doubled epochs are skipped with a reason."""
    files = [(run, folder, path) for run, folder in runs.items() for path in checkpoints.find(folder)]
    found: list[tuple[str, Checkpoint]] = []
    for run, folder, path in progress(files, "reading checkpoints", len(files)):
        checkpoint = checkpoints.inspect(path, folder)
        found.append((run, _unless_doubled(checkpoint, [other for name, other in found if name == run])))
    for run in runs:
        read = [checkpoint for name, checkpoint in found if name == run]
        if all(checkpoint.error for checkpoint in read):
            raise CmonError(
                f"{runs[run]}: none of the {len(read)} checkpoints of run {run!r} can be read",
                found=f"{read[0].name}: {read[0].error}",
            )
    return found


def _unless_doubled(checkpoint: Checkpoint, earlier: Sequence[Checkpoint]) -> Checkpoint:
    for other in earlier:
        if other.error is None and checkpoint.error is None:
            if other.sha256 == checkpoint.sha256:
                return _skipped(checkpoint, f"the same content as {other.name}")
            if other.epoch == checkpoint.epoch:
                epoch = schemas.epoch_text(other.epoch or 0)
                return _skipped(checkpoint, f"epoch {epoch} is already given by {other.name}")
    return checkpoint


def _skipped(checkpoint: Checkpoint, error: str) -> Checkpoint:
    return replace(checkpoint, error=error)


def _fitted(
    found: list[tuple[str, Checkpoint]], settings: Settings
) -> tuple[list[tuple[str, Checkpoint]], dict[str | None, Fit], images.Preprocess]:
    """Build one network per signature, see what its layers give, and skip the checkpoints that fit none."""
    fits: dict[str | None, Fit] = {}
    failures: dict[str | None, CmonError] = {}
    preprocess: images.Preprocess | None = None
    for _, checkpoint in found:
        signature = checkpoint.signature
        if checkpoint.error or signature in fits or signature in failures:
            continue
        tensors = checkpoints.read(checkpoint.path).tensors
        try:
            network = models.build(settings.model, settings.model_arguments, tensors)
        except models.WeightsMismatch as error:
            failures[signature] = error
            continue
        preprocess = preprocess or models.preprocess(settings.model, network, settings.image_size)
        example = preprocess.batch(preprocess.pixels(images.blank())[None])
        fits[signature] = Fit(network, hooks.trace(network, settings.layers, example))
    if preprocess is None:
        raise next(iter(failures.values()))
    found = [
        (run, _skipped(checkpoint, " ".join(str(failures[checkpoint.signature]).split())))
        if checkpoint.error is None and checkpoint.signature in failures
        else (run, checkpoint)
        for run, checkpoint in found
    ]
    return found, fits, preprocess


def _shards(
    run: str, checkpoint: Checkpoint, outputs: Sequence[LayerOutput], probe: Probe, settings: Settings
) -> list[dict[str, Any]]:
    """The activation files of a checkpoint, each with the key of everything that it depends on."""
    network = [settings.model, dict(settings.model_arguments), settings.pooling, settings.precision]
    return [
        {
            "run": run,
            "layer": output.name,
            "epoch": checkpoint.epoch,
            "units": output.units,
            "layout": output.layout,
            "pooling": settings.pooling,
            "key": digest(checkpoint.sha256, output.name, output.layout, network, probe.key, schemas.VERSION),
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
    preprocess: images.Preprocess,
    settings: Settings,
) -> Iterator[int]:
    """Run one checkpoint over all probe images and write its activation files; gives the images per batch."""
    models.load(fit.network, checkpoints.read(job.checkpoint.path).tensors, settings.model)
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    network = fit.network.to(settings.device, dtype).to(memory_format=torch.channels_last)
    wanted = {shard["layer"] for shard in job.shards}
    outputs = [output for output in fit.outputs if output.name in wanted]
    kept = {output.name: np.empty((len(probe.rows), output.units), np.float32) for output in outputs}
    with hooks.recording(network, outputs, settings.pooling) as activations:
        for rows in images.batches(len(probe.rows), settings.batch_size):
            batch = preprocess.batch(probe.pixels[probe.rows[rows]]).to(settings.device, dtype)
            for layer, pooled in activations(batch).items():
                kept[layer][rows] = pooled.cpu().numpy()
            yield rows.stop - rows.start
    for shard in job.shards:
        values = kept[shard["layer"]]
        columns = [pa.array(probe.rows, pa.int32()), schemas.vectors(values)]
        table = pa.Table.from_arrays(columns, schema=schemas.activations(values.shape[1]))
        workspace.write(
            workspace.activations(*_place(shard)), table, shard["key"], {"layout": shard["layout"]}
        )


def _write_tables(
    workspace: Workspace,
    found: Sequence[tuple[str, Checkpoint]],
    shards: Sequence[dict[str, Any]],
    probe: Probe,
    settings: Settings,
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
            "wrapper": checkpoint.wrapper,
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
            others = [row for row in read_table(path).to_pylist() if row["run"] not in asked]
            if others and workspace.parameters(name).get("probe") != probe.key:
                lost = ", ".join(sorted({row["run"] for row in others}))
                if name == "shards":
                    logger.warning(
                        "runs left out, since they were extracted from other probe images or with another "
                        "preprocessing: %s; give them to `cmon extract` again",
                        lost,
                    )
                others = []
        table = pa.Table.from_pylist([*others, *new], schema=schema)
        parameters = {
            "probe": probe.key,
            "model": settings.model,
            "layers": settings.layers,
            "pooling": settings.pooling,
        }
        key = digest(name, table.to_pylist(), parameters)
        if not is_fresh(path, key):
            workspace.write(path, table, key, parameters)
