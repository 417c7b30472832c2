"""The probe images' pixels as tensors on the device where networks run."""

from __future__ import annotations

import torch
from torch import Tensor

from cmon.images.pixels import Pixels
from cmon.images.preprocessing import batches

_STEP = 256
"""Images that are copied to a device at a time."""


class PixelFeed:
    """Gives images by position, as they are cached: bytes, which the device itself makes the network's input.

    On a device with memory of its own they are copied there once, for all checkpoints, if half of what is free there
    holds them all; else each batch is, while the device still works on the one before. On a CPU they are read from the
    cache for each batch, which costs less than the memory would.
    """

    def __init__(self, pixels: Pixels, device: str, most: int | None = None) -> None:
        """most: bytes that may be kept on the device; None finds out."""
        self._pixels, self._device = pixels, torch.device(device)
        most = free_memory(device) // 2 if most is None else most
        self._kept = self._copy_all() if 0 < len(pixels.checksums) * pixels.image_bytes <= most else None

    @property
    def keeps_all(self) -> bool:
        """Whether all images are on the device."""
        return self._kept is not None

    def __getitem__(self, rows: slice) -> Tensor:
        """(rows, ...) of the cached type. Raises CmonError where the cache is damaged."""
        return self._kept[rows] if self._kept is not None else self._copied(rows)

    def _copy_all(self) -> Tensor:
        count = len(self._pixels.checksums)
        first = self._copied(slice(0, 1))
        found = torch.empty((count, *self._pixels.shape), dtype=first.dtype, device=self._device)
        for rows in batches(count, _STEP):
            found[rows] = self._copied(rows)
        return found

    def _copied(self, rows: slice) -> Tensor:
        found = torch.from_numpy(self._pixels[rows])
        if self._device.type == "cuda":  # only from pinned memory does the copy run beside the device's work
            found = found.pin_memory()
        return found.to(self._device, non_blocking=self._device.type == "cuda")


def free_memory(device: str) -> int:
    """Bytes that are free on a device with memory of its own; 0 on others, and where it cannot be asked."""
    return int(torch.cuda.mem_get_info()[0]) if device == "cuda" else 0
