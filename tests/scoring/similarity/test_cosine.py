from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from cmon.scoring.priors import PRIORS, Baseline, PriorInputs
from cmon.scoring.similarity.base import Similarity, Units
from cmon.scoring.similarity.blocks import Block
from cmon.scoring.similarity.cosine import CosSimilarity, CosSimilarityCubed

BOTH = pytest.mark.parametrize("function", [CosSimilarity(), CosSimilarityCubed()], ids=lambda one: one.name)


def baseline(prior: str, function: Similarity, block: Block, units: Units) -> Baseline:
    inputs = PriorInputs(
        chance=lambda: function.chance(block, units, torch.empty(0)), layer_prior=lambda: torch.empty(0)
    )
    return PRIORS[prior].baseline(inputs)


def small_world(images: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        normalize(torch.randn(images, 5, generator=generator) + 1, dim=1),
        normalize(torch.randn(4, 5, generator=generator) + 1, dim=1),
        torch.randn(images, 3, generator=generator).exp(),
    )


@BOTH
def test_chance_is_the_mean_and_deviation_over_all_orders(function: Similarity) -> None:
    """Over all 720 orders of a unit's activations among 6 images."""
    images, texts, activations = small_world()
    ((_, make),) = function.blocks(images, texts)
    block = make()
    for k in range(3):
        orders = torch.stack([activations[list(order), k] for order in permutations(range(6))], dim=1)
        every = function.evidence(block, function.units(images, orders))
        unit = function.units(images, activations[:, k : k + 1])
        null = baseline("null", function, block, unit)
        torch.testing.assert_close(null.location[0], every.mean(dim=0), rtol=1e-4, atol=1e-5)
        standardized = baseline("standardized", function, block, unit)
        torch.testing.assert_close(
            standardized.scale[0], every.std(dim=0, correction=0), rtol=1e-4, atol=1e-5
        )
        scores = standardized.score(every)
        torch.testing.assert_close(scores.mean(dim=0), torch.zeros(4), rtol=0, atol=1e-4)
        torch.testing.assert_close(scores.std(dim=0, correction=0), torch.ones(4), rtol=1e-4, atol=0)


def test_the_standardized_cosine_is_pearsons_correlation() -> None:
    images, texts, activations = small_world(50)
    function = CosSimilarity()
    ((_, make),) = function.blocks(images, texts)
    block = make()
    units = function.units(images, activations)
    scores = baseline("standardized", function, block, units).score(function.evidence(block, units))
    wanted = np.corrcoef(activations.T.double(), (images @ texts.T).T.double())[:3, 3:]
    np.testing.assert_allclose(scores, wanted * math.sqrt(49), rtol=1e-4, atol=1e-5)


@BOTH
@pytest.mark.parametrize("kind", ["null", "standardized"])
def test_what_never_varies_scores_0(function: Similarity, kind: str) -> None:
    """A dead unit, a constant one, a concept that all images show alike, and a single image."""
    images, texts, activations = small_world(40)
    activations[:, 0], activations[:, 1] = 0, 2.3
    images = normalize(torch.cat([images, torch.full((40, 1), 0.5)], dim=1), dim=1)
    images[:, 5] = 0.4
    texts = torch.cat([torch.cat([texts, torch.zeros(4, 1)], dim=1), torch.eye(6)[5:]])
    ((_, make),) = function.blocks(images, texts)
    block = make()
    units = function.units(images, activations)
    scores = baseline(kind, function, block, units).score(function.evidence(block, units))
    assert scores.isfinite().all()
    assert scores[:2].abs().max() < 1e-6
    assert scores[:, 4].abs().max() < 1e-6
    assert scores[2, :4].abs().min() > 1e-3
    ((_, make),) = function.blocks(images[:1], texts)
    block = make()
    units = function.units(images[:1], activations[:1])
    assert (baseline(kind, function, block, units).score(function.evidence(block, units)).abs() < 1e-6).all()


def test_images_in_many_parts_give_the_same_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts, activations = small_world(97)
    for function in (CosSimilarity(), CosSimilarityCubed()):
        before = function.units(images, activations), next(iter(function.blocks(images, texts)))[1]()
        monkeypatch.setattr("cmon.scoring.similarity.cosine._CHUNK", 30)
        after = function.units(images, activations), next(iter(function.blocks(images, texts)))[1]()
        monkeypatch.undo()
        for old, new in zip((*before[0], *before[1]), (*after[0], *after[1]), strict=True):
            torch.testing.assert_close(new, old)


def test_small_activations_shrink_the_cubed_cosine_as_the_authors_do() -> None:
    images, texts, activations = small_world(50)
    function = CosSimilarityCubed()
    ((_, make),) = function.blocks(images, texts)
    block = make()
    full = function.evidence(block, function.units(images, activations))
    small = function.evidence(block, function.units(images, activations * 1e-3))
    norm = ((activations - activations.mean(dim=0)) ** 3).norm(dim=0)
    torch.testing.assert_close(small, full * (norm * 1e-9 / 1e-3)[:, None], rtol=1e-3, atol=0)
