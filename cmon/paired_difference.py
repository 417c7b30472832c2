"""Whether the same units have another value now than before: the mean difference, its interval, and a word for it.

What is paired need not be units: `reporting/tables/seeds` pairs runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t

Verdict = Literal["falls", "rises", "stays"]


@dataclass(frozen=True)
class PairedDifference:
    """Of the units that have a value at both times."""

    units: int
    """How many these are."""
    first: float
    """Their mean value then; NaN where there is no such unit."""
    last: float
    """Their mean value now, likewise."""
    difference: float
    """`last` - `first`, likewise."""
    low: float
    """Lower end of the difference's confidence interval; NaN for fewer than two units."""
    high: float
    """Its upper end, likewise."""

    @property
    def verdict(self) -> Verdict | None:
        """'falls' or 'rises' where the interval lies on one side of 0, else 'stays'; None for fewer than two units."""
        if math.isnan(self.low):
            return None
        if self.high < 0:
            return "falls"
        return "rises" if self.low > 0 else "stays"


def paired_difference(
    first: npt.NDArray[np.floating], last: npt.NDArray[np.floating], confidence: float = 0.95
) -> PairedDifference:
    """The mean of last - first over the units where both are finite, with Student's interval of paired values.

        d = last - first;  mean(d) +- t(confidence, n - 1) * sd(d) / sqrt(n)

    first, last: (K,), the same unit in the same row; NaN where it has no value. A unit is held against itself, so that
    how much units differ from each other does not widen the interval, as it does where the two means are compared
    (Student 1908). It takes units as independent; units that share their top images are not, and then it is too narrow.
    """
    both = np.isfinite(first) & np.isfinite(last)
    before, after = first[both].astype(np.float64), last[both].astype(np.float64)
    count = len(before)
    if not count:
        return PairedDifference(0, *[math.nan] * 5)
    return PairedDifference(
        count, float(before.mean()), float(after.mean()), *mean_interval(after - before, confidence)
    )


def mean_interval(values: npt.NDArray[np.floating], confidence: float = 0.95) -> tuple[float, float, float]:
    """The mean of (K,) finite values, and the ends of Student's interval of it: NaN for fewer than two.

    mean(x) +- t(confidence, n - 1) * sd(x) / sqrt(n), with n - 1 in sd's denominator (Student 1908).
    """
    count = len(values)
    if not count:
        return math.nan, math.nan, math.nan
    mean = float(values.mean())
    half = math.nan
    if count > 1:
        half = float(_quantile(confidence, count - 1) * values.std(ddof=1) / math.sqrt(count))
    return mean, mean - half, mean + half


@lru_cache(maxsize=1024)
def _quantile(confidence: float, freedom: int) -> float:
    """Of Student's t: the interval's half width in standard errors."""
    return float(t.ppf((1 + confidence) / 2, freedom))
