"""What counts as the epoch in a run: the number that tells its checkpoints apart.

A training program may store the same epoch in every file, or save several times in an epoch. Then the step is
taken, or the number in the name, and cmon says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.workspace.keys import epoch_text

Settled = tuple[list[Checkpoint], list[str]]
"""Checkpoints in the order in which they were given, and what to say about them."""


def settle_epochs(own: Sequence[Checkpoint]) -> Settled:
    """The checkpoints of one run with the number that counts as their epoch.

    own: all of the run; those with an error stay as they are.
    """
    for settle in (_constant_epoch, _within_epochs, _steps_beside_epochs):
        found, said = settle(own)
        if said:
            return found, said
    return list(own), _remarks(own)


def _constant_epoch(own: Sequence[Checkpoint]) -> Settled:
    """Where all files have one epoch and another number differs, that number counts."""
    counted = [one for one in own if one.error is None and one.epoch_from != "step"]
    epochs = {one.epoch for one in counted}
    if len({one.sha256 for one in counted}) < 2 or len(epochs) != 1:
        return list(own), []
    same = f"epoch {epoch_text(epochs.pop() or 0)} in all of its checkpoints"
    steps = {one.step for one in counted if one.step is not None}
    if len(steps) > 1:
        said = f"{same}; the step is used as the epoch"
        return _map(own, lambda one: _by_step(one, f"{same}, and no step")), [said]
    named = {one.parsed_name.epoch for one in counted} - {None}
    if len(named) > 1:
        said = f"{same}, as stored; the one in their names is used"
        return _map(own, lambda one: _by_name(one, f"{same}, and none in its name")), [said]
    return list(own), []


def _within_epochs(own: Sequence[Checkpoint]) -> Settled:
    """Where most epochs were saved several times, the steps count: no checkpoint is lost."""
    counted = [
        one
        for one in own
        if one.error is None
        and one.epoch_from != "step"
        and one.step is not None
        and not one.parsed_name.special
        and not one.parsed_name.version
    ]
    epochs, steps = {one.epoch for one in counted}, {one.step for one in counted}
    if (len(steps) - len(epochs)) * 2 <= len(epochs):
        return list(own), []
    said = f"several checkpoints of most epochs ({len(steps)} of {len(epochs)} epochs); the step is used as the epoch"
    return _map(
        own, lambda one: _by_step(one, "no step, where the others of the run are told apart by it")
    ), [said]


def _steps_beside_epochs(own: Sequence[Checkpoint]) -> Settled:
    """Where some files have an epoch and some only a step, the larger part counts."""
    readable = [one for one in own if one.error is None]
    steps = {one.step for one in readable if one.epoch_from == "step"}
    epochs = {one.epoch for one in readable if one.epoch_from != "step"}
    if not steps or not epochs:
        return list(own), []
    if len(steps) > 2 * len(epochs):
        said = f"{len(steps)} checkpoints with a step alone, {len(epochs)} with an epoch; the step is used as the epoch"
        return _map(own, lambda one: _by_step(one, "no step, where others of the run have no epoch")), [said]

    def by_epoch(one: Checkpoint) -> Checkpoint:
        if one.epoch_from != "step":
            return one
        return one.skipped(f"no epoch, only step {one.step}, where others of the run have an epoch")

    said = f"{len(steps)} checkpoints with a step alone are left out, where {len(epochs)} have an epoch"
    return _map(own, by_epoch), [said]


def _remarks(own: Sequence[Checkpoint]) -> list[str]:
    """What to say where steps count, or a number that looked like an epoch is the same in all names."""
    if any(one.error is None and one.epoch_from == "step" for one in own):
        return ["its checkpoints have no epoch, only steps; the step is used as the epoch"]
    counted = [
        one
        for one in own
        if one.error is None
        and one.kind == "accelerate"
        and one.epoch_from == "name"
        and one.parsed_name.unlabelled
    ]
    if counted:
        return [
            f"Accelerate numbers its folders by how often it saved ({counted[0].name}); this is used as the epoch"
        ]
    passed = [one for one in own if one.epoch_from == "name" and one.parsed_name.constant]
    if not passed:
        return []
    one = passed[0]
    return [
        f"the number {one.parsed_name.constant} in {one.name} is the same in all names; "
        f"{epoch_text(one.epoch or 0)} is used as the epoch"
    ]


def _map(own: Sequence[Checkpoint], change: Callable[[Checkpoint], Checkpoint]) -> list[Checkpoint]:
    return [change(one) if one.error is None else one for one in own]


def _by_step(one: Checkpoint, without: str) -> Checkpoint:
    if one.step is None:
        return one.skipped(without)
    return replace(one, epoch=float(one.step), epoch_from="step")


def _by_name(one: Checkpoint, without: str) -> Checkpoint:
    if one.parsed_name.epoch is None:
        return one.skipped(without)
    return replace(one, epoch=one.parsed_name.epoch, epoch_from="name")
