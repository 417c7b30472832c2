"""One checkpoint over all probe images: pooled activations of its layers, written as activation files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch

from cmon.checkpoints.checkpoint import read_unchanged
from cmon.errors import CmonError
from cmon.extraction import hooks
from cmon.extraction.fitting import check_fit
from cmon.extraction.hooks import LayerOutput
from cmon.extraction.network import load_weights
from cmon.extraction.settings import ExtractSettings
from cmon.extraction.shards import Job, Shard
from cmon.images.pixel_cache import Probe
from cmon.images.preprocessing import Preprocess, batches
from cmon.workspace import schemas
from cmon.workspace.workspace import Workspace


class UnreadableCheckpoint(CmonError):
    """A checkpoint that could be inspected can no longer be read, or no longer fits its network."""


def run_job(
    workspace: Workspace, job: Job, probe: Probe, preprocess: Preprocess, settings: ExtractSettings
) -> Iterator[int]:
    """Run one checkpoint and write its activation files; gives the number of images after each batch.

    Raises UnreadableCheckpoint before the first batch. Nothing is written until the last.
    """
    network = _load_network(job, preprocess, settings)
    layers = {shard.layer for shard in job.shards}
    outputs = [output for output in job.fit.outputs if output.name in layers]
    pooled = {output.name: np.empty((len(probe.image_ids), output.units), np.float32) for output in outputs}
    yield from _fill(pooled, network, outputs, probe, preprocess, settings)
    for shard in job.shards:
        _write(workspace, shard, probe.image_ids, pooled[shard.layer])


def _load_network(job: Job, preprocess: Preprocess, settings: ExtractSettings) -> torch.nn.Module:
    """The job's network with the checkpoint's weights, on the device and in the precision that were asked for."""
    try:
        tensors = read_unchanged(job.checkpoint, settings.trust_pickle)
        check_fit(load_weights(job.fit.network, tensors, settings.model), preprocess, settings)
    except CmonError as error:
        raise UnreadableCheckpoint(error.line) from error
    network = job.fit.network.to(settings.device, _dtype(settings))
    return network.to(memory_format=torch.channels_last)


def _fill(
    pooled: dict[str, np.ndarray],
    network: torch.nn.Module,
    outputs: Sequence[LayerOutput],
    probe: Probe,
    preprocess: Preprocess,
    settings: ExtractSettings,
) -> Iterator[int]:
    """Write every layer's activations into its array (N,K) float32; gives the number of images after each batch."""
    with hooks.record_activations(network, outputs, settings.pooling) as record:
        for rows in batches(len(probe.image_ids), settings.batch_size):
            batch = preprocess.batch(probe.pixels[rows]).to(settings.device, _dtype(settings))
            for layer, values in record(batch).items():
                pooled[layer][rows] = values.cpu().numpy()
            yield rows.stop - rows.start


def _write(workspace: Workspace, shard: Shard, image_ids: np.ndarray, values: np.ndarray) -> None:
    columns = [pa.array(image_ids, pa.int32()), schemas.vectors(values)]
    table = pa.Table.from_arrays(columns, schema=schemas.activations(values.shape[1]))
    workspace.write(shard.path(workspace), table, shard.origin, {"axes": shard.axes})


def _dtype(settings: ExtractSettings) -> torch.dtype:
    return torch.bfloat16 if settings.precision == "bf16" else torch.float32
