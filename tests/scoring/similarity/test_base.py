from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cmon.scoring.similarity.base import (
    BLOCK,
    any_of_equals,
    concept_slices,
    cosine_blocks,
    first_of_equals,
    gathered_row_sums,
    joined,
    log_normalizer,
    of_blocks,
    probability_blocks,
    product,
    row_sums,
)
from cmon.scoring.similarity.wpmi import SoftWPMI
from tests.support.literal import cosines, probabilities


def vectors(images: int, concepts: int, width: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        normalize(torch.randn(images, width, generator=generator), dim=1),
        normalize(torch.randn(concepts, width, generator=generator), dim=1),
    )


@pytest.mark.parametrize("images", [1, 10_000, 60_000, 10**7])
@pytest.mark.parametrize("concepts", [0, 1, 64, BLOCK, 2 * BLOCK + 3])
def test_blocks_hold_every_concept_once_and_not_too_much(images: int, concepts: int) -> None:
    slices = concept_slices(images, concepts)
    assert [c for one in slices for c in range(one.start, one.stop)] == list(range(concepts))
    assert all(one.stop - one.start == 64 or (one.stop - one.start) * images <= 2**24 for one in slices[:-1])


@pytest.mark.parametrize("images", [1, 20, 2048, 2049, 4500])
@pytest.mark.parametrize("concepts", [1, BLOCK, 2 * BLOCK + 3])
def test_blocks_and_tiles_join_to_all_cosines(images: int, concepts: int) -> None:
    some, texts = vectors(images, concepts)
    blocks = list(cosine_blocks(some, texts))
    assert [(block.start, block.stop) for block, _ in blocks] == [
        (one.start, one.stop) for one in concept_slices(images, concepts)
    ]
    torch.testing.assert_close(torch.cat([make() for _, make in blocks], dim=1), some @ texts.T)


@pytest.mark.parametrize("width", [1, 64, 100, 512])
def test_cosines_whose_order_counts_are_nearer_to_float64_than_a_plain_product(width: int) -> None:
    """Vectors in a cone, as CLIP's: among 500 cosines many lie within float32's rounding of each other."""
    generator = torch.Generator().manual_seed(0)
    cone = torch.rand(width, generator=generator)
    images, texts = (
        normalize(0.3 * torch.randn(count, width, generator=generator) + cone, dim=1) for count in (500, 300)
    )
    truth = images.double() @ texts.double().T

    def error(found: Tensor) -> float:
        return float((found.double() - truth).square().mean().sqrt())

    ((_, make),) = cosine_blocks(images, texts, for_order=True)
    assert error(make()) <= error(images @ texts.T) + 1e-10


@pytest.mark.parametrize("kept", [0, 2**28])
def test_blocks_of_concepts_give_one_softmax(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the blocks' exponentials are left from the first pass or made again."""
    monkeypatch.setattr("cmon.scoring.similarity.base._KEPT", kept)
    images, texts = vectors(20, 2 * BLOCK + 3)
    joined_blocks = torch.cat([make() for _, make in probability_blocks(images, texts, 10.0)], dim=1)
    wanted = probabilities(cosines(images.numpy(), texts.numpy()), 10.0)
    np.testing.assert_allclose(joined_blocks, wanted, rtol=2e-5)
    torch.testing.assert_close(joined_blocks.sum(dim=1), torch.ones(20))


@pytest.mark.parametrize("a", [0.0, 2.0, 100.0, 1000.0])
def test_the_normalizer_neither_overflows_nor_underflows(a: float) -> None:
    images, texts = vectors(30, BLOCK + 9)
    s = cosines(images.numpy(), texts.numpy())
    wanted = np.log(np.exp(a * (s - s.max(axis=1, keepdims=True))).sum(axis=1)) + a * s.max(axis=1)
    np.testing.assert_allclose(log_normalizer(images, texts, a), wanted, rtol=1e-5, atol=1e-5 * a)


@pytest.mark.parametrize("sums", [row_sums, gathered_row_sums])
@pytest.mark.parametrize("units", [0, 1, 700])
def test_row_sums_are_weighted_sums_of_rows(sums: object, units: int) -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(60, 200, generator=generator)
    rows = torch.randint(60, (units, 40), generator=generator)
    weights = torch.randn(units, 40, generator=generator)
    found = sums(table, rows, weights)  # type: ignore[operator]
    assert found.shape == (units, 200)
    for k in range(0, units, 99):
        wanted = (weights[k, :, None].double() * table[rows[k]].double()).sum(dim=0)
        torch.testing.assert_close(found[k].double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("rows", "inner", "columns"), [(0, 5, 3), (1, 1, 1), (1100, 70, 33)])
def test_the_product_is_the_matrix_product(rows: int, inner: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(inner, rows, generator=generator).T,
        torch.randn(inner, columns, generator=generator),
    )
    torch.testing.assert_close(product(left, right), left @ right, rtol=1e-5, atol=1e-5)


def test_rankings_take_the_most_activating_images_and_of_equals_the_first() -> None:
    activations = torch.tensor([[0.0, 5.0, 5.0, -1.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    assert first_of_equals(activations, 2).tolist() == [[1, 2], [4, 3]]
    assert set(any_of_equals(activations, 2)[0].tolist()) < {1, 2, 4}
    for ranking in (first_of_equals, any_of_equals):
        assert ranking(activations, 9)[1].tolist() == [4, 3, 2, 1, 0]


def test_joined_units_stand_one_part_after_the_other() -> None:
    parts = [(torch.full((k, 2), float(k)), torch.full((k,), float(k))) for k in (1, 3)]
    rows, numbers = joined(parts)
    assert rows.tolist() == [[1, 1], [3, 3], [3, 3], [3, 3]]
    assert numbers.tolist() == [1, 3, 3, 3]


def test_what_blocks_share_is_made_on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the blocks themselves are spread over the cores, one each."""
    images, texts = vectors(30, 40)
    torch_cores: list[int] = []

    def normalizer(*_: object) -> Tensor:
        torch_cores.append(torch.get_num_threads())
        return torch.zeros(30)

    monkeypatch.setattr("cmon.scoring.similarity.base.log_normalizer", normalizer)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        function = SoftWPMI()
        list(of_blocks(len, function.blocks(images, texts), images.device))
    finally:
        torch.set_num_threads(before)
    assert torch_cores == [3]
