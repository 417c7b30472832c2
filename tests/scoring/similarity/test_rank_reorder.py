from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmon.scoring.priors import PRIORS, Baseline, PriorInputs
from cmon.scoring.similarity import rank_errors, rank_reorder, table_rows
from cmon.scoring.similarity.base import Similarity, Units
from cmon.scoring.similarity.blocks import Block
from cmon.scoring.similarity.rank_reorder import RankReorder
from tests.support import literal


def baseline(prior: str, function: Similarity, block: Block, units: Units) -> Baseline:
    inputs = PriorInputs(
        chance=lambda: function.chance(block, units, torch.empty(0)), layer_prior=lambda: torch.empty(0)
    )
    return PRIORS[prior].baseline(inputs)


@pytest.fixture(params=["sorted", "counted"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything by either way, however few the images are."""
    if request.param == "counted" and not table_rows.can_compile():
        pytest.skip("numba is not installed")
    monkeypatch.setattr(table_rows, "WORTH_COMPILING", 0 if request.param == "counted" else 2**62)
    return request.param


def block_of(cosines: torch.Tensor) -> Block:
    """Cosines as `evidence` takes them; what chance gives is not needed."""
    return (*rank_reorder.with_ranks(cosines), torch.empty(0), torch.empty(0))


@given(
    st.integers(1, 25),
    st.integers(1, 4),
    st.integers(1, 3),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_evidence_is_the_papers_formula_with_ties(
    images: int, concepts: int, units: int, fraction: float, tied: bool, alike: bool, seed: int
) -> None:
    """Equal activations and equal cosines, of both signs and 0."""
    random = np.random.default_rng(seed)
    cosines = random.uniform(-1, 1, (images, concepts)).astype(np.float32)
    activations = random.normal(size=(images, units)).astype(np.float32)
    if alike:
        cosines = np.round(cosines * 2) / 2 * np.float32(random.choice([-1, 1]))  # -0.0 too
    if tied:
        activations = np.round(activations)
    function = RankReorder(top_fraction=fraction)
    kept = function.units(torch.empty(images, 1), torch.from_numpy(activations))
    found = function.evidence(block_of(torch.from_numpy(cosines)), kept)
    wanted = literal.rank_reorder_of(cosines.astype(np.float64), activations.astype(np.float64), fraction)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40))
def test_the_order_is_that_of_a_stable_argsort(values: list[float]) -> None:
    row = torch.tensor([values])
    assert rank_errors.rising_order(row).tolist() == (row + 0.0).argsort(dim=1, stable=True).tolist()


def test_units_in_many_parts_score_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    cosines, activations = torch.rand(100, 7, generator=generator), torch.randn(100, 11, generator=generator)
    function, images = RankReorder(top_fraction=0.2), torch.empty(100, 1)
    units = function.units(images, activations)
    found = function.evidence(block_of(cosines), units)
    monkeypatch.setattr(rank_reorder, "_CHUNK", 500)
    monkeypatch.setattr(rank_reorder, "_IN_CACHE", 500)
    monkeypatch.setattr(rank_errors, "_TOGETHER", 500)
    for whole, part in zip(units, function.units(images, activations), strict=True):
        torch.testing.assert_close(part, whole)
    torch.testing.assert_close(function.evidence(block_of(cosines), units), found)


@pytest.mark.parametrize("fraction", [1.0, 0.6])
def test_chance_is_the_mean_and_deviation_over_all_orders(fraction: float) -> None:
    """6 images have 720 orders. Of sets of 4, the mean cosine's part is sampled; of all 6, nothing is."""
    random = np.random.default_rng(0)
    activations = np.exp(random.normal(size=6)).astype(np.float32)
    images = torch.nn.functional.normalize(
        torch.from_numpy(random.uniform(0.2, 1, (6, 3)).astype(np.float32))
    )
    texts = torch.nn.functional.normalize(torch.from_numpy(random.uniform(0.2, 1, (4, 3)).astype(np.float32)))
    function = RankReorder(top_fraction=fraction)
    ((_, make),) = function.blocks(images, texts)
    block = make()
    orders = np.stack([activations[list(order)] for order in permutations(range(6))], axis=1)
    every = function.evidence(block, function.units(images, torch.from_numpy(orders))).double()
    units = function.units(images, torch.from_numpy(activations[:, None]))
    tolerance = 1e-4 if fraction == 1.0 else 0.02
    null = baseline("null", function, block, units)
    torch.testing.assert_close(null.location[0].double(), every.mean(dim=0), rtol=tolerance, atol=0)
    assert (null.score(every.float()) == every.float() - null.location).all()
    standardized = baseline("standardized", function, block, units)
    torch.testing.assert_close(
        standardized.scale[0].double(), every.std(dim=0, correction=0), rtol=max(1e-3, tolerance), atol=0
    )


def test_a_unit_of_equal_activations_tells_nothing() -> None:
    images = torch.nn.functional.normalize(torch.rand(40, 5, generator=torch.Generator().manual_seed(0)))
    function = RankReorder(top_fraction=0.5)
    ((_, make),) = function.blocks(images, images[:3])
    block = make()
    units = function.units(images, torch.full((40, 2), 3.0))
    assert (function.evidence(block, units) == 0).all()
    for kind in ("null", "standardized"):
        assert (baseline(kind, function, block, units).score(function.evidence(block, units)) == 0).all()


@pytest.mark.parametrize("exponent", [1.0, 2.5, 3.0])
def test_counting_bits_is_sorting_whatever_the_exponent(exponent: float) -> None:
    """More images than bits in a word; of ten concepts one is alike for all images, and one for half of them."""
    generator = torch.Generator().manual_seed(0)
    cosines = torch.rand(1000, 10, generator=generator)
    cosines[:, 3], cosines[::2, 7] = 0.25, 0.5
    function = RankReorder(p=exponent, top_fraction=0.3)
    units = function.units(torch.empty(1000, 1), torch.randn(1000, 20, generator=generator))
    found = function.evidence(block_of(cosines), units)
    by_sorting = function.evidence((cosines, torch.empty(0), torch.empty(0), torch.empty(0)), units)
    torch.testing.assert_close(found, by_sorting, rtol=2e-6, atol=1e-7)


def test_ranks_count_the_images_below() -> None:
    cosines = torch.tensor([[0.5, -0.0], [0.1, 0.0], [0.5, -1.0], [0.9, 0.0]])
    if table_rows.can_compile():
        assert rank_errors.image_ranks(cosines).tolist() == [[1, 0, 1, 3], [1, 1, 0, 1]]
