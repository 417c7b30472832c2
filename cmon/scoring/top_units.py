"""The most activating images of a layer's units, in the shuffled order that decides between equal activations.

They come from what `extract` kept of them, where that says which they are; else from all activations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cmon.errors import CmonError
from cmon.top_k import TopK, finite_columns, top_k
from cmon.workspace import schemas, top_images
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class ReadUnits:
    """What is read of the K units of one run, layer and epoch; images by their positions in the shuffled order."""

    top: TopK
    """Of equal activations, the image that comes first in that order."""
    least: np.ndarray
    """(K,) float32: the smallest activation."""
    finite: np.ndarray
    """(K,) bool: whether all activations are finite numbers; what is not a number counts as 0 in all else."""
    activations: Tensor | None
    """(N,K) float32, finite, in the shuffled order; None where they were not read."""


def from_activations(
    workspace: Workspace,
    shard: Mapping[str, Any],
    ids: np.ndarray,
    order: Tensor,
    k: int,
    device: torch.device,
) -> ReadUnits:
    """The k most activating images of each unit of a row of the table `shards`, and all activations.

    ids: (N,) `image_id` in the folder's order. order: (N,) int64, rows of that in the shuffled order. device: where the
    images are ranked, and where the result lies. Raises CmonError when the activations are not those that are listed.
    """
    table = workspace.read_group("activations", shard)
    if table["image_id"].to_pylist() != ids.tolist():
        raise CmonError(
            f"{workspace.activations(shard['run'], shard['layer'], shard['epoch'])}: is of other images",
            expected=f"the {len(ids)} images that the table 'images' says could be read",
            found=f"{table.num_rows} images, and not the same",
            hint="run `cmon extract` again with the same options",
        )
    activations = torch.from_numpy(schemas.matrix(table["activations"])[order.numpy()])
    del table  # one copy of the activations at a time
    finite, activations = finite_columns(activations)
    least = activations.amin(dim=0)
    return ReadUnits(top_k(activations.T, k, device), least.numpy(), finite.numpy(), activations)


def from_top_images(
    workspace: Workspace, shard: Mapping[str, Any], ids: np.ndarray, order: Tensor, k: int
) -> ReadUnits | None:
    """As `from_activations`, value for value, on the CPU and without the activations; None where that is not known.

    So it is where nothing was kept, and where more images share a unit's k-th activation than were kept.
    """
    kept = top_images.read(workspace, shard, ids)
    if kept is None:
        return None
    position = torch.empty_like(order)
    position[order] = torch.arange(len(order))
    at = position[torch.from_numpy(kept.images.astype(np.int64))]
    top = shuffled_top(
        torch.from_numpy(kept.values.copy()), at, torch.from_numpy(kept.least.copy()), len(order), k
    )
    return ReadUnits(top, kept.least, kept.finite, None) if top else None


def shuffled_top(values: Tensor, at: Tensor, least: Tensor, images: int, k: int) -> TopK | None:
    """The k largest of each row's `images` values, of equal ones that of the lowest position, from its T largest.

    values: (K,T), the T largest, falling. at: (K,T) int64, their positions. least: (K,) the smallest of all values.
    None where a row's k-th largest may also be among the values that are not given. Those that are not given are known
    where the smallest given is the smallest of all.
    """
    k = min(k, images)
    given = values.shape[1]
    if given < k:
        return None
    all_given = given == images
    rest_is_least = values[:, -1] == least
    if not (all_given or ((values[:, k - 1] > values[:, -1]) | rest_is_least).all()):
        return None
    by_position = at.sort(dim=1)
    ranked = values.gather(1, by_position.indices).sort(dim=1, descending=True, stable=True)
    found_values = ranked.values[:, :k].clone()
    found = by_position.values.gather(1, ranked.indices)[:, :k].clone()
    if not all_given:
        for row in (values[:, k - 1] == least).nonzero().flatten().tolist():
            above = int((values[row] > least[row]).sum())
            others = np.setdiff1d(np.arange(min(images, k + above)), found[row, :above].numpy())
            found[row, above:] = torch.from_numpy(others[: k - above])
    return TopK(found_values, found, k)
