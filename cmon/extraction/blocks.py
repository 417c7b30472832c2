"""Activations of many images, of which only a block is held at a time: on the device, then in the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cmon.extraction.layers.output import LayerOutput

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
