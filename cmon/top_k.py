"""The k largest values per unit, kept while blocks stream by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_COPIED, _COPIED_TO_DEVICE = 2**22, 2**26
"""Numbers that are copied at a time, within the CPU's memory and to a device."""


@dataclass(frozen=True)
class TopK:
    """The `k` largest values seen so far in each row, in falling order.

    Starts empty, not at zero, so that negative values are kept as well. Of equal values the one with the lower index
    comes first, whatever the blocks are: streaming equals one pass.
    """

    values: Tensor
    """(rows, k seen so far), the values' dtype."""
    indices: Tensor
    """(rows, k seen so far), int64: position in the whole stream."""
    k: int

    @classmethod
    def empty(cls, rows: int, k: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> TopK:
        return cls(
            torch.empty(rows, 0, dtype=dtype, device=device),
            torch.empty(rows, 0, dtype=torch.int64, device=device),
            k,
        )

    def update(self, block: Tensor, start: int) -> TopK:
        """Take in `block`, (rows, columns), whose first column has position `start` in the stream."""
        if block.shape[1] == 0:
            return self
        kept = self.values.shape[1]
        values = torch.cat([self.values, block], dim=1) if kept else block  # earlier values come first
        columns = _largest(values, self.k)
        indices = columns + (start - kept)
        if kept:
            before = self.indices.gather(1, columns.clamp(max=kept - 1))
            indices = torch.where(columns < kept, before, indices)
        return TopK(values.gather(1, columns), indices, self.k)

    def join(self, later: TopK) -> TopK:
        """Take in what was found in the same rows of a block that comes later in the stream."""
        values = torch.cat([self.values, later.values], dim=1)
        columns = _largest(values, self.k)
        indices = torch.cat([self.indices, later.indices], dim=1).gather(1, columns)
        return TopK(values.gather(1, columns), indices, self.k)


def top_k(values: Tensor, k: int, device: torch.device | None = None, start: int = 0) -> TopK:
    """The k largest of each row of (rows, columns) in one pass; see `TopK` for ties.

    start: position of the first column, where the columns are a block of a stream.

    A few rows at a time, each copied to lie in one piece: of a transposed matrix torch's topk reads every number from
    another line of memory, which takes four times as long. device: where that is done, and where the result lies; of
    the values only these few rows are ever there. None: where the values are.
    """
    device = device or values.device
    step = max(1, (_COPIED if device.type == "cpu" else _COPIED_TO_DEVICE) // max(1, values.shape[1]))
    found = [
        TopK.empty(len(rows), k, values.dtype, str(device)).update(rows.to(device).contiguous(), start)
        for rows in values.split(step)
    ]
    if len(found) == 1:
        return found[0]
    return TopK(torch.cat([one.values for one in found]), torch.cat([one.indices for one in found]), k)


def finite_columns(values: Tensor) -> tuple[Tensor, Tensor]:
    """Whether all of a column are finite numbers, (columns,) bool, and (rows, columns) as they are ranked.

    There what is not a number counts as 0, and an infinity as the largest number.
    """
    finite = values.isfinite().all(dim=0)
    return finite, values if finite.all() else values.nan_to_num(0.0)


def _largest(values: Tensor, k: int) -> Tensor:
    """Columns of the k largest of each row, in falling order, of equal ones the first: (rows, min(k, columns)).

    torch.topk is many times faster than a sort, but takes any of equal values. Where the k-th value also occurs among
    those it left, the row is sorted; those it took are ordered by sorting k values.
    """
    k = min(k, values.shape[1])
    found = values.topk(k, dim=1)
    columns = found.indices.sort(dim=1).values
    order = values.gather(1, columns).sort(dim=1, descending=True, stable=True).indices
    columns = columns.gather(1, order)
    if k:
        crowded = (values >= found.values[:, -1:]).sum(dim=1) > k
        if crowded.any():
            rows = values[crowded].sort(dim=1, descending=True, stable=True)
            columns[crowded] = rows.indices[:, :k]
    return columns
