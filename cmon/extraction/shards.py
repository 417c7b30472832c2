"""The activation files of an extraction, planned before any network runs: one for each layer of each checkpoint."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.checkpoints.runs import RunCheckpoints
from cmon.extraction.fitting import Fit, FittedRuns
from cmon.extraction.settings import METHOD, ExtractSettings
from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class Shard:
    """One activation file: all units of a layer at one epoch of a run. A row of the table `shards`."""

    run: str
    layer: str
    epoch: float
    units: int
    axes: str
    """How the layer's output is read; see `LayerOutput.axes`."""
    pooling: str
    origin: str
    """Hash of all that the activations depend on."""

    def path(self, workspace: Workspace) -> Path:
        return workspace.activations(self.run, self.layer, self.epoch)


@dataclass(frozen=True)
class Job:
    """One checkpoint to run, and the activation files to write from it."""

    run: str
    checkpoint: Checkpoint
    fit: Fit
    shards: tuple[Shard, ...]
    wanted: Container[str]
    """The run's layers, those included whose files are there: so that a network runs the same however many are left."""


def plan_shards(
    fits: Mapping[str | None, Fit],
    checkpoints: RunCheckpoints,
    layers: Mapping[str, Container[str]],
    probe_origin: str,
    settings: ExtractSettings,
) -> list[Shard]:
    """The activation files of those of the checkpoints that can be read, in their order and that of layers.

    fits: by the checkpoints' signatures. layers: which of a run's layers are wanted, by its name.
    probe_origin: hash of the images and their preprocessing.
    """
    network = [
        settings.model,
        dict(settings.model_arguments),
        settings.pooling,
        settings.precision,
        settings.weights,
    ]
    return [
        Shard(
            run=run,
            layer=output.name,
            epoch=_epoch(checkpoint),
            units=output.units,
            axes=output.axes,
            pooling=settings.pooling,
            origin=digest(
                checkpoint.sha256, output.name, output.reading, network, probe_origin, schemas.VERSION, METHOD
            ),
        )
        for run, checkpoint in checkpoints
        if checkpoint.error is None and checkpoint.signature in fits
        for output in fits[checkpoint.signature].outputs
        if output.name in layers[run]
    ]


def plan_jobs(fitted: FittedRuns, stale: Sequence[Shard], layers: Mapping[str, Container[str]]) -> list[Job]:
    """The checkpoints from which stale files are to be made, with those files. layers: as for `plan_shards`."""
    jobs = []
    for run, checkpoint in fitted.checkpoints:
        if checkpoint.error is None:
            own = select_shards(stale, [(run, checkpoint)])
            if own:
                fit = fitted.fits[checkpoint.signature]
                jobs.append(Job(run, checkpoint, fit, tuple(own), layers[run]))
    return jobs


def select_shards(shards: Iterable[Shard], checkpoints: RunCheckpoints) -> list[Shard]:
    """Those of the shards that are made from one of the checkpoints, unless it is skipped."""
    made_from = {(run, one.epoch) for run, one in checkpoints if one.error is None}
    return [shard for shard in shards if (shard.run, shard.epoch) in made_from]


def _epoch(checkpoint: Checkpoint) -> float:
    if checkpoint.epoch is None:
        raise AssertionError("a checkpoint without an epoch is skipped")
    return checkpoint.epoch
