"""What an extraction is asked for and what it answers: plain values, for which nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from cmon.checkpoints.checkpoint import Checkpoint
    from cmon.extraction.layers.output import LayerOutput

METHOD = 3
"""Part of every activation file's origin; raised when the same inputs are read in another way."""

WEIGHTS = ("raw", "ema")
POOLINGS = ("avg", "max", "cls")


@dataclass(frozen=True)
class ExtractSettings:
    """What `cmon extract` was asked for, but the workspace and the inputs."""

    model: str
    """torchvision:NAME, timm:NAME or python:MODULE:FACTORY."""
    layers: tuple[str, ...]
    """Names as in `network.named_modules()`, or globs of them; see `layer_patterns`. Empty for a plan of all."""
    epochs: tuple[tuple[float, float], ...] = ()
    """From and to, both included; nothing given is every epoch."""
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
    finished: frozenset[Path] | None = None
    """The checkpoints that may be read, while others are still being written; None reads all that are there."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the network's numbers."""
        import torch

        return torch.bfloat16 if self.precision == "bf16" else torch.float32


@dataclass(frozen=True)
class ExtractResult:
    """What `cmon extract` found and did."""

    checkpoints: int
    """Checkpoints that were read, of all runs."""
    skipped_checkpoints: list[tuple[str, str]]
    """(run/checkpoint, reason)."""
    redundant: int
    """Checkpoints whose epoch another file gives."""
    left_out: int
    """Checkpoints whose epoch was not chosen."""
    images: int
    skipped_images: list[tuple[str, str]]
    """(path, reason)."""
    preprocessing: str
    """How images became the network's input, and where that is known from."""
    notes: tuple[str, ...]
    """What else should be known of how networks ran."""
    made: int
    """Activation files made now; the others were fresh."""
    reused: int

    @classmethod
    def of_nothing(cls) -> ExtractResult:
        """Of a part that has no checkpoint, since there are more parts than checkpoints."""
        return cls(0, [], 0, 0, 0, [], "", (), 0, 0)

    @property
    def skipped(self) -> int:
        return len(self.skipped_images) + len(self.skipped_checkpoints)


@dataclass(frozen=True)
class Sample:
    """One unit's activations on one picture, of every layer, in one checkpoint."""

    run: str
    checkpoint: str
    epoch: float
    picture: str
    """Path of the file."""
    unit: int
    values: dict[str, float]
    """By layer."""


@dataclass(frozen=True)
class Plan:
    """What `cmon extract` would read."""

    checkpoints: list[tuple[str, Checkpoint]]
    """(run, checkpoint), skipped ones included."""
    outputs: list[LayerOutput]
    refused: dict[str, str]
    """Why layers that run cannot be read, by name; empty where layers were asked for."""
    preprocessing: dict[str, Any]
    """Size, resizing, interpolation, mean, std, channels, and where they come from."""
    samples: list[Sample]
    """What two checkpoints really give, the first and the last that can be read of a run; one if it has one."""
    notes: tuple[str, ...]
    """What else should be known of how networks run."""
    pooling: str
    files: int
    """Files of the probing set; but for the first two, whether they are images is not looked at."""

    @property
    def skipped(self) -> int:
        return sum(found.status == "skipped" for _, found in self.checkpoints)
