"""What an extraction is asked for and what it answers: plain values, for which nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmon.checkpoints.checkpoint import Checkpoint
    from cmon.extraction.hooks import LayerOutput


@dataclass(frozen=True)
class ExtractSettings:
    """What `cmon extract` was asked for, but the workspace and the inputs."""

    model: str
    """torchvision:NAME, timm:NAME or python:MODULE:FACTORY."""
    layers: tuple[str, ...]
    """Names as in `network.named_modules()`, or globs of them; see `hooks.match_layers`. Empty for a plan of all."""
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "raw"
    """'raw', or 'ema' for the averaged weights beside them."""
    trust_pickle: bool = False
    """Whether code in checkpoints may run."""
    pooling: str = "avg"
    image_size: int | None = None
    """Side of the network's square input in pixels; None takes the model's own preprocessing."""
    mean: tuple[float, ...] | None = None
    """Of the three channels, of values from 0 to 1; None takes the model's own."""
    std: tuple[float, ...] | None = None
    device: str = "cpu"
    precision: str = "fp32"
    batch_size: int = 8
    """Images at a time; see `devices.images_at_a_time`."""
    workers: int = 2


@dataclass(frozen=True)
class ExtractResult:
    """What `cmon extract` found and did."""

    checkpoints: int
    """Checkpoints that were read, of all runs."""
    skipped_checkpoints: list[tuple[str, str]]
    """(run/checkpoint, reason)."""
    redundant: int
    """Checkpoints whose epoch another file gives."""
    images: int
    skipped_images: list[tuple[str, str]]
    """(path, reason)."""
    made: int
    """Activation files made now; the others were fresh."""
    reused: int

    @property
    def skipped(self) -> int:
        return len(self.skipped_images) + len(self.skipped_checkpoints)


@dataclass(frozen=True)
class Plan:
    """What `cmon extract` would read."""

    checkpoints: list[tuple[str, Checkpoint]]
    """(run, checkpoint), skipped ones included."""
    outputs: list[LayerOutput]
    files: int
    """Files of the probing set; whether they are images is not looked at."""

    @property
    def skipped(self) -> int:
        return sum(found.status == "skipped" for _, found in self.checkpoints)
