"""What the terminal says of an epoch: one line."""

from __future__ import annotations

from collections.abc import Sequence

from cmon.watching.measures import Measures
from cmon.workspace.keys import epoch_text


def epoch_line(
    run: str, epoch: float, layers: Sequence[Measures], before: float | None, seconds: float
) -> str:
    """A run's epoch with all of its layers.

    layers: of that run and epoch; none where a later stage leaves the epoch out. before: the run's epoch before
    this one. seconds: what the round took in which it was made.
    """
    said = "; ".join(_layer(one, before) for one in layers) or "not among what the stages were asked to show"
    return f"{run}, epoch {epoch_text(epoch)}: {said} ({seconds:.0f} s)"


def _layer(one: Measures, before: float | None) -> str:
    parts = []
    if one.d_anchor is not None and one.d_anchor_clip is not None:
        parts.append(f"d_anchor {one.d_anchor:.3f} (CLIP {one.d_anchor_clip:.3f})")
    if one.interpretable is not None:
        parts.append(f"{100 * one.interpretable:.0f} % interpretable")
    if before is not None and one.relabelled is not None:
        parts[-1] += (
            f" (+{one.born} -{one.lost}, {one.relabelled} relabelled since epoch {epoch_text(before)})"
        )
    return f"{one.layer} " + (", ".join(parts) or f"{one.units:,} units read")
