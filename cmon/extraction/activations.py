"""One checkpoint over all probe images: pooled activations of its layers, written as activation files."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import numpy as np
import pyarrow as pa
import torch

from cmon.checkpoints.checkpoint import Checkpoint, read_unchanged
from cmon.errors import CmonError
from cmon.extraction.blocks import BLOCK_BYTES, Block, TopOfBlocks, images_in_block
from cmon.extraction.feed import PixelFeed
from cmon.extraction.fitting import Fit, check_fit
from cmon.extraction.fused.capture import WORTHWHILE, CapturedNetwork
from cmon.extraction.fused.follow import CannotFollow
from cmon.extraction.fused.recording import FusedNetwork
from cmon.extraction.layers.output import LayerOutput
from cmon.extraction.layers.recording import Record, record_activations
from cmon.extraction.network import load_weights
from cmon.extraction.pieces import Piece
from cmon.extraction.settings import ExtractSettings
from cmon.extraction.shards import Job, Shard
from cmon.images.pixel_cache import Probe
from cmon.images.preprocessing import Preprocess, batches
from cmon.images.trial import trial_pictures
from cmon.workspace import schemas, top_images
from cmon.workspace.table_blocks import AddBlock
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

_reading = threading.Lock()
"""Held while a checkpoint is read: which of its objects are let in is one list of torch's for all threads."""


class UnreadableCheckpoint(CmonError):
    """A checkpoint that could be inspected can no longer be read, no longer fits its network, or fails on pictures."""


def run_job(
    workspace: Workspace,
    job: Job,
    probe: Probe,
    feed: PixelFeed,
    preprocess: Preprocess,
    settings: ExtractSettings,
    block_bytes: int = BLOCK_BYTES,
    piece: Piece | None = None,
) -> Iterator[int]:
    """Run one checkpoint and write its activation files; gives the number of images after each batch.

    feed: the probe's pixels. block_bytes: most of all layers' activations that are held at a time.
    piece: the images to run, whose rows are then written to the files of the piece; None runs all.
    Raises UnreadableCheckpoint. No file is visible before the last batch. Of many images, each unit's top images are
    kept beside, but of a piece.
    """
    weights = load_checkpoint(job.fit, job.checkpoint, preprocess, settings)
    layers = {shard.layer for shard in job.shards}
    outputs = [output for output in job.fit.outputs if output.name in layers]
    words = {output.name: output.pooled(settings.pooling) for output in outputs}
    images = range(len(probe.image_ids)) if piece is None else piece.images
    count = len(images)
    size = images_in_block(count, sum(output.units for output in outputs), settings.batch_size, block_bytes)
    held = Block(outputs, size, settings.device)
    files: dict[str, AddBlock] = {}
    keeps_top = piece is None and count >= top_images.WORTHWHILE
    tops = {shard.layer: TopOfBlocks() for shard in job.shards if keeps_top}
    recording = _recording(
        job, outputs, weights, len(probe.image_ids), preprocess, settings, warns=images.start == 0
    )
    with recording as record, ExitStack() as opened:
        for block in batches(count, size):
            yield from _fill(held, images[block], record, job.fit, feed, preprocess, settings)
            for layer, top in tops.items():
                top.add(held.on_device(layer, block.stop - block.start))
            values = held.take(block.stop - block.start)
            for shard in job.shards:
                file = _writing(workspace, shard, probe, words[shard.layer], settings, piece)
                if size == count:  # so that no more than one is open at a time
                    with file as add:
                        add(values[shard.layer])
                    continue
                if shard.layer not in files:
                    files[shard.layer] = opened.enter_context(file)
                files[shard.layer](values[shard.layer])
    for shard in job.shards:
        if shard.layer in tops:
            found = tops[shard.layer].found()
            top_images.write(workspace, shard.run, shard.layer, shard.epoch, probe.image_ids, found)


def load_checkpoint(
    fit: Fit, checkpoint: Checkpoint, preprocess: Preprocess, settings: ExtractSettings
) -> Mapping[str, torch.Tensor]:
    """Give the fit's network the checkpoint's weights; its device, type and memory format stay.

    Gives the weights as they are in the checkpoint, by the network's names.
    """
    try:
        with _reading:
            tensors = read_unchanged(checkpoint, settings.trust_pickle)
        match = load_weights(fit.network, tensors, settings.model)
        check_fit(match, preprocess, settings)
    except CmonError as error:
        raise UnreadableCheckpoint(error.line) from error
    fit.conditions.place(fit.network)
    return match.tensors


def run_batch(record: Record, batch: torch.Tensor, what: str) -> dict[str, torch.Tensor]:
    """Every layer's activations (B,K) float32, where the network runs.

    what: names the pictures in the UnreadableCheckpoint that it raises.
    """
    try:
        return record(batch)
    except CmonError as error:
        raise UnreadableCheckpoint(f"{what}: {error.line}") from error
    except torch.OutOfMemoryError as error:
        raise UnreadableCheckpoint(
            f"{what}: the device's memory is too small", hint="use a smaller --batch-size"
        ) from error
    except Exception as error:  # a network may fail in any way
        raise UnreadableCheckpoint(
            f"{what}: the network fails with {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error


@contextmanager
def _recording(
    job: Job,
    outputs: Sequence[LayerOutput],
    weights: Mapping[str, torch.Tensor],
    count: int,
    preprocess: Preprocess,
    settings: ExtractSettings,
    warns: bool,
) -> Iterator[Record]:
    """The faster way to every layer's activations where it gives what the network as it is written gives, or else that.

    Which one depends on the checkpoint and the run's layers alone, so that a run that was stopped goes on with the
    same numbers. count: all images, also where only a piece of them is run here. warns: where it is not the faster
    way, which is said once of a checkpoint.
    """
    fit = job.fit
    if fit.fused:
        wanted = [output for output in fit.outputs if output.name in job.wanted]
        pictures = np.stack([preprocess.pixels(picture) for picture in trial_pictures(2)])
        try:
            fused = FusedNetwork(fit.network, wanted, outputs, settings.pooling, weights, settings.batch_size)
            problem = fused.agrees(fit.network, fit.conditions.batch(preprocess, pictures))
        except CannotFollow as error:
            problem = str(error)
        if problem is None:
            full = count // settings.batch_size
            captured = settings.device == "cuda" and full >= WORTHWHILE
            yield CapturedNetwork(fused, settings.batch_size, warns).record if captured else fused.record
            return
        logger.log(
            logging.WARNING if warns else logging.DEBUG,
            "%s/%s: its network runs as it is written, which is slower, since with batch norms in convolutions %s",
            job.run, job.checkpoint.name, problem,
        )  # fmt: skip
    with record_activations(fit.network, outputs, settings.pooling) as record:
        yield record


def _fill(
    held: Block,
    block: range,
    record: Record,
    fit: Fit,
    feed: PixelFeed,
    preprocess: Preprocess,
    settings: ExtractSettings,
) -> Iterator[int]:
    """Put every layer's activations of a block of images into `held`; gives the number of images after each batch."""
    for rows in batches(len(block), settings.batch_size):
        images = slice(block.start + rows.start, block.start + rows.stop)
        batch = fit.conditions.batch(preprocess, feed[images])
        held.put(rows, run_batch(record, batch, f"images {images.start} to {images.stop - 1}"))
        yield rows.stop - rows.start


def _writing(
    workspace: Workspace,
    shard: Shard,
    probe: Probe,
    pooled: str,
    settings: ExtractSettings,
    piece: Piece | None,
) -> AbstractContextManager[AddBlock]:
    images = slice(None) if piece is None else slice(piece.images.start, piece.images.stop)
    return workspace.writing_blocks(
        shard.path(workspace) if piece is None else piece.path(workspace, shard),
        schemas.activations(shard.units),
        pa.array(probe.image_ids[images], pa.int32()),
        shard.origin if piece is None else piece.origin(shard),
        {
            "axes": shard.axes,
            "pooled": pooled,
            # Precision is part of the origin. The device is not: what it changes is rounding.
            "precision": settings.precision,
            "device": settings.device,
        },
        {"images": probe.origin},
    )
