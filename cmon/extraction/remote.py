"""Checkpoints on the workers of a cluster: the same files as on one machine, or an error.

The process that was started plans everything: checkpoints --pieces, if there are few--> tasks --> activation files, or
files of pieces --join tasks--> activation files. Workers write these files, and no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cmon.distributed.runner import Runner, require_seen
from cmon.errors import CmonError
from cmon.extraction import pieces
from cmon.extraction.activations import UnreadableCheckpoint, run_job
from cmon.extraction.arithmetic import arithmetic
from cmon.extraction.fitting import FittedRuns
from cmon.extraction.pieces import Division, Piece
from cmon.extraction.settings import ExtractSettings
from cmon.extraction.shards import Job, Shard
from cmon.extraction.worker import Extraction, ExtractTask, hash_trial, kept_for, with_own_copy
from cmon.images.pixel_cache import Probe
from cmon.images.preprocessing import ResizeCrop
from cmon.progress import Progress
from cmon.storage import copies
from cmon.workspace import costs
from cmon.workspace.workspace import Workspace

_Failures = dict[tuple[str, str], tuple[int, CmonError]]
"""Why checkpoints could not be run, and the first image of the task that found it, by (run, checkpoint)."""


@dataclass(frozen=True)
class Extracted:
    """What came of a task."""

    run: str
    checkpoint: str
    """Its name."""
    start: int
    """Position of the first image."""
    images: int
    written_bytes: int
    error: CmonError | None
    """Why the checkpoint could not be run."""


@dataclass(frozen=True)
class Joining:
    """What all tasks that join pieces have in common."""

    root: Path
    """Of the workspace."""
    image_ids: np.ndarray
    """(N,) of the probing set."""


@dataclass(frozen=True)
class JoinTask:
    """The activation files to join from a checkpoint's pieces."""

    shards: tuple[Shard, ...]
    pieces: tuple[Piece, ...]
    """Of all images, in order."""


@dataclass(frozen=True)
class Joined:
    """What came of a `JoinTask`."""

    task: JoinTask
    written_bytes: int


def run_jobs(
    workspace: Workspace,
    jobs: Sequence[Job],
    fitted: FittedRuns,
    probe: Probe,
    settings: ExtractSettings,
    runner: Runner,
    work: costs.Work,
    progress: Progress,
) -> dict[tuple[str, str], CmonError]:
    """Run the jobs on a cluster; gives why checkpoints could not be run, by (run, checkpoint).

    settings: those that the fitted networks were traced with. Raises CmonError where the cluster cannot do it.
    """
    found = fitted.found_preprocess
    common = Extraction(
        workspace.root,
        replace(settings, device=runner.device, finished=None),
        probe.origin,
        found if isinstance(found.preprocess, ResizeCrop) else None,
        hash_trial(found.preprocess),
    )
    divisions = pieces.divide_jobs(workspace, jobs, len(probe.image_ids), runner.slots, common.settings)
    divided = list(zip(jobs, divisions, strict=True))
    planned = [path for job, one in divided for path in pieces.files_of(workspace, job.shards, one.pieces)]
    pieces.remove_all_but(workspace, planned)
    tasks = [task for job, division in divided for task in _tasks(job, division, fitted)]
    failures: _Failures = {}

    def run_all() -> Iterator[None]:
        yield from _extract(workspace, runner, common, tasks, failures, work)
        joins = {
            (job.run, job.checkpoint.name): JoinTask(job.shards, division.pieces)
            for job, division in divided
            if division.pieces
        }
        left = [task for name, task in joins.items() if name not in failures]
        yield from [None] * (len(joins) - len(left))
        yield from _join(workspace, runner, Joining(workspace.root, probe.image_ids), left)

    total = len(tasks) + sum(bool(division.pieces) for division in divisions)
    for _ in progress(run_all(), runner.describe("extracting activations"), total):
        pass
    pieces.remove_all_but(workspace, ())
    names = [(job.run, job.checkpoint.name) for job in jobs]
    return {name: failures[name][1] for name in names if name in failures}


def _extract(
    workspace: Workspace,
    runner: Runner,
    common: Extraction,
    tasks: Sequence[ExtractTask],
    failures: _Failures,
    work: costs.Work,
) -> Iterator[None]:
    """Run the tasks, count what they did, and note which checkpoints failed; gives None after each."""
    for one in runner.run(extract_one, common, tasks) if tasks else ():
        work.items += one.images
        workspace.written_bytes += one.written_bytes
        name = one.run, one.checkpoint
        # Of several pieces the first, as where they run one after the other.
        if one.error is not None and (name not in failures or one.start < failures[name][0]):
            failures[name] = one.start, one.error
        yield


def _join(workspace: Workspace, runner: Runner, common: Joining, tasks: Sequence[JoinTask]) -> Iterator[None]:
    """Run the tasks, and remove the pieces that are joined; gives None after each."""
    for one in runner.run(join_one, common, tasks) if tasks else ():
        workspace.written_bytes += one.written_bytes
        # Here and not in the task, which may be run twice.
        pieces.remove(workspace, one.task.shards, one.task.pieces)
        yield


def extract_one(common: Extraction, task: ExtractTask) -> Extracted:
    """Write the files of one checkpoint, or of a piece. What is wrong with the checkpoint is in the outcome.

    Raises CmonError for what is wrong with this machine.
    """
    kept = kept_for(common)
    if task.url is None:
        require_seen(task.checkpoint.path.parent, "the folder of a checkpoint")
    images = 0
    written = kept.workspace.written_bytes
    error = None
    try:
        task = with_own_copy(task)
        with arithmetic(common.settings.precision, common.settings.device):
            fit = kept.fit(task)
            kept.check_same(task, fit)
            job = Job(task.run, task.checkpoint, fit, task.shards, task.wanted)
            batches = run_job(
                kept.workspace, job, kept.probe, kept.feed, kept.preprocess, common.settings, piece=task.piece
            )
            for some in batches:
                images += some
    except UnreadableCheckpoint as problem:
        error = problem
    start = 0 if task.piece is None else task.piece.images.start
    bytes_now = kept.workspace.written_bytes - written
    return Extracted(task.run, task.checkpoint.name, start, images, bytes_now, error)


def join_one(common: Joining, task: JoinTask) -> Joined:
    """Write the activation files of one checkpoint from its pieces. Raises CmonError as `pieces.join` does."""
    workspace = Workspace(common.root)
    if not workspace.is_url:
        require_seen(common.root, "the workspace")
    for shard in task.shards:
        pieces.join(workspace, shard, task.pieces, common.image_ids)
    return Joined(task, workspace.written_bytes)


def _tasks(job: Job, division: Division, fitted: FittedRuns) -> list[ExtractTask]:
    whole = ExtractTask(
        job.run,
        job.checkpoint,
        fitted.examples[job.checkpoint.signature],
        job.shards,
        frozenset(output.name for output in job.fit.outputs if output.name in job.wanted),
        copies.url_of(job.checkpoint.path),
        None,
    )
    return [replace(whole, piece=piece) for piece in division.missing] if division.pieces else [whole]
