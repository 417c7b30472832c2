from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cmon.scoring.similarity.blocks import concept_slices
from cmon.scoring.similarity.products import cosine_blocks, float32_products, matrix_product
from cmon.scoring.similarity.room import LARGEST
from tests.support import unit_vectors


@pytest.mark.parametrize("images", [1, 20, 2048, 2049, 4500])
@pytest.mark.parametrize("concepts", [1, LARGEST, 2 * LARGEST + 3])
def test_blocks_and_tiles_join_to_all_cosines(images: int, concepts: int) -> None:
    pictures, texts = unit_vectors.draw(images, concepts)
    blocks = list(cosine_blocks(pictures, texts))
    assert [(block.start, block.stop) for block, _ in blocks] == [
        (one.start, one.stop) for one in concept_slices(images, concepts)
    ]
    torch.testing.assert_close(torch.cat([make() for _, make in blocks], dim=1), pictures @ texts.T)


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


@pytest.mark.parametrize(("rows", "inner", "columns"), [(0, 5, 3), (1, 1, 1), (1100, 70, 33)])
def test_the_product_is_the_matrix_product(rows: int, inner: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(inner, rows, generator=generator).T,
        torch.randn(inner, columns, generator=generator),
    )
    torch.testing.assert_close(matrix_product(left, right), left @ right, rtol=1e-5, atol=1e-5)


def test_products_stay_float32_where_the_program_allows_less() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(64, 512, generator=generator), torch.randn(512, 64, generator=generator)
    exact = left.double() @ right.double()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with float32_products():
            found = left @ right
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-4)
