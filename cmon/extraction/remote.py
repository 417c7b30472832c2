"""One checkpoint on a worker of a cluster: the same files as on one machine, or an error.

The process that was started plans everything and sends plain data. A worker builds the network itself, once, and
checks that it reads it in the same way: from other libraries would come other numbers. It writes the activation files
of its checkpoint, and no table.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from cmon.checkpoints.checkpoint import Checkpoint, moved, read_unchanged
from cmon.checkpoints.state_dict import WeightsMismatch
from cmon.distributed.runner import Runner, require_seen
from cmon.errors import CmonError
from cmon.extraction.activations import UnreadableCheckpoint, run_job
from cmon.extraction.arithmetic import arithmetic
from cmon.extraction.feed import PixelFeed
from cmon.extraction.fitting import Fit, FittedRuns, fit_network
from cmon.extraction.preprocessing import FoundPreprocess
from cmon.extraction.settings import ExtractSettings
from cmon.extraction.shards import Job, Shard, plan_shards
from cmon.images.pixel_cache import Probe, open_probe
from cmon.images.preprocessing import Preprocess, ResizeCrop
from cmon.images.trial import trial_pictures
from cmon.progress import Progress
from cmon.storage import copies
from cmon.workspace import costs
from cmon.workspace.files import digest
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class Extraction:
    """What all tasks have in common."""

    root: Path
    """Of the workspace."""
    settings: ExtractSettings
    """With the device of the workers, and the layers of earlier extractions too."""
    probe: str
    """Origin of the decoded images."""
    preprocess: FoundPreprocess | None
    """None where it is a function of the user's own, which each worker takes from its network."""
    trial: str
    """Hash of what the preprocessing makes of a trial picture."""


@dataclass(frozen=True)
class ExtractTask:
    """One checkpoint, and the activation files to write from it."""

    run: str
    checkpoint: Checkpoint
    example: Checkpoint
    """The one whose weights the network is traced with."""
    shards: tuple[Shard, ...]
    wanted: frozenset[str]
    """As of `Job`."""
    url: str | None
    """Of a checkpoint in a store: each machine has a copy of its own."""


@dataclass(frozen=True)
class Extracted:
    """What came of a task."""

    run: str
    checkpoint: str
    """Its name."""
    images: int
    written_bytes: int
    error: CmonError | None
    """Why the checkpoint could not be run."""


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
        _trial(found.preprocess),
    )
    tasks = [
        ExtractTask(
            job.run,
            job.checkpoint,
            fitted.examples[job.checkpoint.signature],
            job.shards,
            frozenset(output.name for output in job.fit.outputs if output.name in job.wanted),
            copies.url_of(job.checkpoint.path),
        )
        for job in jobs
    ]
    failures = {}
    outcomes: Iterator[Extracted] = runner.run(extract_one, common, tasks) if tasks else iter(())
    for one in progress(outcomes, runner.describe("extracting activations"), len(tasks)):
        work.items += one.images
        workspace.written_bytes += one.written_bytes
        if one.error is not None:
            failures[one.run, one.checkpoint] = one.error
    return failures


def extract_one(common: Extraction, task: ExtractTask) -> Extracted:
    """Write the activation files of one checkpoint. What is wrong with the checkpoint is in the outcome.

    Raises CmonError for what is wrong with this machine.
    """
    kept = _kept_for(common)
    if task.url is None:
        require_seen(task.checkpoint.path.parent, "the folder of a checkpoint")
    images = 0
    written = kept.workspace.written_bytes
    error = None
    try:
        task = _with_own_copy(task)
        with arithmetic(common.settings.precision, common.settings.device):
            fit = kept.fit(task)
            _check_same(task, fit, kept)
            job = Job(task.run, task.checkpoint, fit, task.shards, task.wanted)
            for some in run_job(kept.workspace, job, kept.probe, kept.feed, kept.preprocess, common.settings):
                images += some
    except UnreadableCheckpoint as problem:
        error = problem
    return Extracted(task.run, task.checkpoint.name, images, kept.workspace.written_bytes - written, error)


def _with_own_copy(task: ExtractTask) -> ExtractTask:
    """The task with its checkpoint as this machine has it. Raises UnreadableCheckpoint where it is another by now."""
    if task.url is None:
        return task
    path = copies.path_of(task.url)
    try:
        copies.refresh(path)
    except copies.NothingThere as error:
        raise UnreadableCheckpoint(error.line) from error
    try:
        own = moved(task.checkpoint, path)
    except OSError as error:
        raise UnreadableCheckpoint(f"{path}: cannot be read: {error.strerror or error}") from error
    except CmonError as error:
        raise UnreadableCheckpoint(error.line) from error
    return replace(task, checkpoint=own, example=own)  # any of its signature fits the same network


class _Kept:
    """What a worker process keeps from one task to the next: its networks, and the decoded images."""

    def __init__(self, common: Extraction) -> None:
        self.common = common
        self.workspace = Workspace(common.root)
        if not self.workspace.is_url:
            require_seen(common.root, "the workspace")
        self._fits: dict[str | None, Fit] = {}
        self._found = common.preprocess

    @property
    def preprocess(self) -> Preprocess:
        if self._found is None:
            raise AssertionError("a network is built before images are read")
        return self._found.preprocess

    @cached_property
    def probe(self) -> Probe:
        return open_probe(self.workspace, self.common.probe, self.preprocess)

    @cached_property
    def feed(self) -> PixelFeed:
        return PixelFeed(self.probe.pixels, self.common.settings.device)

    def fit(self, task: ExtractTask) -> Fit:
        """The network that fits a task's checkpoint. Raises UnreadableCheckpoint when that cannot be read."""
        signature = task.checkpoint.signature
        if signature not in self._fits:
            try:
                tensors: Mapping[str, Tensor] = read_unchanged(
                    task.example, self.common.settings.trust_pickle
                )
            except CmonError:  # it is gone since; any other of its signature fits the same network
                tensors = _read(task.checkpoint, self.common.settings)
            self._fits[signature], self._found = self._build(tensors)
            if _trial(self.preprocess) != self.common.trial:
                raise _other_machine("other pixels of a trial picture")
        return self._fits[signature]

    def _build(self, tensors: Mapping[str, Tensor]) -> tuple[Fit, FoundPreprocess]:
        try:
            return fit_network(tensors, self.common.settings, self._found)
        except WeightsMismatch as error:
            raise UnreadableCheckpoint(error.line) from error
        except CmonError as error:
            raise CmonError(
                f"{socket.gethostname()}: this machine of the cluster cannot build the network: {error.problem}",
                expected="the network that the machine which gives the tasks could build",
                found=error.found,
                hint="install the same libraries on all machines, and put the code of --model python:... on storage "
                "that they share",
            ) from error


_kept: _Kept | None = None


def _kept_for(common: Extraction) -> _Kept:
    global _kept
    if _kept is None or _kept.common != common:
        _kept = None  # before anything is built: two sets of networks may be too much
        _kept = _Kept(common)
    return _kept


def _read(checkpoint: Checkpoint, settings: ExtractSettings) -> Mapping[str, Tensor]:
    try:
        return read_unchanged(checkpoint, settings.trust_pickle)
    except CmonError as error:
        raise UnreadableCheckpoint(error.line) from error


def _check_same(task: ExtractTask, fit: Fit, kept: _Kept) -> None:
    """Raise CmonError unless this machine reads the network as the one that planned."""
    layers = frozenset(shard.layer for shard in task.shards)
    own = plan_shards(
        {task.checkpoint.signature: fit},
        [(task.run, task.checkpoint)],
        {task.run: layers},
        kept.common.probe,
        kept.common.settings,
    )
    missing = [shard for shard in task.shards if shard not in own]
    if missing:
        raise _other_machine(f"layer {missing[0].layer} in another way")


def _other_machine(found: str) -> CmonError:
    return CmonError(
        f"{socket.gethostname()}: this machine of the cluster would give other activations",
        expected="networks that are read as on the machine that gives the tasks",
        found=found,
        hint="install the same libraries, and the same code of --model, on all machines",
    )


def _trial(preprocess: Preprocess) -> str:
    pixels = np.ascontiguousarray(preprocess.pixels(trial_pictures(1)[0]))
    return digest(pixels.shape, str(pixels.dtype), pixels.tobytes().hex())
