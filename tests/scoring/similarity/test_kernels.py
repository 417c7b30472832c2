from __future__ import annotations

import numpy as np
import pytest
import torch

from cmon.scoring.similarity import kernels

pytestmark = pytest.mark.skipif(not kernels.available(), reason="numba is not installed")


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
    found = kernels.row_products(table, rows, odds)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-7 * (3 + ranks**0.5 * 2))


def test_parts_of_larger_tensors_are_read_in_place() -> None:
    random = np.random.default_rng(0)
    table = torch.from_numpy(random.uniform(size=(30, 40)).astype(np.float32))
    rows = torch.from_numpy(random.integers(0, 30, (6, 12)))
    odds = torch.ones(5)
    part = kernels.row_products(table[:, 7:20], rows[:, 3:8], odds)
    torch.testing.assert_close(
        part, kernels.row_products(table[:, 7:20].contiguous(), rows[:, 3:8].contiguous(), odds)
    )
