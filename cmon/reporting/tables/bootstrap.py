"""Bootstrap of means over units: resampled means, and their percentile intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

RESAMPLES = 10_000
_COUNTS = 2**17
"""Draws at a time: few enough that counting them stays in a core's own cache."""
_GROUPS = 64
"""Groups of one size at a time."""


def resampled_means(values: Floats, seed: int, resamples: int = RESAMPLES) -> Floats:
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


def resampled_groups(
    groups: Sequence[Floats], seed: int, resamples: int = RESAMPLES
) -> Iterator[tuple[int, Floats]]:
    """(position in `groups`, (resamples, M) means) of each group of (K, M) values that has any.

    Groups of one size share their draws, which take most of the time.
    """
    sizes = np.array([len(group) for group in groups])
    for size in np.unique(sizes[sizes > 0]):
        same = np.flatnonzero(sizes == size)
        for start in range(0, len(same), _GROUPS):
            some = same[start : start + _GROUPS]
            means = resampled_means(np.concatenate([groups[at] for at in some], axis=1), seed, resamples)
            yield from zip(some.tolist(), np.split(means, len(some), axis=1), strict=True)


def interval(means: Floats, confidence: float) -> Floats:
    """(resamples, M) means to (2, M): the percentile interval's lower and upper end; NaN where any mean is."""
    tail = (1 - confidence) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0)
