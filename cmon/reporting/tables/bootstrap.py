"""Bootstrap intervals of means over units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


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
