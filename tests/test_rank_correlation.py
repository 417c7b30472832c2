"""Against their definitions, and where there is nothing to compare."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmon.rank_correlation import kendall_tau, spearman


def test_spearman_is_pearsons_correlation_of_ranks() -> None:
    x, y = np.array([3.0, 1, 4, 1, 5]), np.array([2.0, 7, 1, 8, 2])
    ranks = np.array([3, 1.5, 4, 1.5, 5]), np.array([2.5, 4, 1, 5, 2.5])
    assert spearman(x, y) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert spearman(x, np.exp(x)) == pytest.approx(1)
    assert spearman(x, -x) == pytest.approx(-1)
    random = np.random.default_rng(0)
    assert spearman(random.normal(size=10_000), random.normal(size=10_000)) == pytest.approx(0, abs=0.03)


def test_spearman_of_nothing_to_order() -> None:
    assert math.isnan(spearman(np.array([1.0]), np.array([1.0])))
    assert math.isnan(spearman(np.array([]), np.array([])))
    assert math.isnan(spearman(np.ones(4), np.arange(4.0)))


def test_kendall_tau_is_kendalls_tau_b():
    # 10 pairs: 1-2 tied in x; of the other 9, the 5th point disagrees with the points 3 and 4.
    x, y = [1, 1, 2, 3, 4], [1, 2, 4, 5, 3]
    assert kendall_tau(x, y) == pytest.approx((7 - 2) / math.sqrt(9 * 10))
    assert kendall_tau([*x, 9], [*y, math.nan]) == kendall_tau(x, y)
    assert kendall_tau(x, [-v for v in x]) == pytest.approx(-1)
    assert math.isnan(kendall_tau([1, 1], [1, 2]))
