"""The difference between two groups of runs with its interval, and what it says of a claim. One number is one run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from cmon.paired_difference import paired_difference

CONFIDENCE = 0.95

Floats = npt.NDArray[np.floating]
Expected = Literal["higher", "lower"]
Verdict = Literal["confirmed", "not confirmed", "unclear here"]


@dataclass(frozen=True)
class Difference:
    """Of a group's mean from the mean of the group that it is held against."""

    reference: float
    """Mean of the group that stands first; NaN where no run has a value."""
    value: float
    """Mean of the other one, likewise."""
    difference: float
    """`value` - `reference`, likewise."""
    low: float
    """Lower end of the difference's interval; NaN for fewer than two pairs, or fewer than two runs in either group."""
    high: float
    """Its upper end, likewise."""
    runs: tuple[int, int]
    """How many runs the two means are over; the same twice where they are paired."""
    method: Literal["paired", "Welch"]

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and it does not hold 0."""
        return self.low > 0 or self.high < 0

    @property
    def count(self) -> str:
        """'3 pairs', or '3 and 2': of the value and of the reference."""
        if self.method == "paired":
            return f"{self.runs[0]} pair{'s' if self.runs[0] != 1 else ''}"
        return f"{self.runs[1]} and {self.runs[0]}"


def paired(reference: Floats, value: Floats, confidence: float = CONFIDENCE) -> Difference:
    """Student's interval of the mean difference of (R,) values, the same pair in the same place; NaN: no value."""
    found = paired_difference(reference, value, confidence)
    means = (found.first, found.last, found.difference, found.low, found.high)
    return Difference(*means, (found.units, found.units), "paired")


def welch(reference: Floats, value: Floats, confidence: float = CONFIDENCE) -> Difference:
    """Welch's interval of the difference of two means; (R,) and (S,) values, NaN for a run that has none.

        d = mean(value) - mean(reference);  e_i = var_i / n_i
        d +- t(confidence, f) * sqrt(e_1 + e_2),  f = (e_1 + e_2)^2 / (e_1^2 / (n_1 - 1) + e_2^2 / (n_2 - 1))

    Welch 1947; with variances of n - 1. Where neither group varies the interval has no width. Not scipy's
    `ttest_ind`, which gives NaN there and warns where groups hardly vary, as shares of 0 and 1 do.
    """
    groups = [own[np.isfinite(own)].astype(np.float64) for own in (reference, value)]
    runs = (len(groups[0]), len(groups[1]))
    before, after = (float(own.mean()) if len(own) else math.nan for own in groups)
    difference = after - before
    half = math.nan
    if min(runs) > 1:
        errors = np.array([own.var(ddof=1) / len(own) for own in groups])
        parts = errors**2 / (np.array(runs) - 1)
        half = 0.0
        if parts.sum() > 0:
            freedom = errors.sum() ** 2 / parts.sum()
            half = float(t.ppf((1 + confidence) / 2, freedom) * math.sqrt(errors.sum()))
    return Difference(before, after, difference, difference - half, difference + half, runs, "Welch")


def verdict(found: Difference, expected: Expected) -> Verdict:
    """What the interval says of the claim that the value is higher, or lower, than the reference.

    'confirmed' where all of it lies on the claimed side of 0, 'not confirmed' where all of it lies on the other one,
    'unclear here' where it holds 0 or there is none.
    """
    if not found.excludes_zero:
        return "unclear here"
    return "confirmed" if (found.low > 0) == (expected == "higher") else "not confirmed"
