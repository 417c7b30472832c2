"""Against the definition unit by unit; untrained layers and the first epoch itself pass nothing, planted labels do."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.scoring import significance
from cmon.scoring.first_epoch import FirstEpoch, Moments, fewest_units


def untrained(units: int, concepts: int, seed: int) -> np.ndarray:
    """(K,C) scores of units that answer to the first three concepts anyway, some more and some less."""
    random = np.random.default_rng(seed)
    scores = random.normal(-20, 3, size=(units, concepts))
    scores[:, :3] += random.uniform(20, 60, size=(units, 3))
    return scores


def first_epoch(scores: np.ndarray) -> FirstEpoch:
    return FirstEpoch.of(Moments.of(scores), scores.max(axis=1), scores.argmax(axis=1))


def passing(first: FirstEpoch, scores: np.ndarray) -> np.ndarray:
    p = first.p_values(scores.max(axis=1), scores.argmax(axis=1))
    return significance.discoveries(p, 0.05)


def test_p_values_are_counted_unit_by_unit() -> None:
    before, after = untrained(40, 12, seed=0), untrained(25, 12, seed=1)
    after[:5, 7] += 80
    found = first_epoch(before).p_values(after.max(axis=1), after.argmax(axis=1))

    def surprise(row: np.ndarray) -> float:
        concept = int(row.argmax())
        column = before[:, concept]
        deviation = (sum((value - column.mean()) ** 2 for value in column) / len(column)) ** 0.5
        return (row[concept] - column.mean()) / deviation

    null = [surprise(row) for row in before]
    for unit, row in enumerate(after):
        at_least = sum(value >= surprise(row) - 1e-12 for value in null)
        assert found[unit] == pytest.approx((1 + at_least) / (1 + 40))


def test_a_layer_that_is_still_untrained_passes_nothing_and_a_planted_label_passes() -> None:
    first = first_epoch(untrained(256, 50, seed=0))
    still = untrained(256, 50, seed=1)
    assert passing(first, still).mean() < 0.02
    learned = still.copy()
    learned[:100, 20] += 90  # a concept that no untrained unit answers to
    found = passing(first, learned)
    assert found[:100].all()
    assert found[100:].mean() < 0.1, "the false discovery rate"


def test_a_label_that_untrained_units_carry_as_strongly_does_not_pass() -> None:
    before = untrained(256, 50, seed=0)
    typical = np.median(before[before.argmax(axis=1) == 1, 1])
    all_alike = np.full((256, 50), -20.0)
    all_alike[:, 1] = typical
    assert not passing(first_epoch(before), all_alike).any()
    all_alike[:, 1] = typical + 100
    assert passing(first_epoch(before), all_alike).all()


def test_the_first_epochs_own_units_never_pass() -> None:
    for seed in range(20):
        scores = untrained(64, 30, seed)
        assert not passing(first_epoch(scores), scores).any()


def test_blocks_of_concepts_are_as_good_as_all_at_once() -> None:
    scores = untrained(30, 20, seed=2)
    whole = Moments.of(scores)
    joined = Moments.joined([Moments.of(scores[:, :7]), Moments.of(scores[:, 7:])])
    np.testing.assert_allclose(joined.mean, whole.mean)
    np.testing.assert_allclose(joined.deviation, whole.deviation)


def test_a_concept_that_is_the_same_for_all_gives_finite_numbers() -> None:
    scores = untrained(30, 5, seed=3)
    scores[:, 4] = -600
    first = first_epoch(scores)
    again = scores.copy()
    again[0, 4] = 100
    p = first.p_values(again.max(axis=1), again.argmax(axis=1))
    assert p[0] == pytest.approx(1 / 31)
    assert np.isfinite(p).all()


@pytest.mark.parametrize(("rate", "fewest"), [(0.05, 19), (0.1, 9), (0.01, 99), (0.3, 3)])
def test_how_many_units_a_first_epoch_needs(rate: float, fewest: int) -> None:
    assert fewest_units(rate) == fewest
    assert 1 / (fewest + 1) <= rate < 1 / fewest


def test_a_layer_of_too_few_units_passes_nothing_whatever_it_learned() -> None:
    for units, passes in ((18, False), (19, True)):
        before = untrained(units, 10, seed=4)
        learned = before.copy()
        learned[:, 8] += 500
        assert passing(first_epoch(before), learned).all() == passes
