"""The numbers that sum units up, as functions of arrays: significance, d_anchor, movement."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def p_values(observed: Floats, null: Floats) -> Floats:
    """Share of the null at least as large, counting the observed value itself: (1 + #{null >= x}) / (1 + M).

    observed: (K,), null: (M,). Returns (K,) in (0, 1]. Never 0: M draws cannot tell less than 1 / (M + 1)
    (Phipson & Smyth 2010).
    """
    ordered = np.sort(null)
    at_least = len(ordered) - np.searchsorted(ordered, observed, side="left")
    return (1 + at_least) / (1 + len(ordered))


def discoveries(p: Floats, rate: float) -> npt.NDArray[np.bool_]:
    """Which hypotheses to reject so that the expected share of false ones among them is at most `rate`.

    Benjamini & Hochberg 1995: the k smallest, k the largest with p_(k) <= rate * k / K. (K,) to (K,) bool.
    """
    order = np.argsort(p, kind="stable")
    passing = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / len(p))
    found = np.zeros(len(p), dtype=bool)
    if len(passing):
        found[order[: passing[-1] + 1]] = True
    return found
