"""Every function has a slow twin here, or a width or share that theory gives."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cmon.scoring.significance import discoveries, p_values

VALUES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30)


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
