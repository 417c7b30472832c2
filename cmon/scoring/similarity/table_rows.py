"""Sums and products of rows of a table: what scoring many units spends its time on.

torch has fused sums of gathered rows, but no fused products; with one, the logarithm of each factor is saved.
numba, which umap-learn installs, compiles it. Where it is absent, `can_compile` says so, and sums do the work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

WORTH_COMPILING = 2**20
"""Numbers in a block of images and concepts from which on compiling pays: it takes a second or two, once on a machine,
and loading what was compiled half a second."""


def row_sums(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of a table's rows, without gathering them: sum over r of weights[k,r] * table[rows[k,r]].

    table (N,C') float32, rows (K,R) int64, weights (K,R) float32. Returns (K,C') float32.
    """
    if table.device.type in ("cpu", "cuda"):  # one fused kernel reads each row once and keeps the sum
        return torch.nn.functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
    return gathered_row_sums(table, rows, weights)


def gathered_row_sums(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """`row_sums` for any device: a few units at a time, their rows gathered."""
    step = max(1, 2**22 // max(1, rows.shape[1] * table.shape[1]))
    parts = [
        torch.einsum("kr,krc->kc", some_weights, table[some_rows])
        for some_rows, some_weights in zip(rows.split(step), weights.split(step), strict=True)
    ]
    return torch.cat(parts)


@cache
def can_compile() -> bool:
    """Whether numba can be imported."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def row_products(table: Tensor, rows: Tensor, odds: Tensor) -> Tensor:
    """Product over r of 1 + odds[r] * table[rows[k,r]], on the CPU.

    table (N,C') float32, its rows contiguous; rows (K,R) int64; odds (R,) float32. Returns (K,C') float32, with a
    relative error of about sqrt(R) roundings. The caller must see to it that it stays finite.
    """
    found = torch.empty(len(rows), table.shape[1])
    _kernel()(table.numpy(), rows.numpy(), odds.numpy(), found.numpy())
    return found


@cache
def _kernel() -> Callable[..., None]:
    import numba

    options: dict[str, Any] = {"nogil": True, "fastmath": True}
    try:
        return numba.njit(_multiply_rows, cache=True, **options)
    except RuntimeError:  # no folder can be written to keep the compiled code in
        return numba.njit(_multiply_rows, **options)


def _multiply_rows(table: Any, rows: Any, odds: Any, found: Any) -> None:
    """Four rows at a time, so that the product is loaded and stored once for them."""
    ranks = rows.shape[1]
    fours = ranks - ranks % 4
    one = np.float32(1)  # a plain 1 would make all of it float64
    for unit in range(len(rows)):
        product, own = found[unit], rows[unit]
        product[:] = one
        for r in range(0, fours, 4):
            a, b, c, d = table[own[r]], table[own[r + 1]], table[own[r + 2]], table[own[r + 3]]
            p, q, s, t = odds[r], odds[r + 1], odds[r + 2], odds[r + 3]
            for at in range(len(product)):
                product[at] *= ((one + p * a[at]) * (one + q * b[at])) * (
                    (one + s * c[at]) * (one + t * d[at])
                )
        for r in range(fours, ranks):
            a, p = table[own[r]], odds[r]
            for at in range(len(product)):
                product[at] *= one + p * a[at]
