"""The k largest values per unit, kept while blocks stream by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TopK:
    """The `k` largest values seen so far in each row, in falling order.

    Starts empty, not at zero, so that rows of negative values are kept rightly. Of equal values the one
    with the lower index comes first, whatever the blocks: streaming equals one pass.
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
        positions = torch.arange(start, start + block.shape[1], device=block.device).expand_as(block)
        values = torch.cat([self.values, block], dim=1)
        indices = torch.cat([self.indices, positions], dim=1)
        # A stable sort keeps what came first before what came later, which topk does not promise.
        order = values.sort(dim=1, descending=True, stable=True).indices[:, : self.k]
        return TopK(values.gather(1, order), indices.gather(1, order), self.k)


def top_k(values: Tensor, k: int) -> TopK:
    """The k largest of each row of (rows, columns) in one pass; see `TopK` for ties."""
    return TopK.empty(values.shape[0], k, values.dtype, str(values.device)).update(values, 0)
