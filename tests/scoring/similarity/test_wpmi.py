"""What makes soft_wpmi fast must not make it less exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmon.scoring.pseudo_units import random_orders
from cmon.scoring.similarity import table_rows
from cmon.scoring.similarity.blocks import Block
from cmon.scoring.similarity.wpmi import WPMI, SoftWPMI, expansion
from tests.support import literal

KINDS = ["ties", "constant", "negative", "plain"]


@pytest.fixture(params=["tables", "products"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything by either way, however few the units are."""
    if request.param == "products" and not table_rows.can_compile():
        pytest.skip("numba is not installed")
    monkeypatch.setattr(table_rows, "WORTH_COMPILING", 0 if request.param == "products" else 2**62)
    return request.param


def block_of(probabilities: torch.Tensor) -> Block:
    return probabilities, probabilities.min(), probabilities.max()


def awkward(kind: str, images: int, units: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return {
        "ties": random.integers(0, 3, (images, units)).astype(np.float64),
        "constant": np.full((images, units), -2.0),
        "negative": -random.uniform(1, 9, (images, units)),
        "plain": random.normal(size=(images, units)),
    }[kind]


@given(
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 15),
    st.sampled_from(KINDS),
    st.sampled_from([0.01, 0.3, 5.0]),
    st.integers(0, 10_000),
)
def test_evidence_is_the_papers_formula_whatever_the_activations(
    images: int, concepts: int, units: int, top_k: int, kind: str, evenness: float, seed: int
) -> None:
    """From tables of P themselves, near 0 and 1 too; of equal activations the first image counts."""
    p = np.random.default_rng(seed).dirichlet(np.full(concepts, evenness), images).astype(np.float32)
    activations = awkward(kind, images, units, seed)
    for function, twin in (
        (SoftWPMI(top_k=top_k), literal.soft_evidence),
        (WPMI(top_k=top_k), literal.evidence),
    ):
        kept = function.units(torch.empty(images, 1), torch.from_numpy(activations))
        found = function.evidence(block_of(torch.from_numpy(p)), kept)
        np.testing.assert_allclose(
            found, twin(p.astype(np.float64), activations, top_k), rtol=2e-6, atol=4e-5
        )


@pytest.mark.parametrize(
    ("p_start", "p_end"), [(0.998, 0.97), (0.97, 0.998), (1.0, 1.0), (1.0, 0.5), (0.5, 0.1), (0.3, 0.0)]
)
@pytest.mark.parametrize("largest", [0.0, 1e-9, 1e-5, 1e-3, 0.1, 1.0])
def test_any_probabilities_of_belonging_are_summed_exactly(
    p_start: float, p_end: float, largest: float
) -> None:
    """100 factors of 1e-3 (or 1e-7) would have a product far below float32's smallest number."""
    random = np.random.default_rng(0)
    p = (largest * random.uniform(size=(120, 40)) ** 4).astype(np.float32)
    p[0] = largest
    activations = random.normal(size=(120, 5))
    function = SoftWPMI(p_start=p_start, p_end=p_end)
    found = function.evidence(
        block_of(torch.from_numpy(p)), function.units(torch.empty(120, 1), torch.from_numpy(activations))
    )
    wanted = literal.soft_evidence(p.astype(np.float64), activations, 100, p_start, p_end)
    rest = 1 - function.membership(120) + 1e-7
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * (np.abs(np.log(rest)).sum() + 30))


@pytest.mark.parametrize("largest", [1e-5, 1e-3, 0.05, 1.0])
@pytest.mark.parametrize(
    "odds",
    [
        np.linspace(32, 499, 100),
        np.full(100, 7.0),
        np.geomspace(1e-3, 1e7, 50),
        np.array([0.0, 1.0, 2.0]),
        np.array([5.0]),
        np.zeros(4),
    ],
)
def test_a_few_ranks_functions_make_up_all_others(odds: np.ndarray, largest: float) -> None:
    nodes, weights = expansion(tuple(odds), largest)
    assert weights.shape == (len(odds), len(nodes))
    grid = np.concatenate([[0], np.geomspace(largest * 1e-12, largest, 1777)])
    error = weights @ np.log1p(np.outer(nodes, grid)) - np.log1p(np.outer(odds, grid))
    assert np.abs(error).max(axis=1).sum() < 1.2e-4
    # Weights of both signs and any size would lose in float32 what they gain here.
    sizes = np.abs(weights) @ np.log1p(nodes * largest)
    assert sizes.sum() <= 4.01 * np.log1p(odds * largest).sum()


def test_the_papers_parameters_need_few_tables() -> None:
    function = SoftWPMI()
    _, odds = function.factors(100)
    for largest, most in ((1e-4, 3), (1e-3, 5), (1e-2, 7), (1.0, 9)):
        nodes, _ = expansion(tuple(odds), largest)
        assert 2 <= len(nodes) <= most


def test_the_ranks_fall_linearly_with_the_slope_of_top_k() -> None:
    ranks = SoftWPMI(top_k=100).membership(1000)
    assert len(ranks) == 100
    assert ranks[0] == pytest.approx(0.998)
    assert ranks[50] == pytest.approx(0.984)
    np.testing.assert_allclose(SoftWPMI(top_k=100).membership(7), ranks[:7])


@pytest.mark.parametrize("function", [SoftWPMI(top_k=50), WPMI()])
def test_units_and_concepts_in_many_parts_score_as_each_alone(function: SoftWPMI | WPMI) -> None:
    """2^20 numbers make a table: of 3,000 images, 349 concepts."""
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(3000, 800, generator=generator) / 2000
    top = random_orders(3000, 60, function.top_k, seed=3)
    together = function.evidence(block_of(p), (top,))
    for k in (0, 41, 59):
        torch.testing.assert_close(function.evidence(block_of(p), (top[k : k + 1],))[0], together[k])
    for part in (slice(0, 1), slice(340, 360), slice(799, 800)):
        torch.testing.assert_close(function.evidence(block_of(p[:, part]), (top,)), together[:, part])


def test_evidence_is_the_logarithm_of_a_probability() -> None:
    p = torch.rand(200, 30, generator=torch.Generator().manual_seed(0))
    top = random_orders(200, 9, 100, seed=0)
    assert (SoftWPMI().evidence(block_of(p), (top,)) <= 0).all()
    certain = SoftWPMI().evidence(block_of(torch.ones(200, 3)), (top,))
    torch.testing.assert_close(certain, torch.zeros(9, 3), atol=1e-4, rtol=0)
    impossible = SoftWPMI().evidence(block_of(torch.zeros(200, 3)), (top,))
    wanted = sum(math.log(1 - (0.998 - r / 100 * 0.028) + 1e-7) for r in range(100))
    torch.testing.assert_close(impossible, torch.full((9, 3), wanted))
