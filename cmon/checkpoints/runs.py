"""The checkpoints of runs: each epoch of a run once, whatever other files its folder holds."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cmon.checkpoints import checkpoint, duplicates
from cmon.checkpoints.checkpoint import Checkpoint
from cmon.checkpoints.counting import settle_epochs
from cmon.checkpoints.find import find_checkpoints
from cmon.checkpoints.formats.registry import find_format
from cmon.checkpoints.kinds import INTEGERS, NUMBERS, kind_of
from cmon.checkpoints.names import averaged_twin, parse_names
from cmon.errors import CmonError
from cmon.progress import Progress, silent

logger = logging.getLogger(__name__)

RunCheckpoints = list[tuple[str, Checkpoint]]
"""(run, checkpoint), skipped ones included."""


def inspect_runs(
    folders: Mapping[str, Path],
    weights: str = "raw",
    trust_pickle: bool = False,
    known: Iterable[Mapping[str, Any]] = (),
    progress: Progress = silent,
    finished: Collection[Path] | None = None,
) -> RunCheckpoints:
    """Find and inspect every checkpoint of every run.

    folders: by the run's name. known: rows of an earlier table `checkpoints`; files with the same bytes are not
    opened again. finished: the only ones that are read, where others are still being written.
    Raises CmonError when a run's folder holds no checkpoint.
    """
    before: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {run: {} for run in folders}
    for row in known:
        before.setdefault(row["run"], {})[row["checkpoint"], row["sha256"]] = row
    files = {
        run: [path for path in find_checkpoints(folder) if finished is None or path in finished]
        for run, folder in folders.items()
    }
    names = {run: _parse_all(paths, folders[run]) for run, paths in files.items()}
    work = [(run, path) for run, paths in files.items() for path in paths]
    found: RunCheckpoints = []
    for run, path in progress(work, "reading checkpoints", len(work)):
        name = path.relative_to(folders[run]).as_posix()
        twin = averaged_twin(name)
        averaged = twin is not None and twin in names[run]
        one = checkpoint.inspect(
            path,
            folders[run],
            weights,
            trust_pickle,
            before[run],
            names[run][name],
            entry="raw" if averaged else None,
        )
        if averaged and weights == "raw":
            one = one.skipped(
                f"averaged weights, as its name says, beside {twin}; --weights ema reads them", redundant=True
            )
        found.append((run, one))
    return _without_mixed(found) if weights == "raw" else found


def _parse_all(paths: Sequence[Path], folder: Path) -> dict[str, Any]:
    counts_steps = {}
    for path in paths:
        try:
            steps = find_format(path).counts_steps
        except (OSError, CmonError):
            steps = False
        counts_steps[path.relative_to(folder).as_posix()] = steps
    return parse_names(counts_steps)


def _without_mixed(found: RunCheckpoints) -> RunCheckpoints:
    """Raw weights were asked for: averaged ones are read only where a run has no others."""
    raw = {run for run, one in found if one.error is None and one.weights == "raw"}
    reason = "holds only averaged weights, where others of the run hold raw ones; --weights ema reads them"
    return [
        (run, one.skipped(reason) if one.error is None and one.weights == "ema" and run in raw else one)
        for run, one in found
    ]


def deduplicate_runs(found: RunCheckpoints, trust_pickle: bool = False) -> RunCheckpoints:
    """`deduplicate` for every run, in the same order. Raises CmonError when a run is left with no checkpoint."""
    by_run: dict[str, list[Checkpoint]] = {}
    for run, one in found:
        by_run.setdefault(run, []).append(one)
    for run, own in by_run.items():
        by_run[run], said = deduplicate(own, trust_pickle)
        for text in said:
            logger.warning("%s: %s", run, text)
        if all(one.error for one in by_run[run]):
            first = by_run[run][0]
            raise CmonError(
                f"none of the {len(own)} checkpoints of run {run!r} can be read",
                found=f"{first.name}: {first.error}",
            )
    return [(run, by_run[run].pop(0)) for run, _ in found]


def deduplicate(
    found: Sequence[Checkpoint], trust_pickle: bool = False
) -> tuple[list[Checkpoint], list[str]]:
    """The checkpoints of one run, each epoch once, and what to say about them; see `settle_epochs`, `duplicates`.

    Raises CmonError where two trainings lie in one folder.
    """

    def same(one: Checkpoint, other: Checkpoint) -> bool:
        return one.sha256 == other.sha256 or _same_weights(one, other, trust_pickle)

    duplicates.check_one_training(found, same)
    settled, said = settle_epochs(found)
    return duplicates.deduplicate(settled, same), said


def _same_weights(one: Checkpoint, other: Checkpoint, trust_pickle: bool) -> bool:
    """Whether two checkpoints hold the same values under the same names of the network."""
    try:
        first, second = (
            {
                name.removeprefix(each.prefix or ""): tensor
                for name, tensor in checkpoint.read(each.path, each.entry, trust_pickle).tensors.items()
                if name.startswith(each.prefix or "")
            }
            for each in (one, other)
        )
    except CmonError:
        return False
    return first.keys() == second.keys() and all(_are_equal(first[name], second[name]) for name in first)


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same values; of kinds that cannot be a network's weights, none do."""
    plain = kind_of(one) == kind_of(other) in (NUMBERS, INTEGERS)
    return plain and one.dtype == other.dtype and torch.equal(one, other)


def find_disagreements(found: Sequence[Checkpoint]) -> list[tuple[Checkpoint, float]]:
    """The checkpoints that store another epoch than their name has, each with its name's; the stored one is used.

    Formats whose names count steps are left out.
    """
    pairs = [
        (one, one.parsed_name.epoch) for one in found if one.format is None or not one.format.counts_steps
    ]
    return [
        (one, epoch)
        for one, epoch in pairs
        if one.error is None and one.epoch_from == "stored" and epoch is not None and epoch != one.epoch
    ]
