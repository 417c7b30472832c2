"""Which units are interpretable: p-values against a null distribution, and the false discovery rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control

Floats = npt.NDArray[np.floating]

_ROUNDING = 1e-12
"""Relative. A p-value that is exactly at the limit counts as below it, however the limit is rounded."""


def p_values(observed: Floats, null: Floats) -> Floats:
    """Share of the null at least as large, counting the observed value itself: (1 + #{null >= x}) / (1 + M).

    observed: (K,), null: (M,). Returns (K,) in (0, 1]. Never 0: M draws cannot show less than 1 / (M + 1)
    (Phipson & Smyth 2010).
    """
    ordered = np.sort(null)
    at_least = len(ordered) - np.searchsorted(ordered, observed, side="left")
    return (1 + at_least) / (1 + len(ordered))


def discoveries(p: Floats, rate: float) -> npt.NDArray[np.bool_]:
    """Which hypotheses to reject so that the expected share of false ones among them is at most `rate`.

    Benjamini & Hochberg 1995: the k smallest, k the largest with p_(k) <= rate * k / K. (K,) to (K,) bool.
    """
    rejected: npt.NDArray[np.bool_] = false_discovery_control(p) <= rate * (1 + _ROUNDING)
    return rejected
