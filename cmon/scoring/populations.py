"""All units of one run, layer and epoch: read from their activations, with what scoring keeps of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from cmon.scoring import labelling, redundancy, status, top_units
from cmon.scoring.block_scores import LayerUnits, Method
from cmon.scoring.labelling import Labels
from cmon.scoring.settings import KEPT_CONCEPTS
from cmon.workspace.workspace import Workspace

Item = TypeVar("Item")
SHOWN_IMAGES = 10
"""Top images of which the table `units` keeps the activations, and that it has of every unit."""
_PASS_BYTES = 2**29
"""What may be held of units for one pass over the concepts; a single layer may hold more."""
_FOUND_BYTES = (4 + 8) * KEPT_CONCEPTS
"""Of a unit's best concepts in one block: their scores and positions. There is one block more than there are cores."""


@dataclass(frozen=True)
class ProbeImages:
    """The probe images in a fixed shuffled order, in which everything is done.

    Equal activations are ordered by it: in the folder's order, where classes often lie together, a tie would look like
    a concept.
    """

    vectors: Tensor
    """(N,D) CLIP's, of length 1, on the device that scores."""
    order: Tensor
    """(N,) int64: the images' rows in the folder's order."""
    ids: np.ndarray
    """(N,) `image_id` in the folder's order."""

    @classmethod
    def shuffle(cls, vectors: Tensor, ids: np.ndarray, seed: int, device: str) -> ProbeImages:
        """vectors, ids: in the folder's order."""
        order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))
        return cls(vectors[order].to(device), order, ids)


@dataclass(frozen=True)
class Population:
    """All units of one run, layer and epoch."""

    run: str
    layer: str
    epoch: float
    statuses: np.ndarray
    """(K,) str."""
    live: np.ndarray
    """(L,) the units with status 'ok': only they are scored."""
    kept: LayerUnits | None
    """What scoring needs of the live units; None where there are none, and once they have their labels."""
    shown_images: np.ndarray
    """(K,T) image_id, the most activating first: those that are compared, and SHOWN_IMAGES at least."""
    shown_activations: np.ndarray
    """(K, SHOWN_IMAGES) float32."""
    compared: np.ndarray
    """(L, `redundancy.compared_images`) positions of each live unit's most activating images among the probe images."""
    labels: Labels | None = None
    """Of the live units; None where there are none, and before they are scored."""

    @property
    def nbytes(self) -> int:
        """What it holds until it has its labels, and what a pass over the concepts holds of them on the way."""
        arrays = (self.shown_images, self.shown_activations, self.compared)
        kept = self.kept.nbytes if self.kept else 0
        found = len(self.live) * _FOUND_BYTES * (torch.get_num_threads() + 1)
        return kept + found + sum(array.nbytes for array in arrays)

    def labelled(self, labels: Labels | None) -> Population:
        """The same with its labels, without what scoring needed."""
        return replace(self, kept=None, labels=labels)

    def shared(self) -> np.ndarray:
        """(L,) how far each live unit shares its top images with the others: `redundancy.shared`."""
        return redundancy.shared(self.compared)


def read_population(
    workspace: Workspace, shard: Mapping[str, Any], images: ProbeImages, method: Method
) -> Population:
    """The units of a row of the table `shards`. Raises CmonError when its activations are not those it lists."""
    count = len(images.ids)
    deciding = method.similarity.top_images(count)
    compared = redundancy.compared_images(count)
    wanted = max(deciding or 0, SHOWN_IMAGES, compared)
    read = None
    if method.similarity.order_only:
        read = top_units.from_top_images(workspace, shard, images.ids, images.order, wanted)
    read = read or top_units.from_activations(
        workspace, shard, images.ids, images.order, wanted, images.vectors.device
    )
    top, image_ids = read.top, images.ids[images.order.numpy()]
    values, indices = top.values.cpu(), top.indices.cpu()
    statuses = status.unit_statuses(
        read.finite, read.least, values[:, 0].numpy(), values[:, :deciding].numpy() if deciding else None
    )
    live = np.flatnonzero(statuses == "ok")
    kept = None
    if len(live):
        rows = torch.from_numpy(live)
        activations = read.activations
        if activations is not None and len(live) < len(statuses):
            activations = activations[:, rows]
        own = top.indices[rows.to(top.indices.device)].to(images.vectors.device)
        kept = labelling.keep_layer(method, images.vectors, activations, own)
    return Population(
        run=shard["run"],
        layer=shard["layer"],
        epoch=shard["epoch"],
        statuses=statuses,
        live=live,
        kept=kept,
        shown_images=image_ids[indices[:, : max(SHOWN_IMAGES, compared)].numpy()],
        shown_activations=values[:, :SHOWN_IMAGES].numpy(),
        compared=indices[live, :compared].int().numpy(),
    )


def passes(populations: Iterable[tuple[Item, Population]]) -> Iterator[list[tuple[Item, Population]]]:
    """As many populations at a time, each with an item of its own, as may be kept for one pass over the concepts."""
    together: list[tuple[Item, Population]] = []
    total = 0
    for item, population in populations:
        size = population.nbytes
        if together and total + size > _PASS_BYTES:
            yield together
            together, total = [], 0
        together.append((item, population))
        total += size
    if together:
        yield together
