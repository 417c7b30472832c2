"""The checkpoints of runs: each epoch of a run once, whatever other files its folder holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmon.checkpoints import checkpoint
from cmon.checkpoints.checkpoint import NO_EPOCH, Checkpoint
from cmon.checkpoints.find import find_checkpoints
from cmon.checkpoints.names import parse_name
from cmon.errors import CmonError
from cmon.progress import Progress, silent
from cmon.workspace.keys import epoch_text

RunCheckpoints = list[tuple[str, Checkpoint]]
"""(run, checkpoint), skipped ones included."""


def inspect_runs(
    folders: Mapping[str, Path],
    weights: str = "raw",
    trust_pickle: bool = False,
    known: Iterable[Mapping[str, Any]] = (),
    progress: Progress = silent,
) -> RunCheckpoints:
    """Find and inspect every checkpoint of every run.

    folders: by the run's name. known: rows of an earlier table `checkpoints`; files with the same bytes are not
    opened again.
    Raises CmonError when a run's folder holds no checkpoint.
    """
    before: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {run: {} for run in folders}
    for row in known:
        before.setdefault(row["run"], {})[row["checkpoint"], row["sha256"]] = row
    files = [(run, folder, path) for run, folder in folders.items() for path in find_checkpoints(folder)]
    found: RunCheckpoints = []
    for run, folder, path in progress(files, "reading checkpoints", len(files)):
        found.append((run, checkpoint.inspect(path, folder, weights, trust_pickle, before[run])))
    return found


def deduplicate_runs(found: RunCheckpoints) -> RunCheckpoints:
    """`deduplicate` for every run, in the same order. Raises CmonError when a run is left with no checkpoint."""
    by_run: dict[str, list[Checkpoint]] = {}
    for run, one in found:
        by_run.setdefault(run, []).append(one)
    for run, own in by_run.items():
        by_run[run] = deduplicate(own)
        if all(one.error for one in by_run[run]):
            first = by_run[run][0]
            raise CmonError(
                f"none of the {len(own)} checkpoints of run {run!r} can be read",
                found=f"{first.name}: {first.error}",
            )
    return [(run, by_run[run].pop(0)) for run, _ in found]


def deduplicate(found: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The same checkpoints in the same order, where each epoch is left once and the others are redundant.

    Copies (the same file under two names, or the same bytes without an epoch of their own) count once. Of several
    checkpoints of one epoch, the first in this order is read: not saved in the middle of the epoch; with the epoch
    in its name; saved later. Where a run has epochs, checkpoints of which only a step is known are not read.
    """
    has_epochs = any(one.error is None and one.epoch_from != "step" for one in found)
    kept: list[Checkpoint] = []
    reasons: dict[str, str] = {}
    for one in sorted(found, key=_preference):
        if reason := _redundancy(one, kept, has_epochs):
            reasons[one.name] = reason
        elif one.error is None:
            kept.append(one)
    return [one.skipped(reasons[one.name], redundant=True) if one.name in reasons else one for one in found]


def find_disagreements(found: Sequence[Checkpoint]) -> list[tuple[Checkpoint, float]]:
    """The checkpoints that store another epoch than their name has, each with its name's; the stored one is used.

    Formats whose names count steps are left out.
    """
    pairs = [
        (one, parse_name(one.name).epoch)
        for one in found
        if one.format is None or not one.format.counts_steps
    ]
    return [
        (one, epoch)
        for one, epoch in pairs
        if one.error is None and one.epoch_from == "stored" and epoch is not None and epoch != one.epoch
    ]


def _preference(one: Checkpoint) -> tuple[bool, bool, bool, bool, int, int]:
    """Sort key: what is rather kept comes first."""
    parsed = one.parsed_name
    named = parsed.epoch == one.epoch or one.epoch_from == "step"
    # Robustness stores one more than the name has; such a name is still better than one without an epoch.
    nameless = parsed.epoch is None
    return (one.error is not None, parsed.partial, not named, nameless, -(one.step or 0), -parsed.version)


def _redundancy(one: Checkpoint, kept: Sequence[Checkpoint], has_epochs: bool) -> str | None:
    """Why a checkpoint need not be read beside those that are kept; None if it must, or cannot be read."""
    if one.error is not None and one.error != NO_EPOCH:
        return None
    for other in kept:
        if len(one.stamp) == 1 and one.stamp[0][:2] == other.stamp[0][:2]:
            return f"the same file as {other.name}"
        # Equal bytes at two epochs are kept: a network that did not change is a finding.
        if one.sha256 == other.sha256 and one.epoch in (None, other.epoch):
            return f"the same content as {other.name}"
    if one.error is None and has_epochs and one.epoch_from == "step":
        return f"no epoch, only step {one.step}, where others of the run have an epoch"
    for other in kept:
        if one.epoch is not None and one.epoch == other.epoch:
            return f"epoch {epoch_text(one.epoch)} is already given by {other.name}"
    return None
