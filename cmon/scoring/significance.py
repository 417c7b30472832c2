"""The numbers that sum units up, as functions of arrays: significance, d_anchor, movement."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

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


_COUNTS = 2**17
"""Draws at a time: few enough that counting them stays in a core's own cache."""


@dataclass(frozen=True)
class Mean:
    """A mean with a percentile bootstrap confidence interval."""

    value: float
    low: float
    high: float


def bootstrap_mean(values: Floats, seed: int, confidence: float = 0.95, resamples: int = 10_000) -> Mean:
    """Mean of (K,) values, and the percentile interval of the means of resamples of size K.

    No values give NaN for all three; one value gives an interval of no width.
    """
    if len(values) == 0:
        return Mean(np.nan, np.nan, np.nan)
    means = resampled_means(values[:, None], seed, resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Mean(float(values.mean()), float(low), float(high))


def resampled_means(values: Floats, seed: int, resamples: int = 10_000) -> Floats:
    """Means of bootstrap resamples: of K rows, K are drawn with replacement, the same ones for every column.

    values: (K,M), K at least 1. Returns (resamples, M) float64. NaN stands for a missing value: a column's mean is
    over the drawn rows that have one, and NaN where none does. Every mean lies between the column's extremes.
    Memory: that, and max(K, 2^17) numbers a few times over.
    """
    rows, columns = values.shape
    generator = np.random.default_rng(seed)
    known = np.isfinite(values)
    missing = not known.all()
    filled = np.where(known, values, 0.0)
    means = np.empty((resamples, columns))
    step = max(1, _COUNTS // rows)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = generator.integers(rows, size=(count, rows))
        drawn += rows * np.arange(count)[:, None]
        # How often each row was drawn: with that, all columns are one matrix product.
        times = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)
        part = means[start : start + count]
        np.matmul(times, filled, out=part)
        if missing:
            drawn_known = times @ known
            np.divide(part, drawn_known, out=part, where=drawn_known > 0)
            part[drawn_known == 0] = np.nan
        else:
            part /= rows
    low, high = np.where(known, values, np.inf).min(axis=0), np.where(known, values, -np.inf).max(axis=0)
    return np.clip(means, low, high, out=means)  # rounding in the product must not leave the values' range


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's (1927) score interval for a share; NaN without trials. It never leaves 0..1."""
    if trials == 0:
        return float("nan"), float("nan")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * (share * (1 - share) / trials + z * z / (4 * trials**2)) ** 0.5
    # No rounding at the ends: the interval of 0 of 10 holds 0.
    return middle - half if successes else 0.0, middle + half if successes < trials else 1.0


def nearest(points: Floats, anchors: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Index of and Euclidean distance to the nearest anchor: (K,D) and (A,D) to (K,) and (K,).

    The distances whose mean over the live units is d_anchor (Concept-Monitor, arXiv 2304.13346).
    """
    index = np.empty(len(points), dtype=np.intp)
    distance = np.empty(len(points))
    for start in range(0, len(points), 4096):
        block = points[start : start + 4096, None, :] - anchors[None] if points.shape[1] <= 3 else None
        if block is not None:
            squares = np.einsum("kad,kad->ka", block, block)
        else:  # unit vectors: |u - v|^2 = |u|^2 + |v|^2 - 2 u.v, without a (K,A,D) array
            part = points[start : start + 4096]
            squares = (part**2).sum(1)[:, None] + (anchors**2).sum(1)[None] - 2 * part @ anchors.T
        chosen = squares.argmin(axis=1)
        index[start : start + 4096] = chosen
        distance[start : start + 4096] = np.sqrt(np.maximum(squares[np.arange(len(chosen)), chosen], 0))
    return index, distance
