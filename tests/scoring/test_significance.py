"""Every function has a slow twin here, or a width or share that theory gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.scoring.significance import bootstrap_mean, discoveries, nearest, p_values, resampled_means, wilson

VALUES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30)


# -- p-values ------------------------------------------------------------------------------------------


@given(VALUES, VALUES)
def test_p_values_count_the_null_at_least_as_large(observed: list[float], null: list[float]) -> None:
    found = p_values(np.array(observed), np.array(null))
    wanted = [(1 + sum(value >= x for value in null)) / (1 + len(null)) for x in observed]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_p_value_is_never_0_and_ties_count_against_the_unit() -> None:
    assert p_values(np.array([9.0]), np.zeros(99)).tolist() == [0.01]
    assert p_values(np.array([0.0]), np.zeros(99)).tolist() == [1.0]


def test_p_values_of_the_null_itself_are_uniform() -> None:
    random = np.random.default_rng(0)
    p = p_values(random.normal(size=20_000), random.normal(size=20_000))
    for level in (0.01, 0.05, 0.3, 0.7):
        assert abs((p <= level).mean() - level) < 4 * math.sqrt(level * (1 - level) / 10_000)


# -- false discovery rate ------------------------------------------------------------------------------


def literal_discoveries(p: list[float], rate: float) -> list[bool]:
    """Benjamini & Hochberg 1995, step by step."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    last = 0
    for k in range(1, len(p) + 1):
        if p[order[k - 1]] <= rate * k / len(p):
            last = k
    rejected = set(order[:last])
    return [i in rejected for i in range(len(p))]


@given(
    st.lists(st.integers(1, 60).map(lambda x: x / 60), max_size=30), st.sampled_from([0.01, 0.05, 0.3, 0.9])
)
def test_discoveries_are_those_of_benjamini_and_hochberg(p: list[float], rate: float) -> None:
    found = discoveries(np.array(p), rate)
    assert found.dtype == bool
    assert found.tolist() == literal_discoveries(p, rate)
    for value in {x for x, hit in zip(p, found, strict=True) if hit}:
        assert all(hit for x, hit in zip(p, found, strict=True) if x == value), "equal p-values part"


def test_an_example_worked_by_hand() -> None:
    """0.04 is above 0.05 * 3 / 5 = 0.03, but 0.039 <= 0.05 * 4 / 5 carries it; 0.9 stays out."""
    assert discoveries(np.array([0.9, 0.038, 0.039, 0.001, 0.035]), 0.05).tolist() == [
        False,
        True,
        True,
        True,
        True,
    ]
    assert discoveries(np.array([0.9, 0.8]), 0.05).tolist() == [False, False]
    assert discoveries(np.array([]), 0.05).tolist() == []


def test_the_share_of_false_discoveries_keeps_to_the_rate() -> None:
    random = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        real = random.beta(0.1, 20, 30)  # small p-values
        found = discoveries(np.concatenate([real, random.uniform(size=70)]), 0.1)
        shares.append(found[30:].sum() / max(1, found.sum()))
    assert np.mean(shares) < 0.1
    assert np.mean(shares) > 0.04, "the expected share is 0.07: far below it, power is given away"


# -- bootstrap -----------------------------------------------------------------------------------------


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
    nothing = bootstrap_mean(np.array([]), seed=0)
    assert all(math.isnan(value) for value in (nothing.value, nothing.low, nothing.high))
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
    monkeypatch.setattr("cmon.scoring.significance._COUNTS", 20)
    np.testing.assert_allclose(resampled_means(values, seed=9, resamples=300), found)


# -- nearest anchor ------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 16])
def test_the_nearest_anchor_is_found_by_trying_all(width: int) -> None:
    random = np.random.default_rng(width)
    points, anchors = random.normal(size=(40, width)), random.normal(size=(7, width))
    index, distance = nearest(points, anchors)
    for k, point in enumerate(points):
        every = [math.dist(point, anchor) for anchor in anchors]
        assert index[k] == every.index(min(every))
        assert distance[k] == pytest.approx(min(every), abs=1e-9)


@pytest.mark.parametrize("width", [2, 32])
def test_more_points_than_a_block_are_all_answered(width: int) -> None:
    random = np.random.default_rng(0)
    points, anchors = random.normal(size=(9000, width)), random.normal(size=(5, width))
    index, distance = nearest(points, anchors)
    for k in (0, 4095, 4096, 8191, 8192, 8999):
        assert distance[k] == pytest.approx(min(math.dist(points[k], anchor) for anchor in anchors))
        assert distance[k] == pytest.approx(math.dist(points[k], anchors[index[k]]))


@pytest.mark.parametrize("width", [2, 512])
def test_a_point_on_an_anchor_is_at_no_distance(width: int) -> None:
    anchors = np.random.default_rng(0).normal(size=(4, width))
    anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
    index, distance = nearest(anchors, anchors)
    assert index.tolist() == [0, 1, 2, 3]
    assert distance.max() < 1e-7


def test_of_equally_near_anchors_the_first_is_named() -> None:
    index, distance = nearest(np.zeros((1, 2)), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    assert (index.tolist(), distance.tolist()) == ([0], [1.0])


def test_no_points_have_no_distances() -> None:
    index, distance = nearest(np.empty((0, 2)), np.zeros((1, 2)))
    assert (len(index), len(distance)) == (0, 0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (50, 200), (1, 1)])
def test_wilsons_bounds_are_the_shares_that_a_test_of_the_score_just_accepts(
    successes: int, trials: int
) -> None:
    """The definition: the shares p at which |successes / trials - p| is 1.96 standard errors of p itself."""
    for bound in wilson(successes, trials):
        assert 0 <= bound <= 1
        if 1e-12 < bound < 1 - 1e-12:
            error = np.sqrt(bound * (1 - bound) / trials)
            assert abs(successes / trials - bound) == pytest.approx(1.959964 * error, rel=1e-6)
    low, high = wilson(successes, trials)
    assert low <= successes / trials <= high
    assert np.isnan(wilson(0, 0)).all()
