"""Both measures against their definitions written out, and against numbers known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.evaluation import detection
from cmon.evaluation.detection import average_precision, correlation

WORLDS = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.integers(-3, 3).map(float), min_size=n, max_size=n), min_size=1, max_size=3),
        st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=3),
    )
)


def literal_average_precision(activations: list[float], present: list[bool]) -> float:
    """Threshold by threshold, from the highest: the gain in recall times the precision."""
    if not any(present):
        return math.nan
    total = recall = 0.0
    for threshold in sorted(set(activations), reverse=True):
        taken = [i for i, value in enumerate(activations) if value >= threshold]
        true = sum(present[i] for i in taken)
        total += (true / sum(present) - recall) * true / len(taken)
        recall = true / sum(present)
    return total


def literal_correlation(activations: list[float], present: list[bool]) -> float:
    x, y = [float(value) for value in activations], [float(value) for value in present]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    lengths = math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))
    return covariance / lengths if len(set(x)) > 1 and len(set(y)) > 1 else 0.0


@given(WORLDS)
def test_average_precision_is_the_sum_over_thresholds(
    world: tuple[list[list[float]], list[list[bool]]],
) -> None:
    units, concepts = world
    found = average_precision(np.array(units).T, np.array(concepts).T)
    wanted = [[literal_average_precision(unit, concept) for concept in concepts] for unit in units]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@given(WORLDS)
def test_correlation_is_pearsons(world: tuple[list[list[float]], list[list[bool]]]) -> None:
    units, concepts = world
    found = correlation(np.array(units).T, np.array(concepts).T)
    wanted = [[literal_correlation(unit, concept) for concept in concepts] for unit in units]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_numbers_known_by_hand() -> None:
    present = np.array([[True], [False], [True], [False]])
    found = average_precision(np.array([[4.0, 1.0], [3.0, 2.0], [2.0, 3.0], [1.0, 4.0]]), present)
    np.testing.assert_allclose(found[:, 0], [(1 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2])
    # All alike: one threshold, whose precision is the share of images that show the concept.
    assert average_precision(np.ones((4, 1)), present)[0, 0] == 0.5


def test_a_detector_is_perfect_and_its_opposite_is_not() -> None:
    present = np.arange(100)[:, None] < 10
    unit = present.astype(np.float32)
    both = np.hstack([unit, -unit])
    assert average_precision(both, present)[:, 0] == pytest.approx([1, 0.1])
    assert correlation(both, present)[:, 0] == pytest.approx([1, -1])


def test_a_unit_that_tells_nothing_gets_the_share_of_images() -> None:
    random = np.random.default_rng(0)
    present = np.tile(np.arange(2000)[:, None] % 10 < [[1, 5]], 1)
    found = average_precision(random.normal(size=(2000, 200)), present)
    np.testing.assert_allclose(found.mean(axis=0), [0.1, 0.5], atol=0.01)
    assert abs(correlation(random.normal(size=(2000, 200)), present).mean(axis=0)).max() < 0.01


def test_blocks_of_units_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    activations, present = random.normal(size=(50, 20)), random.random((50, 6)) < 0.3
    whole = average_precision(activations, present)
    monkeypatch.setattr(detection, "_CHUNK", 150)
    np.testing.assert_array_equal(average_precision(activations, present), whole)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_activations_makes_no_difference(scale: float) -> None:
    random = np.random.default_rng(0)
    activations, present = random.normal(size=(60, 4)), random.random((60, 3)) < 0.3
    scaled = (activations * scale).astype(np.float32)
    np.testing.assert_allclose(correlation(scaled, present), correlation(activations, present), atol=1e-6)
    np.testing.assert_allclose(average_precision(scaled, present), average_precision(activations, present))
