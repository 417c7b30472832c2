"""From an image to a network's input: the array that is cached once, and what is done with it per batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cmon.images.decoding import MOST_PIXELS, decode_with_notes, reason
from cmon.images.files import ImageFile

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Decoded(NamedTuple):
    """What became of one file."""

    position: int
    """Of the file, from 0."""
    array: np.ndarray | None
    """To be cached; None where there is an error."""
    error: str | None
    notes: tuple[str, ...] = ()
    """What was decided that the file does not say."""


class Preprocess(Protocol):
    """How an image becomes the network's input."""

    def pixels(self, image: Image.Image) -> np.ndarray:
        """An RGB image as the array that is cached; its shape and dtype are the same for all images."""

    def batch(self, pixels: np.ndarray | Tensor) -> Tensor:
        """(B, ...) cached arrays as the network's input, (B,C,H,W) float32; C is 3, or 1 for grey.

        What is given as a tensor is made so on its own device.
        """

    def describe(self) -> dict[str, Any]:
        """Everything that the result depends on; part of the origin of all that is made from it."""


@dataclass(frozen=True)
class ResizeCrop:
    """Shorter side to `resize`, centre crop of `crop`, then (value / 255 - mean) / std per channel."""

    resize: int
    crop: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    """Of red, green and blue; a single one makes the image grey, with one channel."""
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"
    squash: bool = False
    """Both sides to `resize`, whatever the image's proportions: timm's crop_mode 'squash'."""

    @property
    def channels(self) -> int:
        """3, or 1 for grey."""
        return len(self.mean)

    def pixels(self, image: Image.Image) -> np.ndarray:
        """(crop, crop, channels) uint8."""
        short = min(image.size)
        # Rounded down, as torchvision does: one pixel more would shift the whole image. Never below the crop.
        width, height = (
            max(self.resize if self.squash else self.resize * side // short, self.crop) for side in image.size
        )
        if width * height > MOST_PIXELS:
            raise ValueError(f"scaled to the network's input it would have {width} x {height} pixels")
        left, top = (width - self.crop) / 2, (height - self.crop) / 2
        if self.channels == 1:
            image = image.convert("L")
        if (width, height) != image.size:
            image = image.resize((width, height), _FILTERS[self.interpolation])
        left, top = round(left), round(top)
        cropped = np.array(image.crop((left, top, left + self.crop, top + self.crop)))
        return cropped.reshape(self.crop, self.crop, self.channels)

    def batch(self, pixels: np.ndarray | Tensor) -> Tensor:
        found = torch.as_tensor(pixels)
        # A row of pixels at a time: three channels alone would be too short a loop.
        rows = found.flatten(2).float()
        mean, std = (_row(values, found.shape[2], found.device) for values in (self.mean, self.std))
        # Left channels-last in memory, as it was decoded: convolutions on a CPU are faster so.
        return rows.sub_(mean).div_(std).view(found.shape).permute(0, 3, 1, 2)

    def describe(self) -> dict[str, Any]:
        return asdict(self)


@lru_cache(maxsize=8)
def _row(values: tuple[float, ...], pixels: int, device: torch.device) -> Tensor:
    """A value of 0 to 1 for each channel, as values of 0 to 255 for a row of pixels; kept, since they never change."""
    return (torch.tensor(values).repeat(pixels) * 255).to(device)


@dataclass(frozen=True)
class CustomPreprocess:
    """The user's own function from a PIL image to a float tensor, (C,H,W) or whatever the network takes."""

    function: Callable[[Image.Image], Tensor]

    def pixels(self, image: Image.Image) -> np.ndarray:
        """(C,H,W) float32."""
        return np.asarray(self.function(image), dtype=np.float32)

    def batch(self, pixels: np.ndarray | Tensor) -> Tensor:
        return torch.as_tensor(pixels)

    def describe(self) -> dict[str, Any]:
        # The repr of a torchvision transform has all its parameters. That of a function has its address, so its
        # results are never reused by another process: slow, but never stale.
        return {"custom": repr(self.function)}


class Decoder(torch.utils.data.Dataset):
    """Decodes files by position; a file that fails gives its reason in place of an array."""

    def __init__(self, files: list[ImageFile], preprocess: Preprocess) -> None:
        self.files, self.preprocess = files, preprocess

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> Decoded:
        file = self.files[position]
        if file.error:
            return Decoded(position, None, file.error)
        try:
            picture = decode_with_notes(file.path)
            return Decoded(position, self.preprocess.pixels(picture.image), None, picture.notes)
        except Exception as error:  # an image library can fail in any way on a broken file
            return Decoded(position, None, reason(error))


def decode_all(files: list[ImageFile], preprocess: Preprocess, workers: int) -> Iterator[Decoded]:
    """Decode every file, in order, by `workers` processes; by this process with 0."""
    loader = torch.utils.data.DataLoader(
        Decoder(files, preprocess),
        batch_size=None,
        collate_fn=_keep,  # without it arrays become tensors
        num_workers=workers,
        prefetch_factor=32 if workers else None,
    )
    return iter(loader)


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover 0..count."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _keep(item: Any) -> Any:
    """Unchanged; a function of a module, since worker processes cannot get a lambda."""
    return item
