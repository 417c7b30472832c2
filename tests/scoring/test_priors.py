from __future__ import annotations

import numpy as np
import pytest
import torch

from cmon.scoring.priors import Chance, log_mean_exp, random_orders, shuffled
from cmon.scoring.significance import p_values
from tests.support import literal


def test_the_null_prior_is_two_deviations_above_the_mean_and_the_standardized_one_mean_and_deviation() -> (
    None
):
    evidence = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) * 20 - 300
    exact = evidence.numpy().astype(np.float64)
    null, standardized = Chance.sampled("null", evidence), Chance.sampled("standardized", evidence)
    wanted = exact - exact.mean(axis=0) - 2 * exact.std(axis=0)
    np.testing.assert_allclose(null.score(evidence), wanted, rtol=1e-4, atol=1e-3)
    wanted = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    np.testing.assert_allclose(standardized.score(evidence), wanted, atol=1e-3)
    np.testing.assert_allclose(log_mean_exp(evidence), literal.log_mean_exp(exact), rtol=1e-5)


@pytest.mark.parametrize("kind", ["null", "standardized"])
def test_the_tail_of_p_values_is_as_frequent_as_it_says(kind: str) -> None:
    """Though the pseudo-units make both the prior and the null distribution, of further ones as few are extreme."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.linspace(3, 7, 50)  # soft_wpmi's
    pseudo, further = (spread * torch.randn(n, 50, generator=generator) for n in (4096, 40_000))
    chance = Chance.sampled(kind, pseudo)
    null, scores = (chance.score(some).amax(dim=1).numpy() for some in (pseudo, further))
    p = p_values(scores, null)
    for level, tolerance in ((0.05, 0.012), (0.005, 0.004), (0.001, 0.0018)):
        assert (p <= level).mean() == pytest.approx(level, abs=tolerance)


@pytest.mark.parametrize("kind", ["null", "standardized"])
def test_other_pseudo_units_give_nearly_the_same_scores(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    evidence = 5 * torch.randn(2, 4096, 50, generator=generator)
    scores = [Chance.sampled(kind, some).score(torch.full((1, 50), 20.0)) for some in evidence]
    assert (scores[0] - scores[1]).abs().max() < 0.6


def test_a_concept_that_is_the_same_for_every_image_tells_nothing() -> None:
    evidence = torch.tensor([[-3.0, -1.0], [-3.0, -2.0], [-3.0, -4.0]])
    scores = Chance.sampled("standardized", evidence).score(evidence)
    assert scores[:, 0].tolist() == [0, 0, 0]
    assert scores.isfinite().all()


# -- pseudo-units --------------------------------------------------------------------------------------


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
    blocks = list(shuffled(activations, count, seed=0))
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
        torch.equal(one, two) for one, two in zip(blocks, shuffled(activations, count, 0), strict=True)
    )


def test_shuffled_units_lie_on_every_image_equally_often() -> None:
    activations = torch.zeros(10, 4)
    activations[0] = 1
    drawn = torch.cat(list(shuffled(activations, 4000, seed=0)), dim=1)
    counts = drawn.argmax(dim=0).bincount(minlength=10).double() / 4  # 4 units share a permutation
    assert ((counts - 100) ** 2 / 100).sum() < 27.9  # chi-squared, 9 degrees of freedom, p = 0.001


def test_no_units_have_no_shuffled_ones() -> None:
    assert list(shuffled(torch.empty(10, 0), 50, seed=0)) == []
