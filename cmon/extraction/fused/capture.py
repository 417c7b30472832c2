"""A fused network captured as a CUDA graph: small networks leave a GPU waiting for the Python around them."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from cmon.extraction.fused.recording import FusedNetwork
from cmon.extraction.layers.recording import with_two_pictures

logger = logging.getLogger(__name__)

WORTHWHILE = 8
"""Full batches from which on capturing pays: it costs three of them."""
_WARM = 2
"""Runs before the capture, in which libraries choose their algorithms and take their memory."""


class CapturedNetwork:
    """Replays the fused network for full batches, and runs it for others, or for all where it cannot be captured."""

    def __init__(self, fused: FusedNetwork, images: int, warns: bool = True) -> None:
        """images: in a full batch. warns: where the network cannot be captured."""
        self._fused, self._images, self._warns = fused, images, warns
        self._graph: Any = None
        self._input, self._outputs = torch.empty(0), ()  # type: tuple[Tensor, tuple[Tensor, ...]]
        self._gave_up = False

    @property
    def is_captured(self) -> bool:
        """Whether full batches are replayed by now."""
        return self._graph is not None

    @with_two_pictures
    def record(self, batch: Tensor) -> dict[str, Tensor]:
        """As `Record` says; the tensors are overwritten by the next call."""
        if len(batch) != self._images or self._gave_up:
            return self._fused.record(batch)
        if self._graph is None:
            try:
                self._capture(batch)
            except RuntimeError as error:  # what waits for the device cannot be captured
                self._gave_up = True
                logger.log(
                    logging.WARNING if self._warns else logging.DEBUG,
                    "the network runs without a CUDA graph, which is slower, since it cannot be captured: %s",
                    " ".join(str(error).split())[:200],
                )
                return self._fused.record(batch)
        self._input.copy_(batch)
        self._graph.replay()
        return dict(zip(self._fused.layers, self._outputs, strict=True))

    def _capture(self, batch: Tensor) -> None:
        if batch.device.type != "cuda":
            raise RuntimeError(f"there are no CUDA graphs on {batch.device}")
        self._input = batch.clone(memory_format=torch.preserve_format)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM):
                self._fused.run(self._input)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._outputs = self._fused.run(self._input)
        self._graph = graph
