"""What a worker process keeps from one task of an extraction to the next, and how it gets a task's checkpoint.

The process that was started sends plain data. A worker builds the network itself, once, and checks that it reads it in
the same way: from other libraries would come other numbers.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from cmon.checkpoints.checkpoint import Checkpoint, moved, read_unchanged
from cmon.checkpoints.state_dict import WeightsMismatch
from cmon.distributed.runner import require_seen
from cmon.errors import CmonError
from cmon.extraction.activations import UnreadableCheckpoint
from cmon.extraction.feed import PixelFeed
from cmon.extraction.fitting import Fit, fit_network
from cmon.extraction.pieces import Piece
from cmon.extraction.preprocessing import FoundPreprocess
from cmon.extraction.settings import ExtractSettings
from cmon.extraction.shards import Shard, plan_shards
from cmon.images.pixel_cache import Probe, open_probe
from cmon.images.preprocessing import Preprocess
from cmon.images.trial import trial_pictures
from cmon.storage import copies
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
    """One checkpoint or a piece of it, and the activation files to write from it."""

    run: str
    checkpoint: Checkpoint
    example: Checkpoint
    """The one whose weights the network is traced with."""
    shards: tuple[Shard, ...]
    wanted: frozenset[str]
    """As of `Job`."""
    url: str | None
    """Of a checkpoint in a store: each machine has a copy of its own."""
    piece: Piece | None
    """The images to run; None for all."""


class Kept:
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
            if hash_trial(self.preprocess) != self.common.trial:
                raise _other_machine("other pixels of a trial picture")
        return self._fits[signature]

    def check_same(self, task: ExtractTask, fit: Fit) -> None:
        """Raise CmonError unless this machine reads the network as the one that planned."""
        layers = frozenset(shard.layer for shard in task.shards)
        own = plan_shards(
            {task.checkpoint.signature: fit},
            [(task.run, task.checkpoint)],
            {task.run: layers},
            self.common.probe,
            self.common.settings,
        )
        missing = [shard for shard in task.shards if shard not in own]
        if missing:
            raise _other_machine(f"layer {missing[0].layer} in another way")

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


_kept: Kept | None = None


def kept_for(common: Extraction) -> Kept:
    """What this process keeps for the tasks of an extraction; of another one, it forgets all."""
    global _kept
    if _kept is None or _kept.common != common:
        _kept = None  # before anything is built: two sets of networks may be too much
        _kept = Kept(common)
    return _kept


def with_own_copy(task: ExtractTask) -> ExtractTask:
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


def hash_trial(preprocess: Preprocess) -> str:
    """Hash of what a preprocessing makes of a trial picture."""
    pixels = np.ascontiguousarray(preprocess.pixels(trial_pictures(1)[0]))
    return digest(pixels.shape, str(pixels.dtype), pixels.tobytes().hex())


def _read(checkpoint: Checkpoint, settings: ExtractSettings) -> Mapping[str, Tensor]:
    try:
        return read_unchanged(checkpoint, settings.trust_pickle)
    except CmonError as error:
        raise UnreadableCheckpoint(error.line) from error


def _other_machine(found: str) -> CmonError:
    return CmonError(
        f"{socket.gethostname()}: this machine of the cluster would give other activations",
        expected="networks that are read as on the machine that gives the tasks",
        found=found,
        hint="install the same libraries, and the same code of --model, on all machines",
    )
