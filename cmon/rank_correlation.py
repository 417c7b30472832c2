"""Rank correlations over the pairs that are known; NaN where there is no order to compare."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import stats


def kendall_tau(first: Iterable[float], second: Iterable[float]) -> float:
    """Kendall's tau-b of two equally long rows of numbers, over the pairs where both are finite: -1 to 1.

    NaN if either is constant or fewer than two pairs are known.
    """
    x, y = _known(first, second)
    return float(stats.kendalltau(x, y).statistic) if _varies(x) and _varies(y) else float("nan")


def spearman(first: Iterable[float], second: Iterable[float]) -> float:
    """Spearman's rank correlation, ties at their mean rank, over the pairs where both are finite: -1 to 1.

    NaN if either is constant or fewer than two pairs are known.
    """
    x, y = _known(first, second)
    return float(stats.spearmanr(x, y).statistic) if _varies(x) and _varies(y) else float("nan")


def _known(first: Iterable[float], second: Iterable[float]) -> npt.NDArray[np.float64]:
    both = np.array([list(first), list(second)], dtype=np.float64)
    return both[:, np.isfinite(both).all(axis=0)]


def _varies(values: npt.NDArray[np.float64]) -> bool:
    return len(values) > 1 and bool(np.ptp(values) > 0)
