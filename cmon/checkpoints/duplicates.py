"""Which of several checkpoints of one epoch is read. None is dropped whose weights differ, unless what is stored in
it or its name says that it is of the same epoch; where two trainings lie in one folder, cmon stops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from cmon.checkpoints.checkpoint import NO_EPOCH, Checkpoint
from cmon.errors import CmonError
from cmon.workspace.keys import epoch_text

Same = Callable[[Checkpoint, Checkpoint], bool]
"""Whether two checkpoints hold the same weights."""


def deduplicate(found: Sequence[Checkpoint], same: Same) -> list[Checkpoint]:
    """The same checkpoints in the same order, where each epoch is left once and the others are redundant.

    Copies (the same file under two names, the same bytes without an epoch of their own, the same weights) count
    once. Of several checkpoints of one epoch, the first in this order is read: not saved in the middle of the epoch;
    with the epoch in its name; saved later. Two that nothing tells apart are both skipped.
    """
    kept: list[Checkpoint] = []
    changed: dict[int, Checkpoint] = {}
    for one in sorted(found, key=_preference):
        if copy := _find_copy(one, kept):
            changed[id(one)] = one.skipped(copy, redundant=True)
        elif one.error is None:
            rival = next((other for other in kept if other.epoch == one.epoch), None)
            if rival is None:
                kept.append(one)
                continue
            reason = _reason(one, rival, same)
            if reason:
                changed[id(one)] = one.skipped(reason, redundant=True)
                continue
            epoch = epoch_text(one.epoch or 0)
            changed[id(one)] = one.skipped(f"epoch {epoch} is also that of {rival.name}, with other weights")
            if not one.parsed_name.special:
                changed[id(rival)] = rival.skipped(
                    f"epoch {epoch} is also that of {one.name}, with other weights"
                )
    return [changed.get(id(one), one) for one in found]


def check_one_training(found: Sequence[Checkpoint], same: Same) -> None:
    """Raise CmonError where the files are of two trainings or two networks, whose epochs cannot be told apart."""
    numbered = [
        one
        for one in found
        if one.error is None and not one.parsed_name.special and not one.parsed_name.partial
    ]
    series: dict[str, list[Checkpoint]] = defaultdict(list)
    for one in numbered:
        series[one.parsed_name.series].append(one)
    large = [name for name, members in series.items() if len({one.epoch for one in members}) > 1]
    for first, second in combinations(large, 2):
        for one, other in _pairs(series[first], series[second]):
            if not _is_later(one, other) and not same(one, other):
                raise _two_trainings(one, other)
    again = [
        (one, other)
        for members in series.values()
        for one, other in _pairs(members, members)
        if one.parsed_name.version > other.parsed_name.version and one.sha256 != other.sha256
    ]
    if len({one.epoch for one, _ in again}) > 1:
        for one, other in again:
            if not same(one, other):
                raise _two_trainings(one, other)


def _pairs(
    first: Sequence[Checkpoint], second: Sequence[Checkpoint]
) -> Iterator[tuple[Checkpoint, Checkpoint]]:
    """Different checkpoints of one epoch, one of each."""
    for one in first:
        for other in second:
            if one is not other and one.epoch == other.epoch and one.epoch_from == other.epoch_from:
                yield one, other


def _is_later(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two files of one folder are of two moments in the same epoch, as their steps tell."""
    steps = {one.step, other.step}
    return one.path.parent == other.path.parent and None not in steps and len(steps) == 2


def _two_trainings(one: Checkpoint, other: Checkpoint) -> CmonError:
    names = sorted((one.name, other.name))
    folders = [name.rpartition("/")[0] for name in names]
    return CmonError(
        f"{one.path.parent}: several trainings or networks lie in one run's folder",
        expected="one checkpoint for each epoch",
        found=f"{names[0]} and {names[1]}, both of epoch {epoch_text(one.epoch or 0)}, with different weights",
        hint="give each as a run of its own: "
        + (
            " ".join(f"--run NAME=FOLDER/{folder}" for folder in folders)
            if folders[0] != folders[1]
            else "move them into a folder for each, or remove those that are not meant"
        ),
    )


def _preference(one: Checkpoint) -> tuple[bool, bool, bool, bool, bool, int, int]:
    """Sort key: what is rather kept comes first."""
    parsed = one.parsed_name
    named = parsed.epoch == one.epoch or one.epoch_from == "step"
    # Robustness stores one more than the name has; such a name is still better than one without an epoch.
    nameless = parsed.epoch is None
    later = -(one.step or 0), -parsed.version
    return one.error is not None, parsed.partial, not named, nameless, parsed.special, *later


def _find_copy(one: Checkpoint, kept: Sequence[Checkpoint]) -> str | None:
    """Of what a checkpoint is a copy, as a reason; None where it is none, or cannot be read."""
    if one.error is not None and not one.error.startswith(NO_EPOCH):
        return None
    for other in kept:
        if one.stamp and [at[:2] for at in one.stamp] == [at[:2] for at in other.stamp]:
            return f"the same file as {other.name}"
        # Equal bytes at two epochs are kept: a network that did not change is a finding.
        if one.sha256 == other.sha256 and one.epoch in (None, other.epoch):
            return f"the same content as {other.name}"
    return None


def _reason(one: Checkpoint, kept: Checkpoint, same: Same) -> str | None:
    """Why a checkpoint need not be read beside the one that is kept of its epoch; None where its weights are others."""
    given = f"epoch {epoch_text(one.epoch or 0)} is already given by {kept.name}"
    parsed = one.parsed_name
    stored = one.epoch_from == kept.epoch_from == "stored" or (
        one.epoch_from == kept.epoch_from == "step" and one.step == kept.step and one.step is not None
    )
    if stored and (parsed.special or kept.parsed_name.special):
        return given
    if parsed.series == kept.parsed_name.series or parsed.partial or one.path.parent == kept.path.parent:
        later = one.epoch_from != "step" and one.step is not None and (kept.step or 0) > one.step
        if parsed.partial or later or kept.parsed_name.version > parsed.version:
            return given
    return f"the same weights as {kept.name}" if same(one, kept) else None
