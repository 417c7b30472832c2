"""Widths and shares that theory gives, and slow twins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.reporting.tables.bootstrap import interval, resampled_groups, resampled_means


@dataclass(frozen=True)
class Mean:
    value: float
    low: float
    high: float


def bootstrap_mean(values: np.ndarray, seed: int, confidence: float = 0.95, resamples: int = 10_000) -> Mean:
    means = resampled_means(values[:, None], seed, resamples)
    (low,), (high,) = interval(means, confidence)
    return Mean(float(values.mean()), float(low), float(high))


def test_the_interval_has_the_width_of_normal_theory() -> None:
    values = np.random.default_rng(0).normal(3, 2, 2000)
    mean = bootstrap_mean(values, seed=0)
    assert mean.value == pytest.approx(values.mean())
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(2000), rel=0.05)
    assert (mean.high + mean.low) / 2 == pytest.approx(mean.value, abs=0.01)
    narrow = bootstrap_mean(values, seed=0, confidence=0.5)
    assert narrow.high - narrow.low == pytest.approx(2 * 0.6745 * values.std() / math.sqrt(2000), rel=0.05)


def test_the_interval_holds_the_true_mean_as_often_as_promised() -> None:
    random = np.random.default_rng(0)
    held = 0
    for trial in range(300):
        mean = bootstrap_mean(random.exponential(1.0, 80), seed=trial, confidence=0.9, resamples=500)
        held += mean.low <= 1.0 <= mean.high
    assert 0.83 < held / 300 < 0.95  # 0.9, a little less for a skewed law; three standard errors are 0.05


def test_the_interval_of_few_values() -> None:
    assert list(resampled_groups([np.empty((0, 2))], seed=0)) == [], "nothing to resample"
    one = bootstrap_mean(np.array([2.5]), seed=0)
    assert (one.value, one.low, one.high) == (2.5, 2.5, 2.5)
    two = bootstrap_mean(np.array([0.0, 1.0]), seed=0)
    assert (two.low, two.high) == (0.0, 1.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.integers(0, 1000))
def test_the_interval_lies_within_the_values_and_around_the_mean(values: list[float], seed: int) -> None:
    mean = bootstrap_mean(np.array(values), seed, resamples=200)
    slack = 1e-9 * max(1.0, max(map(abs, values)))
    assert min(values) - slack <= mean.low <= mean.high <= max(values) + slack
    assert mean == bootstrap_mean(np.array(values), seed, resamples=200)


def test_many_values_go_in_blocks_to_the_same_law() -> None:
    """2^22 indices make a block: with 500,000 values, 8 resamples at a time."""
    values = np.random.default_rng(0).uniform(size=500_000)
    mean = bootstrap_mean(values, seed=0, resamples=60)
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(500_000), rel=0.4)


@pytest.mark.parametrize("rows", [1, 2, 37])
def test_resampled_means_are_means_of_rows_drawn_with_replacement(rows: int) -> None:
    values = np.random.default_rng(rows).normal(size=(rows, 3))
    found = resampled_means(values, seed=4, resamples=50)
    drawn = np.random.default_rng(4).integers(rows, size=(50, rows))
    for b in range(50):
        np.testing.assert_allclose(found[b], values[drawn[b]].mean(axis=0), rtol=1e-12)


def test_missing_values_count_for_nothing_and_every_column_has_the_same_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).normal(size=(6, 3))
    values[2:, 1] = np.nan
    values[:, 2] = np.nan
    found = resampled_means(values, seed=9, resamples=300)
    drawn = np.random.default_rng(9).integers(6, size=(300, 6))
    for b in range(300):
        known = [values[row, 1] for row in drawn[b] if row < 2]
        wanted = sum(known) / len(known) if known else math.nan
        assert found[b, 1] == pytest.approx(wanted, nan_ok=True)
        assert found[b, 0] == pytest.approx(values[drawn[b], 0].mean())
    assert np.isnan(found[:, 1]).any(), "in (2/3)^6 of the resamples, one in eleven, neither is drawn"
    assert np.isnan(found[:, 2]).all()
    monkeypatch.setattr("cmon.reporting.tables.bootstrap._COUNTS", 20)
    np.testing.assert_allclose(resampled_means(values, seed=9, resamples=300), found)
