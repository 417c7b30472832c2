"""A claim as a contrast of two sides of a study, and what its runs say of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from cmon.workspace.keys import epoch_text
from scripts.cases.intervals import Difference, Expected, Verdict, paired, verdict, welch
from scripts.cases.results import Measure, Results

Role = Literal["claim", "other layer", "beside"]
"""Of a contrast: part of a claim, the same in a layer that the claim is not about, or a control or number beside it."""


@dataclass(frozen=True)
class Side:
    """The runs of a recipe, in a layer at an epoch."""

    recipe: str
    layer: str
    epoch: float

    def text(self, other: Side) -> str:
        """What tells it from the other side: 'epoch 10', 'layer4', 'adversarial'."""
        parts = [
            name
            for name, differs in (
                (self.recipe, self.recipe != other.recipe),
                (self.layer, self.layer != other.layer),
                (f"epoch {epoch_text(self.epoch)}", self.epoch != other.epoch),
            )
            if differs
        ]
        return ", ".join(parts) or self.recipe


@dataclass(frozen=True)
class Contrast:
    """The measure of one side against that of another."""

    claim: int
    """Which of the paper's, 1 to 5."""
    says: str
    """What would be so if the claim holds."""
    measure: Measure
    value: Side
    reference: Side
    """What `value` is held against."""
    expected: Expected | None
    """Which side of 0 the difference is claimed to be on; None for a number beside the claims."""
    role: Role = "claim"
    masked: bool = False
    """Whether both sides are one network's initial weights under two masks: so their seeds pair, though they differ."""


@dataclass(frozen=True)
class Finding:
    """A contrast and its numbers."""

    contrast: Contrast
    difference: Difference
    verdict: Verdict | None
    """None where nothing is claimed."""
    missing: str
    """Which runs have no value, and why; empty if all have one."""

    @property
    def where(self) -> str:
        """What both sides have in common: 'standard, layer4'; what differs is in `compared`."""
        value, reference = self.contrast.value, self.contrast.reference
        parts = []
        if value.recipe == reference.recipe:
            parts.append(value.recipe)
        if value.layer == reference.layer:
            parts.append(value.layer)
        if value.epoch == reference.epoch:
            parts.append(f"epoch {epoch_text(value.epoch)}")
        return ", ".join(parts)

    @property
    def compared(self) -> str:
        """'epoch 10 - epoch 0'."""
        value, reference = self.contrast.value, self.contrast.reference
        return f"{value.text(reference)} − {reference.text(value)}"


def find(results: Results, contrast: Contrast) -> Finding:
    """Measure a contrast over runs.

    Paired by seed where both sides are of the same runs, or start from the same weights; else Welch's. Runs without a
    value are left out, and named.
    """
    value, reference = contrast.value, contrast.reference
    ours, theirs = (
        results.of(contrast.measure, side.recipe, side.layer, side.epoch) for side in (value, reference)
    )
    both = sorted({*ours.dropna().index} & {*theirs.dropna().index})
    if both and _in_pairs(results, contrast):
        found = paired(theirs.reindex(both).to_numpy(), ours.reindex(both).to_numpy())
    else:
        found = welch(theirs.to_numpy(), ours.to_numpy())
    missing = [
        *_missing(results, contrast.measure, reference, theirs),
        *_missing(results, contrast.measure, value, ours),
    ]
    said = None if contrast.expected is None else verdict(found, contrast.expected)
    return Finding(contrast, found, said, "; ".join(dict.fromkeys(missing)))


def _in_pairs(results: Results, contrast: Contrast) -> bool:
    value, reference = contrast.value, contrast.reference
    return (
        contrast.masked
        or value.recipe == reference.recipe
        or results.start_alike(reference.recipe, value.recipe)
    )


def _missing(results: Results, measure: Measure, side: Side, values: pd.Series) -> list[str]:
    """Why runs of the side have no value."""
    if values.empty:
        return [f"{side.recipe}: no run"]
    return [
        results.why_missing(measure, side.recipe, seed, side.layer, side.epoch)
        for seed, value in zip(results.seeds(side.recipe), values, strict=True)
        if not np.isfinite(value)
    ]
