"""Every function has a slow twin here, written from the paper's definition in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from cmon import similarity, statistics
from cmon.similarity import BLOCK, NullPrior, SoftWPMI, pseudo_units, soft_wpmi

# -- twins ---------------------------------------------------------------------------------------------


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def literal_probabilities(images: np.ndarray, texts: np.ndarray, a: float) -> np.ndarray:
    """P[i,c] = softmax over concepts of a * cosine."""
    exponentials = np.exp(a * unit(images.astype(np.float64)) @ unit(texts.astype(np.float64)).T)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def literal_evidence(
    probabilities: np.ndarray,
    activations: np.ndarray,
    top_k: int = 100,
    p_start: float = 0.998,
    p_end: float = 0.97,
) -> np.ndarray:
    """L[k,c] = sum over the top images, r = 0.., of log(1 + p_r (P[i_r,c] - 1) + 1e-7)."""
    units, concepts = activations.shape[1], probabilities.shape[1]
    evidence = np.zeros((units, concepts))
    for k in range(units):
        order = sorted(range(len(activations)), key=lambda i: -activations[i, k])  # stable: ties by index
        for r, image in enumerate(order[:top_k]):
            p = p_start - (r / top_k) * (p_start - p_end)
            for c in range(concepts):
                evidence[k, c] += math.log(1 + p * (probabilities[image, c] - 1) + 1e-7)
    return evidence


def literal_log_mean_exp(evidence: np.ndarray) -> np.ndarray:
    largest = evidence.max(axis=0)
    return largest + np.log(np.exp(evidence - largest).mean(axis=0))


# -- worlds --------------------------------------------------------------------------------------------


def random_world(images: int, concepts: int, units: int, width: int = 12, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(images, width, generator=generator) * 3,
        torch.randn(concepts, width, generator=generator) * 5,
        torch.randn(images, units, generator=generator) - 1,
    ]


def shown_world(concepts: int, images: int = 600, width: int = 48) -> tuple[Tensor, Tensor]:
    """Unit vectors of images, each of which shows one concept with noise, and of the concepts."""
    generator = torch.Generator().manual_seed(1)
    texts = normalize(torch.randn(concepts, width, generator=generator), dim=1)
    shows = torch.arange(images) % concepts
    noise = torch.randn(images, width, generator=generator) / math.sqrt(width)
    return normalize(texts[shows] + 0.8 * noise, dim=1), texts


def scored(
    images: Tensor, texts: Tensor, activations: Tensor, kind: str, top_k: int = 40, pseudo: int = 1000
) -> tuple[Tensor, Tensor]:
    """Scores (K,C) with a frozen prior, and the pseudo-units' (M,C)."""
    function = SoftWPMI(top_k=top_k)
    normalizer = similarity.log_normalizer(images, texts, function.a)
    blocks = similarity.probability_blocks(images, texts, normalizer, function.a)
    probabilities = torch.cat([block for _, block in blocks], dim=1)
    null = function.evidence(probabilities, pseudo_units(len(images), pseudo, top_k, seed=0))
    prior = NullPrior.of(null, kind)
    top = activations.T.topk(top_k, dim=1).indices
    return prior.score(function.evidence(probabilities, top)), prior.score(null)


# -- soft-WPMI -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "concepts", "units", "top_k"),
    [(150, 20, 7, 100), (60, 9, 4, 100), (60, 9, 4, 60), (40, 5, 1, 10), (30, 1, 3, 10), (1, 3, 2, 100)],
)
def test_soft_wpmi_is_the_papers_formula(images: int, concepts: int, units: int, top_k: int) -> None:
    features, texts, activations = random_world(images, concepts, units)
    found = soft_wpmi(features, texts, activations, top_k=top_k)
    evidence = literal_evidence(
        literal_probabilities(features.numpy(), texts.numpy(), 10.0), activations.numpy(), top_k
    )
    np.testing.assert_allclose(found, evidence - literal_log_mean_exp(evidence), atol=1e-3, rtol=1e-5)


@given(
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 15),
    st.sampled_from(["ties", "constant", "negative", "plain"]),
    st.integers(0, 10_000),
)
def test_evidence_is_the_papers_formula_whatever_the_activations(
    images: int, concepts: int, units: int, top_k: int, kind: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(concepts, 0.3), images).astype(np.float32)
    activations = {
        "ties": random.integers(0, 3, (images, units)).astype(np.float64),
        "constant": np.full((images, units), -2.0),
        "negative": -random.uniform(1, 9, (images, units)),
        "plain": random.normal(size=(images, units)),
    }[kind]
    top = np.argsort(-activations, axis=0, kind="stable").T[:, :top_k].copy()
    function = SoftWPMI(top_k=top_k)
    found = function.evidence(torch.from_numpy(probabilities), torch.from_numpy(top))
    wanted = literal_evidence(probabilities.astype(np.float64), activations, top_k)
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("p_start", "p_end"), [(0.998, 0.97), (1.0, 1.0), (0.5, 0.1)])
def test_evidence_never_underflows(p_start: float, p_end: float) -> None:
    """100 factors near 1e-3 (or 1e-7) have a product far below float32's smallest number."""
    function = SoftWPMI(p_start=p_start, p_end=p_end)
    found = function.evidence(torch.zeros(100, 2), torch.arange(100)[None])
    wanted = literal_evidence(np.zeros((100, 2)), -np.arange(100.0)[:, None], 100, p_start, p_end)
    np.testing.assert_allclose(found, wanted, rtol=3e-4)


@pytest.mark.parametrize("name", ["similarity_a.npz", "similarity_b.npz"])
def test_soft_wpmi_agrees_with_the_authors(shared: Callable[[str], Path], name: str) -> None:
    golden = np.load(shared("golden") / name)
    inputs = (torch.from_numpy(golden[key]) for key in ("image_features", "text_features", "activations"))
    found = soft_wpmi(*inputs, top_k=50)
    np.testing.assert_allclose(found, golden["soft_wpmi"], atol=1e-3)


def test_the_ranks_fall_linearly_with_the_slope_of_top_k() -> None:
    ranks = SoftWPMI(top_k=100).ranks(1000)
    assert len(ranks) == 100
    assert ranks[0].item() == pytest.approx(0.998)
    assert ranks[50].item() == pytest.approx(0.984)
    torch.testing.assert_close(SoftWPMI(top_k=100).ranks(7), ranks[:7])


def test_only_the_order_of_a_units_activations_matters() -> None:
    images, texts, activations = random_world(80, 10, 5)
    before = soft_wpmi(images, texts, activations, top_k=20)
    torch.testing.assert_close(soft_wpmi(images, texts, activations.exp() - 7, top_k=20), before)
    torch.testing.assert_close(soft_wpmi(images * 9, texts * 0.1, activations, top_k=20), before)


def test_blocks_of_concepts_give_one_softmax() -> None:
    images, texts, _ = random_world(20, 2 * BLOCK + 3, 1)
    images, texts = normalize(images, dim=1), normalize(texts, dim=1)
    normalizer = similarity.log_normalizer(images, texts, 10.0)
    blocks = list(similarity.probability_blocks(images, texts, normalizer, 10.0))
    assert [(block.start, block.stop) for block, _ in blocks] == [
        (0, BLOCK),
        (BLOCK, 2 * BLOCK),
        (2 * BLOCK, 2 * BLOCK + 3),
    ]
    joined = torch.cat([probabilities for _, probabilities in blocks], dim=1)
    np.testing.assert_allclose(joined, literal_probabilities(images.numpy(), texts.numpy(), 10.0), rtol=2e-5)
    torch.testing.assert_close(joined.sum(dim=1), torch.ones(20))


def test_units_in_many_blocks_score_as_each_alone() -> None:
    """2^22 gathered numbers make a block: 60 units of 50 images and 2,000 concepts make two."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(120, 2000, generator=generator) / 2000
    top = pseudo_units(120, 60, 50, seed=3)
    together = SoftWPMI(top_k=50).evidence(probabilities, top)
    for k in (0, 41, 42, 59):
        torch.testing.assert_close(SoftWPMI(top_k=50).evidence(probabilities, top[k : k + 1])[0], together[k])


# -- priors --------------------------------------------------------------------------------------------


def test_the_null_prior_is_log_mean_exp_and_the_standardized_one_mean_and_deviation() -> None:
    evidence = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) * 20 - 300
    literal = evidence.numpy().astype(np.float64)
    null, standardized = NullPrior.of(evidence, "null"), NullPrior.of(evidence, "standardized")
    np.testing.assert_allclose(null.score(evidence), literal - literal_log_mean_exp(literal), rtol=1e-4)
    wanted = (literal - literal.mean(axis=0)) / literal.std(axis=0)
    np.testing.assert_allclose(standardized.score(evidence), wanted, atol=1e-3)


def test_a_concept_that_is_the_same_for_every_image_tells_nothing() -> None:
    evidence = torch.tensor([[-3.0, -1.0], [-3.0, -2.0], [-3.0, -4.0]])
    scores = NullPrior.of(evidence, "standardized").score(evidence)
    assert scores[:, 0].tolist() == [0, 0, 0]
    assert scores.isfinite().all()


@pytest.mark.parametrize("kind", ["null", "standardized"])
def test_a_frozen_prior_scores_a_unit_the_same_in_any_layer(kind: str) -> None:
    images, texts = shown_world(12)
    activations = images @ texts.T
    among_all, _ = scored(images, texts, activations, kind)
    alone, _ = scored(images, texts, activations[:, 3:4], kind)
    torch.testing.assert_close(alone[0], among_all[3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["null", "standardized"])
def test_planted_units_get_their_concept(kind: str) -> None:
    images, texts = shown_world(30)
    activations = images @ texts.T + 0.02 * torch.randn(600, 30, generator=torch.Generator().manual_seed(2))
    scores, _ = scored(images, texts, activations, kind, top_k=20)
    assert scores.argmax(dim=1).tolist() == list(range(30))


def test_a_common_concept_is_hidden_by_the_layer_prior_only() -> None:
    """Two thirds of the layer detect concept 0: the failure that cmon's frozen prior is there to mend."""
    images, texts = shown_world(30)
    generator = torch.Generator().manual_seed(2)
    planted = torch.cat([torch.zeros(40, dtype=torch.int64), torch.arange(1, 21)])
    activations = (images @ texts.T)[:, planted] + 0.1 * torch.randn(600, 60, generator=generator)
    with_null, _ = scored(images, texts, activations, "null", top_k=20)
    with_layer = soft_wpmi(images, texts, activations, top_k=20)
    common = planted == 0
    assert (with_null.argmax(dim=1) == planted).float().mean() > 0.95
    assert (with_layer.argmax(dim=1)[common] == 0).float().mean() < 0.7


@pytest.mark.parametrize("kind", ["null", "standardized"])
def test_shuffled_units_are_found_interpretable_at_most_at_the_promised_rate(kind: str) -> None:
    """200 planted units beside 400 shuffled ones: the false share stays at the rate; all alone, near none pass."""
    images, texts = shown_world(20)
    generator = torch.Generator().manual_seed(4)
    planted = (images @ texts.T).repeat(1, 10)
    planted += 0.05 * torch.randn(planted.shape, generator=generator)
    shuffled = torch.stack(
        [planted[torch.randperm(600, generator=generator), k % 200] for k in range(400)], dim=1
    )
    scores, null = scored(images, texts, torch.cat([planted, shuffled], dim=1), kind, top_k=40, pseudo=4000)
    p = statistics.p_values(scores.amax(dim=1).numpy(), null.amax(dim=1).numpy())
    found = statistics.discoveries(p, 0.05)
    assert found[:200].mean() > 0.95
    # The expected false share is 0.05 * 400 / 600; three standard errors of about 10 false ones above it.
    assert found[200:].sum() / found.sum() < 0.05 * 2 / 3 + 3 * math.sqrt(10) / 210
    # Alone, they are one family in which every discovery is false: 5 % of such families have any.
    alone = statistics.discoveries(p[200:], 0.05)
    assert alone.sum() <= 2
    assert abs((p[200:] <= 0.1).mean() - 0.1) < 3 * math.sqrt(0.1 * 0.9 / 400)


# -- pseudo-units --------------------------------------------------------------------------------------


def test_pseudo_units_are_random_orders_from_their_seed() -> None:
    orders = pseudo_units(50, 600, 20, seed=0)
    assert orders.shape == (600, 20)
    assert all(len(set(row)) == 20 for row in orders.tolist())
    assert torch.equal(orders, pseudo_units(50, 600, 20, seed=0))
    assert not torch.equal(orders, pseudo_units(50, 600, 20, seed=1))
    assert len({tuple(row) for row in orders.tolist()}) == 600


def test_pseudo_units_take_every_image_equally_often_at_every_rank() -> None:
    orders = pseudo_units(10, 4000, 3, seed=0)
    for rank in range(3):
        counts = torch.bincount(orders[:, rank], minlength=10).double()
        assert ((counts - 400) ** 2 / 400).sum() < 27.9  # chi-squared, 9 degrees of freedom, p = 0.001


def test_pseudo_units_of_few_images_take_all_of_them() -> None:
    assert pseudo_units(4, 5, 100, seed=0).sort(dim=1).values.tolist() == [[0, 1, 2, 3]] * 5
