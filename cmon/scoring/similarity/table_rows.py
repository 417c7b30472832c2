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
_TILES = (2048, 8192)
"""Rows of a table whose products are computed together, for all units: with so many columns, a megabyte or two; or
more, where a unit has too few in so small a tile."""
_WORTH_TILES = 3
"""Rows that a unit must have in a tile, on average, so that it pays to load and store its product for them."""
_FEW_IMAGES, _FEW_TOGETHER, _MANY_TOGETHER = 2**14, 128, 320
"""Columns whose products are computed together. Of more images a unit has few in one tile, and wider rows pay."""


def row_sums(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of a table's rows, without gathering them: sum over r of weights[k,r] * table[rows[k,r]].

    table (N,C') float32, rows (K,R) int64, weights (K,R) float32. Returns (K,C') float32.
    """
    if table.device.type in ("cpu", "cuda"):  # one fused kernel reads each row once and keeps the sum
        return torch.nn.functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
    return gathered_row_sums(table, rows, weights)


def row_means(table: Tensor, rows: Tensor) -> Tensor:
    """Means of a table's rows: `row_sums` with equal weights. rows (K,R), R at least 1."""
    if table.device.type in ("cpu", "cuda"):
        return torch.nn.functional.embedding_bag(rows, table, mode="mean")
    return gathered_row_sums(table, rows, table.new_full(rows.shape, 1 / rows.shape[1]))


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


def row_products(table: Tensor, rows: Tensor, odds: Tensor, base: float = 1.0) -> Tensor:
    """Product over r of base + odds[r] * table[rows[k,r]], on the CPU.

    table (N,C') float32; rows (K,R) int64 or int32; odds (R,) float32. Returns (K,C') float32, with a relative error of
    about sqrt(R) roundings. The caller must see to it that it stays finite.
    """
    found = torch.empty(len(rows), table.shape[1])
    images, columns = table.shape
    parts = max(1, -(-columns // (_FEW_TOGETHER if images <= _FEW_IMAGES else _MANY_TOGETHER)))
    width = -(-columns // (16 * parts)) * 16  # a vector instruction takes 16
    worth = (tile for tile in _TILES if tile * len(odds) >= _WORTH_TILES * images)
    tile = min(next(worth, images), max(1, images))
    starts = np.empty((len(rows), -(-images // tile) + 1), np.int32)
    by_tile = np.empty(rows.shape, np.int32)
    factors = np.empty(rows.shape, np.float32)
    sort_by_tile, multiply = _kernels()
    sort_by_tile(rows.numpy(), odds.numpy(), tile, by_tile, factors, starts)
    multiply(table.numpy(), by_tile, factors, starts, tile, np.float32(base), width, found.numpy())
    return found


@cache
def _kernels() -> tuple[Callable[..., None], Callable[..., None]]:
    return compiled(_sort_by_tile), compiled(_multiply_rows)


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """The function as machine code, which other threads run beside; `can_compile` says whether there is a compiler."""
    import numba

    options: dict[str, Any] = {"nogil": True, "fastmath": True}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # no folder can be written to keep the compiled code in
        return numba.njit(function, **options)


def _sort_by_tile(rows: Any, odds: Any, tile: int, by_tile: Any, factors: Any, starts: Any) -> None:
    """Each unit's rows and their odds, those of the table's first tile first; starts (K,T+1): where tiles begin."""
    tiles = starts.shape[1] - 1
    at = np.empty(tiles, np.int32)
    for unit in range(len(rows)):
        own, start = rows[unit], starts[unit]
        start[:] = 0
        for r in range(len(own)):
            start[own[r] // tile + 1] += 1
        for t in range(tiles):
            start[t + 1] += start[t]
            at[t] = start[t]
        for r in range(len(own)):
            t = own[r] // tile
            by_tile[unit, at[t]] = own[r]
            factors[unit, at[t]] = odds[r]
            at[t] += 1


def _multiply_rows(
    table: Any, rows: Any, factors: Any, starts: Any, tile: int, base: Any, width: int, found: Any
) -> None:
    """Tile by tile, so that a row is read from the processor's cache; four rows at a time, so that the product is
    loaded and stored once for them."""
    near, products = np.zeros((tile, width), np.float32), np.empty((len(rows), width), np.float32)
    for left in range(0, table.shape[1], width):
        right = min(left + width, table.shape[1])
        products[:] = 1
        for t in range(starts.shape[1] - 1):
            first = t * tile
            for row in range(min(tile, len(table) - first)):
                near[row, : right - left] = table[first + row, left:right]
            for unit in range(len(rows)):
                own, odds, product = rows[unit], factors[unit], products[unit]
                r, stop = starts[unit, t], starts[unit, t + 1]
                while r + 4 <= stop:
                    a, b = near[own[r] - first], near[own[r + 1] - first]
                    c, d = near[own[r + 2] - first], near[own[r + 3] - first]
                    p, q, s, v = odds[r], odds[r + 1], odds[r + 2], odds[r + 3]
                    for at in range(len(product)):
                        product[at] *= ((base + p * a[at]) * (base + q * b[at])) * (
                            (base + s * c[at]) * (base + v * d[at])
                        )
                    r += 4
                if r + 2 <= stop:
                    a, b, p, q = near[own[r] - first], near[own[r + 1] - first], odds[r], odds[r + 1]
                    for at in range(len(product)):
                        product[at] *= (base + p * a[at]) * (base + q * b[at])
                    r += 2
                if r < stop:
                    a, p = near[own[r] - first], odds[r]
                    for at in range(len(product)):
                        product[at] *= base + p * a[at]
        for unit in range(len(rows)):
            found[unit, left:right] = products[unit, : right - left]
