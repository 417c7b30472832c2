from __future__ import annotations

import pytest
import torch

from cmon.scoring.pseudo_units import random_orders, shuffled_units


def test_pseudo_units_are_random_orders_from_their_seed() -> None:
    orders = random_orders(50, 600, 20, seed=0)
    assert orders.shape == (600, 20)
    assert all(len(set(row)) == 20 for row in orders.tolist())
    assert torch.equal(orders, random_orders(50, 600, 20, seed=0))
    assert not torch.equal(orders, random_orders(50, 600, 20, seed=1))
    assert len({tuple(row) for row in orders.tolist()}) == 600


def test_pseudo_units_take_every_image_equally_often_at_every_rank() -> None:
    orders = random_orders(10, 4000, 3, seed=0)
    for rank in range(3):
        counts = torch.bincount(orders[:, rank], minlength=10).double()
        assert ((counts - 400) ** 2 / 400).sum() < 27.9  # chi-squared, 9 degrees of freedom, p = 0.001


def test_pseudo_units_of_few_images_take_all_of_them() -> None:
    assert random_orders(4, 5, 100, seed=0).sort(dim=1).values.tolist() == [[0, 1, 2, 3]] * 5


@pytest.mark.parametrize(("units", "count"), [(1, 5), (3, 100), (70, 100), (200, 130), (200, 1), (5, 0)])
def test_shuffled_units_keep_their_activations_and_take_turns(units: int, count: int) -> None:
    activations = torch.randn(40, units, generator=torch.Generator().manual_seed(0))
    activations[0] = torch.arange(units) + 100.0  # names the unit
    blocks = list(shuffled_units(activations, count, seed=0))
    drawn = torch.cat(blocks, dim=1) if blocks else torch.empty(40, 0)
    assert drawn.shape == (40, count)
    named = (drawn.max(dim=0).values - 100).long() if count else torch.empty(0, dtype=torch.int64)
    turns = torch.bincount(named, minlength=units)
    assert turns.max() - turns.min() <= 1
    torch.testing.assert_close(drawn.sort(dim=0).values, activations[:, named].sort(dim=0).values)
    for block in blocks:
        assert len(set(block.max(dim=0).values.tolist())) == block.shape[1], (
            "one permutation, different units"
        )
    assert all(
        torch.equal(one, two) for one, two in zip(blocks, shuffled_units(activations, count, 0), strict=True)
    )


def test_shuffled_units_lie_on_every_image_equally_often() -> None:
    activations = torch.zeros(10, 4)
    activations[0] = 1
    drawn = torch.cat(list(shuffled_units(activations, 4000, seed=0)), dim=1)
    counts = drawn.argmax(dim=0).bincount(minlength=10).double() / 4  # 4 units share a permutation
    assert ((counts - 100) ** 2 / 100).sum() < 27.9  # chi-squared, 9 degrees of freedom, p = 0.001


def test_no_units_have_no_shuffled_ones() -> None:
    assert list(shuffled_units(torch.empty(10, 0), 50, seed=0)) == []
