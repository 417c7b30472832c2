"""Against the definition, against scipy's paired test, and where there is nothing to compare."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from cmon.paired_difference import paired_difference


def test_it_is_students_interval_of_the_differences_of_the_same_units() -> None:
    random = np.random.default_rng(0)
    first = random.normal(2, 1, size=40)
    last = first + random.normal(-0.1, 0.3, size=40)
    found = paired_difference(first, last)
    interval = ttest_rel(last, first).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx(sum(last - first) / 40)
    assert (found.units, found.first, found.last) == (
        40,
        pytest.approx(first.mean()),
        pytest.approx(last.mean()),
    )
    narrower = paired_difference(first, last, confidence=0.5)
    assert found.low < narrower.low < narrower.high < found.high


def test_units_that_differ_among_themselves_do_not_hide_what_all_of_them_do() -> None:
    random = np.random.default_rng(1)
    first = random.uniform(0, 2, size=200)
    assert paired_difference(first, first - random.uniform(0, 0.1, size=200)).verdict == "falls"
    assert paired_difference(first, first + random.uniform(0, 0.1, size=200)).verdict == "rises"
    apart = random.permutation(first) - 0.05  # the same fall of the mean, of other units
    assert paired_difference(first, apart).verdict == "stays"


def test_chance_is_called_a_change_as_often_as_promised() -> None:
    random = np.random.default_rng(2)
    words = [paired_difference(*random.normal(size=(2, 30)), confidence=0.9).verdict for _ in range(2000)]
    assert words.count("falls") / 2000 == pytest.approx(0.05, abs=0.015)
    assert words.count("rises") / 2000 == pytest.approx(0.05, abs=0.015)


def test_only_units_with_both_values_count() -> None:
    first, last = np.array([1.0, math.nan, 3, 4]), np.array([2.0, 5, math.nan, 6])
    found = paired_difference(first, last)
    assert (found.units, found.first, found.last, found.difference) == (2, 2.5, 4.0, 1.5)


def test_one_unit_has_a_difference_and_no_verdict_and_none_has_neither() -> None:
    one = paired_difference(np.array([1.0]), np.array([0.5]))
    assert (one.units, one.difference, one.verdict) == (1, -0.5, None)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    none = paired_difference(np.array([math.nan]), np.array([0.5]))
    assert (none.units, none.verdict) == (0, None)
    assert math.isnan(none.difference)


def test_units_that_do_not_move_stay_and_units_that_all_move_alike_do_not() -> None:
    values = np.array([0.1, 0.2, 0.7])
    still = paired_difference(values, values)
    assert (still.verdict, still.low, still.high) == ("stays", 0, 0)
    assert paired_difference(np.zeros(3), np.full(3, 0.25)).verdict == "rises"
