"""Intervals over runs against scipy's, and how often they find something where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from scripts.cases.intervals import Difference, paired, verdict, welch

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("sizes", [(3, 3), (2, 5), (10, 4)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_welch_is_scipys(sizes: tuple[int, int], confidence: float) -> None:
    reference, value = RANDOM.normal(1, 1, sizes[0]), RANDOM.normal(0, 5, sizes[1])
    found = welch(reference, value, confidence)
    expected = ttest_ind(value, reference, equal_var=False).confidence_interval(confidence)
    np.testing.assert_allclose([found.low, found.high], expected)
    assert found.difference == pytest.approx(value.mean() - reference.mean())
    assert (found.runs, found.method, found.count) == (sizes, "Welch", f"{sizes[1]} and {sizes[0]}")


def test_paired_is_scipys_and_a_run_without_a_value_takes_its_partner_along() -> None:
    reference, value = RANDOM.normal(size=5), RANDOM.normal(size=5)
    reference[1] = np.nan
    whole = np.isfinite(reference)
    found = paired(reference, value)
    expected = ttest_rel(value[whole], reference[whole]).confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], expected)
    assert (found.runs, found.method, found.count) == ((4, 4), "paired", "4 pairs")


def test_what_all_pairs_share_is_seen_only_where_they_are_paired() -> None:
    reference = np.array([0.1, 5.0, 9.0])
    value = reference + np.array([0.1, 0.11, 0.09])
    assert paired(reference, value).excludes_zero
    assert not welch(reference, value).excludes_zero


def test_runs_without_a_value_are_no_runs() -> None:
    found = welch(np.array([1.0, np.nan, 3.0, 2.0]), np.array([np.nan, np.inf, 5.0]))
    assert (found.runs, found.reference, found.value, found.difference) == ((3, 1), 2.0, 5.0, 3.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    nothing = welch(np.array([]), np.array([1.0, 2.0]))
    assert math.isnan(nothing.difference)
    assert nothing.runs == (0, 2)
    assert not nothing.excludes_zero


def test_groups_that_do_not_vary_have_an_interval_without_width() -> None:
    found = welch(np.ones(3), np.zeros(3))
    assert (found.low, found.high) == (-1, -1)
    assert found.excludes_zero
    assert not welch(np.ones(3), np.ones(3)).excludes_zero


def test_where_nothing_is_one_interval_of_twenty_excludes_zero() -> None:
    draws = RANDOM.normal(size=(2000, 2, 3))
    assert 0.035 < np.mean([paired(*one).excludes_zero for one in draws]) < 0.065
    assert np.mean([welch(*one).excludes_zero for one in draws]) < 0.055, (
        "with three runs Welch's is cautious"
    )


@pytest.mark.parametrize(
    ("low", "high", "higher", "lower"),
    [
        (0.1, 0.3, "confirmed", "not confirmed"),
        (-0.3, -0.1, "not confirmed", "confirmed"),
        (-0.1, 0.3, "unclear here", "unclear here"),
        (0.0, 0.3, "unclear here", "unclear here"),
        (math.nan, math.nan, "unclear here", "unclear here"),
    ],
)
def test_a_verdict_is_the_side_that_all_of_the_interval_is_on(
    low: float, high: float, higher: str, lower: str
) -> None:
    found = Difference(0, 0, (low + high) / 2, low, high, (3, 3), "Welch")
    assert verdict(found, "higher") == higher
    assert verdict(found, "lower") == lower
