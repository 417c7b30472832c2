"""Against the definition pair by pair; planted layers whose overlap is known; chance."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from cmon.scoring import redundancy


def random_tops(units: int, images: int, top: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([random.permutation(images)[:top] for _ in range(units)])


def overlap(top: np.ndarray) -> float:
    return float(redundancy.shared(top).mean())


def test_a_unit_shares_what_it_has_in_common_with_the_others_on_average() -> None:
    top = random_tops(units=13, images=40, top=9)
    sets = [set(row) for row in top.tolist()]
    for unit, found in enumerate(redundancy.shared(top)):
        others = [len(sets[unit] & other) / 9 for k, other in enumerate(sets) if k != unit]
        assert found == pytest.approx(sum(others) / 12)
    pairs = [len(a & b) / 9 for a, b in itertools.combinations(sets, 2)]
    assert overlap(top) == pytest.approx(sum(pairs) / len(pairs)), (
        "the layer's overlap is the mean over all pairs"
    )


def test_units_in_random_order_share_what_chance_gives() -> None:
    top = random_tops(units=300, images=2000, top=redundancy.compared_images(2000))
    assert overlap(top) == pytest.approx(100 / 2000, abs=0.002)


def test_copies_share_all_and_units_of_their_own_share_nothing() -> None:
    assert overlap(np.tile(np.arange(10), (5, 1))) == 1
    assert overlap(np.arange(50).reshape(5, 10)) == 0
    assert overlap(np.array([[1, 2], [2, 1]])) == 1, "their order does not count"


def test_half_a_layer_of_copies_shares_a_quarter_of_its_pairs() -> None:
    alone = np.arange(1000).reshape(100, 10)
    copies = np.tile(np.arange(1000, 1010), (100, 1))
    found = redundancy.shared(np.vstack([alone, copies]))
    assert found[:100].max() == 0
    np.testing.assert_allclose(found[100:], 99 / 199)


def test_a_single_unit_shares_with_none() -> None:
    assert math.isnan(overlap(np.arange(10)[None]))
    assert redundancy.shared(np.empty((0, 10), dtype=int)).shape == (0,)


@pytest.mark.parametrize(("images", "compared"), [(60_000, 100), (2000, 100), (1999, 99), (200, 10), (3, 1)])
def test_of_few_images_fewer_are_compared(images: int, compared: int) -> None:
    assert redundancy.compared_images(images) == compared
