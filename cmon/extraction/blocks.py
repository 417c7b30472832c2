"""Activations of many images, of which only a block is held at a time: on the device, then in the files.

What is to be known of all images of a unit, its most activating ones, is found block by block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cmon.extraction.layers.output import LayerOutput
from cmon.top_k import TopK, finite_columns, top_k
from cmon.workspace import top_images
from cmon.workspace.top_images import TopImages

BLOCK_BYTES = 1 << 28
"""Of all layers' activations that are held before they are written."""


def images_in_block(images: int, units: int, batch_size: int, most: int = BLOCK_BYTES) -> int:
    """How many images' activations are held at a time: whole batches, one at least, and no more bytes than `most`."""
    whole = max(most // (4 * units) // batch_size, 1) * batch_size
    return min(images, whole)


class Block:
    """Every layer's activations of the images of a block, where the network runs.

    They are copied to the host once, when all are there: a wait for each layer and batch would leave a GPU idle.
    """

    def __init__(self, outputs: Sequence[LayerOutput], images: int, device: str) -> None:
        self._values = {
            output.name: torch.empty((images, output.units), dtype=torch.float32, device=device)
            for output in outputs
        }

    def put(self, rows: slice, found: Mapping[str, Tensor]) -> None:
        """rows: of the block. found: (rows, K) float32 by layer."""
        for layer, values in found.items():
            self._values[layer][rows].copy_(values, non_blocking=True)

    def on_device(self, layer: str, images: int) -> Tensor:
        """The first images' activations of a layer, (images, K), where the network runs; valid until the next `put`."""
        return self._values[layer][:images]

    def take(self, images: int) -> dict[str, np.ndarray]:
        """The first images' activations (images, K) by layer; valid until the next `put`."""
        on_gpu = any(values.device.type == "cuda" for values in self._values.values())
        found = {}
        for layer, values in self._values.items():
            host = torch.empty((images, values.shape[1]), pin_memory=True) if on_gpu else None
            found[layer] = (
                values[:images].cpu() if host is None else host.copy_(values[:images], non_blocking=True)
            )
        if on_gpu:
            torch.cuda.synchronize()
        return {layer: values.numpy() for layer, values in found.items()}


class TopOfBlocks:
    """The most activating images of a layer's units, found while blocks of images stream by."""

    def __init__(self) -> None:
        self._images = 0
        self._top: TopK | None = None
        self._least: Tensor | None = None
        self._finite: Tensor | None = None

    def add(self, block: Tensor) -> None:
        """block: (images, K) float32, of the next images, on any device."""
        finite, block = finite_columns(block)
        found, least = top_k(block.T, top_images.KEPT, start=self._images), block.amin(dim=0)
        self._top = self._top.join(found) if self._top else found
        self._least = least if self._least is None else self._least.minimum(least)
        self._finite = finite if self._finite is None else self._finite & finite
        self._images += len(block)

    def found(self) -> TopImages:
        """Of all blocks that were added, one at least."""
        if self._top is None or self._least is None or self._finite is None:
            raise AssertionError("no block was added")
        images, values = self._top.indices.int(), self._top.values
        return TopImages(*(one.cpu().numpy() for one in (images, values, self._least, self._finite)))
