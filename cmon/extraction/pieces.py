"""A checkpoint's probing set in pieces, which different workers of a cluster run, and which are joined afterwards.

plan --a task each--> files of pieces in the workspace's cache --`join`--> the activation file of one process

Borders lie between batches, so every batch is what it is in one process, and so are its values, to the last bit. Pieces
that an extraction left that was stopped are used by the next one, wherever it would have cut.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from cmon.errors import CmonError
from cmon.extraction.blocks import TopOfBlocks
from cmon.extraction.settings import ExtractSettings
from cmon.extraction.shards import Job, Shard
from cmon.workspace import schemas, top_images
from cmon.workspace.files import digest, remove_files
from cmon.workspace.table_blocks import read_in_blocks
from cmon.workspace.table_files import DamagedFile, are_fresh, checked_stamp
from cmon.workspace.workspace import Workspace

LEAST = 4096
"""Images of a piece. A task also reads the checkpoint and folds it, and the rows of a piece are written twice: with
fewer images, that would be much beside the network's own work."""
TASKS_A_SLOT = 4
"""So many let workers that are slower, or begin later, do less."""


@dataclass(frozen=True)
class Piece:
    """Images that one task runs of a checkpoint."""

    images: range
    """Positions among the probing set's images, side by side."""
    way: str
    """Hash of what may change the last digits of their activations, and no activation file's origin names."""

    def path(self, workspace: Workspace, shard: Shard) -> Path:
        """Its rows of an activation file."""
        name = f"{_key(shard, self.way)}-{self.images.start}-{self.images.stop}.parquet"
        return _folder(workspace) / name

    def origin(self, shard: Shard) -> str:
        return digest(_key(shard, self.way), self.images.start, self.images.stop)


@dataclass(frozen=True)
class Division:
    """How a checkpoint is run."""

    pieces: tuple[Piece, ...]
    """All of the probing set, in order; none where one task writes the activation files."""
    missing: tuple[Piece, ...]
    """Those of them that are still to be run."""


def divide_jobs(
    workspace: Workspace, jobs: Sequence[Job], images: int, slots: int, settings: ExtractSettings
) -> list[Division]:
    """How each of the checkpoints is run. images: of the probing set. slots: tasks that run at once.

    settings: with the device of the workers.
    """
    found = _find(workspace)
    most = pieces_each(len(jobs), slots)
    divisions = []
    for job in jobs:
        way = _way(job, settings)
        there = _fresh(workspace, job, way, found)
        pieces = [Piece(one, way) for one in cut(images, there, most, settings.batch_size)]
        missing = [piece for piece in pieces if piece.images not in there]
        divisions.append(Division(tuple(pieces), tuple(missing)) if len(pieces) > 1 else Division((), ()))
    return divisions


def pieces_each(checkpoints: int, slots: int) -> int:
    """In how many pieces a checkpoint is run at most: one where there are enough checkpoints, or one worker."""
    return max(1, round(TASKS_A_SLOT * slots / checkpoints)) if slots > 1 and checkpoints else 1


def cut(images: int, there: Iterable[range], most: int, batch_size: int) -> list[range]:
    """All images in order: pieces that are there already, and what lies between them cut anew; one range of all if so.

    most: pieces of all images. Of pieces that are there and overlap, the first is taken.
    """
    found: list[range] = []
    at = 0
    for one in [*sorted(there, key=lambda one: (one.start, -one.stop)), range(images, images)]:
        if one.start < at:
            continue
        if gap := range(at, one.start):
            found += _cut_evenly(gap, max(1, round(most * len(gap) / images)), batch_size)
        if one:
            found.append(one)
        at = one.stop
    return found


def _cut_evenly(images: range, most: int, batch_size: int) -> list[range]:
    """Pieces of whole batches, but for the last one's end; none of fewer than LEAST images, but where all are fewer."""
    batches = len(images) // batch_size
    count = max(1, min(most, batches // -(-LEAST // batch_size)))
    starts = [images.start + batches * number // count * batch_size for number in range(count)]
    return [range(*both) for both in pairwise([*starts, images.stop])]


def files_of(workspace: Workspace, shards: Sequence[Shard], pieces: Sequence[Piece]) -> list[Path]:
    return [piece.path(workspace, shard) for piece in pieces for shard in shards]


def remove(workspace: Workspace, shards: Sequence[Shard], pieces: Sequence[Piece]) -> None:
    """Remove the files of pieces that have been joined."""
    remove_files(files_of(workspace, shards, pieces), set())


def remove_all_but(workspace: Workspace, kept: Iterable[Path]) -> None:
    """Remove what extractions that were stopped have left. kept: pieces that are still to be joined."""
    remove_files(_folder(workspace).glob("*.parquet"), set(kept))


def join(workspace: Workspace, shard: Shard, pieces: Sequence[Piece], image_ids: np.ndarray) -> None:
    """Write an activation file from its pieces, which stay, and its units' top images; a row group is held at a time.

    pieces: of all images, in order. image_ids: (N,) of the probing set. Raises CmonError when a piece is missing or
    damaged; then nothing is written.
    """
    paths = [piece.path(workspace, shard) for piece in pieces]
    fresh = are_fresh([(path, piece.origin(shard)) for path, piece in zip(paths, pieces, strict=True)])
    for path, is_fresh in zip(paths, fresh, strict=True):
        if not is_fresh:
            raise CmonError(
                f"{path}: is missing, or another file",
                expected="the piece of a checkpoint's activations that a task of this command wrote there",
                hint="run the command again: it goes on from here",
            )
    note = checked_stamp(paths[0])
    top, keeps_top = TopOfBlocks(), len(image_ids) >= top_images.WORTHWHILE
    with workspace.writing_blocks(
        shard.path(workspace),
        schemas.activations(shard.units),
        pa.array(image_ids, pa.int32()),
        shard.origin,
        note["parameters"],
        note["inputs"],
    ) as add:
        for path in paths:
            try:
                for block in read_in_blocks(path):
                    add(block)
                    if keeps_top:
                        top.add(torch.from_numpy(block))
            except DamagedFile as error:
                path.unlink(missing_ok=True)  # as of all of the cache: it is made again
                raise CmonError(
                    f"{path}: was damaged, and is removed",
                    found=error.line,
                    hint="run the command again: it goes on from here",
                ) from error
    if keeps_top:
        top_images.write(workspace, shard.run, shard.layer, shard.epoch, image_ids, top.found())


def _folder(workspace: Workspace) -> Path:
    return workspace.cache / "pieces"


def _key(shard: Shard, way: str) -> str:
    # The same checkpoint may be of two runs, of which each has pieces of its own.
    return digest(shard.run, shard.layer, shard.epoch, shard.origin, way)


def _way(job: Job, settings: ExtractSettings) -> str:
    # Which of the run's layers there are decides what is fused.
    layers = sorted(output.name for output in job.fit.outputs if output.name in job.wanted)
    return digest(layers, settings.batch_size, settings.device)


def _find(workspace: Workspace) -> Mapping[str, set[range]]:
    """The images of the pieces that are there, by what they are of, as their names say."""
    found: dict[str, set[range]] = defaultdict(set)
    for path in _folder(workspace).glob("*.parquet"):
        if name := re.fullmatch(r"([0-9a-f]{64})-(\d{1,12})-(\d{1,12})\.parquet", path.name):
            found[name[1]].add(range(int(name[2]), int(name[3])))
    return found


def _fresh(workspace: Workspace, job: Job, way: str, found: Mapping[str, set[range]]) -> set[range]:
    """The images of the pieces of a checkpoint of which all files are there."""
    each = [found.get(_key(shard, way), set()) for shard in job.shards]
    pieces = [Piece(images, way) for images in set.intersection(*each)]
    files = [(piece.path(workspace, shard), piece.origin(shard)) for piece in pieces for shard in job.shards]
    fresh = iter(are_fresh(files))
    return {piece.images for piece in pieces if all([next(fresh) for _ in job.shards])}
