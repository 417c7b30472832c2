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


def test_overlap_is_the_mean_over_all_pairs() -> None:
    top = random_tops(units=13, images=40, top=9)
    pairs = [len(set(a) & set(b)) / 9 for a, b in itertools.combinations(top.tolist(), 2)]
    assert redundancy.overlap(top) == pytest.approx(sum(pairs) / len(pairs))


def test_units_in_random_order_share_what_chance_gives() -> None:
    top = random_tops(units=300, images=2000, top=redundancy.compared_images(2000))
    assert redundancy.overlap(top) == pytest.approx(100 / 2000, abs=0.002)


def test_copies_share_all_and_units_of_their_own_share_nothing() -> None:
    assert redundancy.overlap(np.tile(np.arange(10), (5, 1))) == 1
    assert redundancy.overlap(np.arange(50).reshape(5, 10)) == 0
    assert redundancy.overlap(np.array([[1, 2], [2, 1]])) == 1, "their order does not count"


def test_half_a_layer_of_copies_shares_a_quarter_of_its_pairs() -> None:
    alone = np.arange(1000).reshape(100, 10)
    copies = np.tile(np.arange(1000, 1010), (100, 1))
    pairs = 200 * 199 / 2
    assert redundancy.overlap(np.vstack([alone, copies])) == pytest.approx((100 * 99 / 2) / pairs)


def test_a_single_unit_shares_with_none() -> None:
    assert math.isnan(redundancy.overlap(np.arange(10)[None]))
    assert math.isnan(redundancy.overlap(np.empty((0, 10), dtype=int)))


@pytest.mark.parametrize(("images", "compared"), [(60_000, 100), (2000, 100), (1999, 99), (200, 10), (3, 1)])
def test_of_few_images_fewer_are_compared(images: int, compared: int) -> None:
    assert redundancy.compared_images(images) == compared
