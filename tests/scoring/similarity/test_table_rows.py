from __future__ import annotations

import numpy as np
import pytest
import torch

from cmon.scoring.similarity.table_rows import can_compile, gathered_row_sums, row_products, row_sums

needs_numba = pytest.mark.skipif(not can_compile(), reason="numba is not installed")


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


@needs_numba
@pytest.mark.parametrize("ranks", [1, 3, 4, 7, 100])
@pytest.mark.parametrize("units", [0, 1, 5])
def test_products_are_those_of_the_definition(ranks: int, units: int) -> None:
    random = np.random.default_rng(ranks)
    table = torch.from_numpy(random.uniform(0, 1e-3, (50, 19)).astype(np.float32))
    rows = torch.from_numpy(random.integers(0, 50, (units, ranks)))
    odds = torch.from_numpy(random.uniform(0, 500, ranks).astype(np.float32))
    wanted = np.ones((units, 19))
    for unit in range(units):
        for rank in range(ranks):
            wanted[unit] *= 1 + odds[rank].double().numpy() * table[rows[unit, rank]].double().numpy()
    found = row_products(table, rows, odds)
    by_half = row_products(table, rows, odds / 2, 0.5) * 2.0**ranks
    torch.testing.assert_close(by_half, found, rtol=1e-7 * (3 + ranks**0.5 * 2), atol=0)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-7 * (3 + ranks**0.5 * 2))


@needs_numba
def test_parts_of_larger_tensors_are_read_in_place() -> None:
    random = np.random.default_rng(0)
    table = torch.from_numpy(random.uniform(size=(30, 40)).astype(np.float32))
    rows = torch.from_numpy(random.integers(0, 30, (6, 12)))
    odds = torch.ones(5)
    part = row_products(table[:, 7:20], rows[:, 3:8], odds)
    torch.testing.assert_close(
        part, row_products(table[:, 7:20].contiguous(), rows[:, 3:8].contiguous(), odds)
    )


@needs_numba
@pytest.mark.parametrize(("images", "ranks"), [(9000, 30), (30_000, 30), (30_000, 3)])
def test_tiles_of_many_images_make_no_difference(images: int, ranks: int) -> None:
    """Of 9,000 images tiles of 2,048, of more larger ones; and none where a unit has hardly any in one."""
    random = np.random.default_rng(0)
    table = torch.from_numpy(random.uniform(size=(images, 300)).astype(np.float32))
    rows = torch.from_numpy(random.integers(0, images, (40, ranks)))
    odds = torch.from_numpy(random.uniform(0, 2, ranks).astype(np.float32))
    wanted = (1 + odds[:, None].double() * table[rows].double()).prod(dim=1)
    torch.testing.assert_close(row_products(table, rows, odds).double(), wanted, rtol=3e-6, atol=0)
