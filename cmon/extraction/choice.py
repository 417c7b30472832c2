"""Which of the checkpoints are read: `--epoch`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.checkpoints.runs import RunCheckpoints
from cmon.errors import CmonError
from cmon.workspace.keys import epoch_text

logger = logging.getLogger(__name__)


def choose_epochs(found: RunCheckpoints, epochs: Sequence[tuple[float, float]]) -> RunCheckpoints:
    """The same checkpoints, those of other epochs left out; nothing given is every epoch.

    found: each epoch of a run once. epochs: from and to, both included.
    Raises CmonError for a range in which no run has an epoch. A run that has none in any is warned of.
    """
    if not epochs:
        return found
    readable = [one for _, one in found if one.error is None]
    for low, high in epochs:
        if not any(_inside(one, [(low, high)]) for one in readable):
            text = epoch_text(low) if low == high else f"{epoch_text(low)}:{epoch_text(high)}"
            known = sorted({one.epoch for one in readable if one.epoch is not None})
            raise CmonError(
                f"--epoch {text}: no checkpoint of that epoch can be read",
                expected=f"some of: {', '.join(map(epoch_text, known))}",
                found=text,
            )
    chosen = [
        (run, one if one.error is not None or _inside(one, epochs) else _left_out(one)) for run, one in found
    ]
    with_some = {run for run, one in chosen if one.error is None}
    for run in dict.fromkeys(run for run, _ in chosen):
        if run not in with_some:
            logger.warning("%s: has no checkpoint of the chosen epochs, and nothing of it is read", run)
    return chosen


def _inside(one: Checkpoint, epochs: Sequence[tuple[float, float]]) -> bool:
    return one.epoch is not None and any(low <= one.epoch <= high for low, high in epochs)


def _left_out(one: Checkpoint) -> Checkpoint:
    return replace(one, error=f"epoch {epoch_text(one.epoch or 0)} was not chosen", left_out=True)
