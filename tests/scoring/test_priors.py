from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import torch

from cmon.cli.main import main
from cmon.scoring.priors import PRIORS, Baseline, Chance, PriorInputs, log_mean_exp
from cmon.scoring.significance import p_values
from tests.support import literal


def sampled(prior: str, evidence: torch.Tensor) -> Baseline:
    """From the evidence of pseudo-units, or for 'layer' of a layer's units."""
    inputs = PriorInputs(chance=lambda: Chance.estimate(evidence), layer_prior=lambda: log_mean_exp(evidence))
    return PRIORS[prior].baseline(inputs)


def test_the_null_prior_is_two_deviations_above_the_mean_and_the_standardized_one_mean_and_deviation() -> (
    None
):
    evidence = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) * 20 - 300
    exact = evidence.numpy().astype(np.float64)
    null, standardized = sampled("null", evidence), sampled("standardized", evidence)
    wanted = exact - exact.mean(axis=0) - 2 * exact.std(axis=0)
    np.testing.assert_allclose(null.score(evidence), wanted, rtol=1e-4, atol=1e-3)
    wanted = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    np.testing.assert_allclose(standardized.score(evidence), wanted, atol=1e-3)
    np.testing.assert_allclose(log_mean_exp(evidence), literal.log_mean_exp(exact), rtol=1e-5)
    layer = sampled("layer", evidence)
    np.testing.assert_allclose(
        layer.score(evidence), exact - literal.log_mean_exp(exact), rtol=1e-5, atol=1e-4
    )


def test_a_closed_form_is_taken_as_it_is() -> None:
    """A null prior of closed forms is chance's mean; a deviation of rounding alone is none."""
    chance = Chance(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 1e-9]]), least=1e-8)
    inputs = PriorInputs(chance=lambda: chance, layer_prior=lambda: torch.empty(0))
    evidence = torch.tensor([[5.0, 2.5]])
    assert PRIORS["null"].baseline(inputs).score(evidence).tolist() == [[4, 0.5]]
    assert PRIORS["standardized"].baseline(inputs).score(evidence).tolist() == [[1, 0]]


def test_a_prior_computes_only_what_it_is_made_of() -> None:
    def unasked() -> torch.Tensor:
        raise AssertionError

    layer = PriorInputs(chance=unasked, layer_prior=lambda: torch.ones(3))  # type: ignore[arg-type]
    chance = PriorInputs(chance=lambda: Chance(torch.ones(3), torch.ones(3)), layer_prior=unasked)
    for name, prior in PRIORS.items():
        assert prior.name == name
        assert prior.summary
        assert prior.baseline(layer if prior.from_layer else chance).score(torch.ones(2, 3)).shape == (2, 3)


def test_the_command_line_offers_the_priors_that_there_are_without_torch() -> None:
    (option,) = [one for one in main.commands["score"].params if one.name == "prior"]
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(PRIORS) == ["null", "standardized", "layer"]
    program = (
        "import sys; from cmon.scoring.priors import PRIORS; assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("kind", ["null", "standardized"])
def test_the_tail_of_p_values_is_as_frequent_as_it_says(kind: str) -> None:
    """Though the pseudo-units make both the prior and the null distribution, of further ones as few are extreme."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.linspace(3, 7, 50)  # soft_wpmi's
    pseudo, further = (spread * torch.randn(n, 50, generator=generator) for n in (4096, 40_000))
    baseline = sampled(kind, pseudo)
    null, scores = (baseline.score(some).amax(dim=1).numpy() for some in (pseudo, further))
    p = p_values(scores, null)
    for level, tolerance in ((0.05, 0.012), (0.005, 0.004), (0.001, 0.0018)):
        assert (p <= level).mean() == pytest.approx(level, abs=tolerance)


@pytest.mark.parametrize("kind", ["null", "standardized"])
def test_other_pseudo_units_give_nearly_the_same_scores(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    evidence = 5 * torch.randn(2, 4096, 50, generator=generator)
    scores = [sampled(kind, some).score(torch.full((1, 50), 20.0)) for some in evidence]
    assert (scores[0] - scores[1]).abs().max() < 0.6


def test_a_concept_that_is_the_same_for_every_image_tells_nothing() -> None:
    evidence = torch.tensor([[-3.0, -1.0], [-3.0, -2.0], [-3.0, -4.0]])
    scores = sampled("standardized", evidence).score(evidence)
    assert scores[:, 0].tolist() == [0, 0, 0]
    assert scores.isfinite().all()
