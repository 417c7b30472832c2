"""The checkpoints of runs: each epoch of a run once, whatever else lies beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmon.checkpoints import checkpoint
from cmon.checkpoints import find as folders
from cmon.checkpoints import names as naming
from cmon.checkpoints.checkpoint import NO_EPOCH, Checkpoint
from cmon.errors import CmonError
from cmon.progress import Progress, silent
from cmon.workspace.keys import epoch_text

Found = list[tuple[str, Checkpoint]]
"""(run, checkpoint), skipped ones included."""


def survey(
    runs: Mapping[str, Path],
    weights: str = "raw",
    trust_pickle: bool = False,
    known: Iterable[Mapping[str, Any]] = (),
    progress: Progress = silent,
) -> Found:
    """Find and inspect every checkpoint of every run.

    known: rows of an earlier table `checkpoints`; what they tell of unchanged bytes is not read again.
    Raises CmonError when a run's folder holds no checkpoint.
    """
    before: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {run: {} for run in runs}
    for row in known:
        before.setdefault(row["run"], {})[row["checkpoint"], row["sha256"]] = row
    files = [(run, folder, path) for run, folder in runs.items() for path in folders.find(folder)]
    found: Found = []
    for run, folder, path in progress(files, "reading checkpoints", len(files)):
        found.append((run, checkpoint.inspect(path, folder, weights, trust_pickle, before[run])))
    return found


def each_epoch_once(found: Found) -> Found:
    """`settled` for every run, in the same order. Raises CmonError when a run is left with no checkpoint."""
    left: dict[str, list[Checkpoint]] = {}
    for run, one in found:
        left.setdefault(run, []).append(one)
    for run, own in left.items():
        left[run] = settled(own)
        if all(one.error for one in left[run]):
            first = left[run][0]
            raise CmonError(
                f"none of the {len(own)} checkpoints of run {run!r} can be read",
                found=f"{first.name}: {first.error}",
            )
    return [(run, left[run].pop(0)) for run, _ in found]


def settled(found: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The same checkpoints in the same order, those skipped that give no epoch of their own.

    Copies (the same file under two names, or the same bytes without an epoch of their own) count once. Of several
    checkpoints of one epoch those saved in its middle count last, then the one counts whose name says the epoch,
    then the later one. Where a run has epochs, a checkpoint of which only a step is known has no place in it.
    """
    has_epochs = any(one.error is None and one.epoch_from != "step" for one in found)
    kept: list[Checkpoint] = []
    reasons: dict[str, str] = {}
    for one in sorted(found, key=_preference):
        if reason := _reason(one, kept, has_epochs):
            reasons[one.name] = reason
        elif one.error is None:
            kept.append(one)
    return [one.skipped(reasons[one.name], redundant=True) if one.name in reasons else one for one in found]


def disagreements(found: Sequence[Checkpoint]) -> list[tuple[Checkpoint, float]]:
    """The checkpoints that store another epoch than their name says, with the name's; the stored one is used."""
    pairs = [(one, naming.told(one.name).epoch) for one in found if one.kind != "hugging face"]
    return [
        (one, epoch)
        for one, epoch in pairs
        if one.error is None and one.epoch_from == "stored" and epoch is not None and epoch != one.epoch
    ]


def _preference(one: Checkpoint) -> tuple[bool, bool, bool, bool, int, int]:
    told = naming.told(one.name, one.kind == "hugging face")
    named = told.epoch == one.epoch or one.epoch_from == "step"
    # Robustness stores one more than it puts in the name, which is still a better name than none.
    nameless = told.epoch is None
    return (one.error is not None, told.partial, not named, nameless, -(one.step or 0), -told.version)


def _reason(one: Checkpoint, kept: Sequence[Checkpoint], has_epochs: bool) -> str | None:
    if one.error is not None and one.error != NO_EPOCH:
        return None
    for other in kept:
        if one.stamp[:1] and one.stamp[0][:2] == other.stamp[0][:2] and len(one.stamp) == 1:
            return f"the same file as {other.name}"
        # Equal bytes at two epochs are a network that stood still, and that is worth seeing.
        if one.sha256 == other.sha256 and one.epoch in (None, other.epoch):
            return f"the same content as {other.name}"
    if one.error is None and has_epochs and one.epoch_from == "step":
        return f"no epoch, only step {one.step}, where others of the run have an epoch"
    for other in kept:
        if one.epoch is not None and one.epoch == other.epoch:
            return f"epoch {epoch_text(one.epoch)} is already given by {other.name}"
    return None
