"""Probe images: found, decoded once, and kept as pixels for every checkpoint of every run."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from cmon.checkpoints import natural_key
from cmon.errors import CmonError
from cmon.store import file_digest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class ImageFile:
    """One file of the probe folder."""

    path: Path
    name: str
    """Path relative to the folder, with forward slashes."""
    sha256: str | None
    error: str | None
    """Why it cannot be read; None if its bytes could be hashed."""


class Preprocess(Protocol):
    """How an image becomes the network's input."""

    def pixels(self, image: Image.Image) -> np.ndarray:
        """An RGB image as the array that is cached; its shape and dtype are the same for all images."""

    def batch(self, pixels: np.ndarray) -> Tensor:
        """(B, ...) cached arrays as the network's input, (B,3,H,W) float32."""

    def describe(self) -> dict[str, Any]:
        """Everything that the result depends on, for the record and for freshness."""


@dataclass(frozen=True)
class ResizeCrop:
    """Shorter side to `resize`, centre crop of `crop`, then (value / 255 - mean) / std per channel."""

    resize: int
    crop: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = "bilinear"

    def pixels(self, image: Image.Image) -> np.ndarray:
        """(crop, crop, 3) uint8."""
        short = min(image.size)
        # Rounded down, as torchvision does: a pixel more would shift the whole image. Never below the crop.
        width, height = (max(self.resize * side // short, self.crop) for side in image.size)
        left, top = (width - self.crop) / 2, (height - self.crop) / 2
        if (width, height) != image.size:
            image = image.resize((width, height), _FILTERS[self.interpolation])
        left, top = round(left), round(top)
        return np.array(image.crop((left, top, left + self.crop, top + self.crop)))

    def batch(self, pixels: np.ndarray) -> Tensor:
        # Kept channels-last in memory: as it was decoded, and what convolutions on a CPU want.
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        mean = torch.tensor(self.mean).view(1, 3, 1, 1) * 255
        std = torch.tensor(self.std).view(1, 3, 1, 1) * 255
        return values.sub_(mean).div_(std)

    def describe(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class CustomPreprocess:
    """The user's own function from a PIL image to a (3,H,W) float tensor."""

    function: Callable[[Image.Image], Tensor]

    def pixels(self, image: Image.Image) -> np.ndarray:
        """(3,H,W) float32."""
        return np.asarray(self.function(image), dtype=np.float32)

    def batch(self, pixels: np.ndarray) -> Tensor:
        return torch.from_numpy(pixels)

    def describe(self) -> dict[str, Any]:
        # A transform of torchvision prints all its parameters. A bare function prints its address, so its
        # results are never reused in another process: slow, but never stale.
        return {"custom": repr(self.function)}


def find(source: Path) -> list[ImageFile]:
    """The probe images of a folder or of a list, with the hash of each file's bytes.

    A folder: every file below it but hidden ones, in natural order. A file: a list of paths, one a line, or CSV
    with the column `path`, relative to the list's own folder; in the list's order, each once.
    Raises CmonError when there is nothing.
    """
    if source.is_dir():
        paths = _below(source)
        root = source
    elif source.is_file():
        paths = _listed(source)
        root = source.parent
    else:
        raise CmonError(
            f"{source}: no such folder",
            expected="a folder of probe images, or a list of their paths",
            hint="give it as --probe FOLDER or --probe LIST",
        )
    if not paths:
        raise CmonError(f"{source}: holds no image", expected="image files (PNG, JPEG, ...)", found="no file")
    return [_hashed(path, Path(os.path.relpath(path, root)).as_posix()) for path in paths]


def _below(folder: Path) -> list[Path]:
    try:
        next(folder.iterdir(), None)  # rglob passes over what it may not read
        paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise CmonError(f"{folder}: cannot be read", found=error.strerror or str(error)) from error
    return sorted(paths, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def _listed(source: Path) -> list[Path]:
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CmonError(
            f"{source}: cannot be read as a list of images",
            expected="a folder of probe images, a text file with one path a line, or CSV with the column path",
            found=str(error),
        ) from error
    header = next(csv.reader(lines[:1]), [])
    names = [row["path"] or "" for row in csv.DictReader(lines)] if "path" in header else lines
    wanted = dict.fromkeys(name.strip() for name in names if name.strip())
    return [source.parent / name for name in wanted]


def decode(path: Path) -> Image.Image:
    """Read a file as an upright RGB image; transparency is laid on white.

    Raises OSError, ValueError or PIL's errors with the reason; see `reason`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):  # Pillow would cut all above 255 to white
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image.convert("RGBA"))
            return image.convert("RGB")


class Decoder(torch.utils.data.Dataset):
    """Decodes files by position; what fails gives its reason in place of an array."""

    def __init__(self, files: list[ImageFile], preprocess: Preprocess) -> None:
        self.files, self.preprocess = files, preprocess

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> tuple[int, np.ndarray | None, str | None]:
        file = self.files[position]
        if file.error:
            return position, None, file.error
        try:
            return position, self.preprocess.pixels(decode(file.path)), None
        except Exception as error:  # an image library can fail in any way on a broken file
            return position, None, reason(error)


def decode_all(
    files: list[ImageFile], preprocess: Preprocess, workers: int
) -> Iterator[tuple[int, np.ndarray | None, str | None]]:
    """(position, cached array or None, error or None) of every file, in order, by `workers` processes."""
    loader = torch.utils.data.DataLoader(
        Decoder(files, preprocess),
        batch_size=None,
        collate_fn=_as_it_is,  # else arrays become tensors
        num_workers=workers,
        prefetch_factor=32 if workers else None,
    )
    return iter(loader)


def reason(error: BaseException) -> str:
    """One line that tells a person why an image was skipped."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or an empty one"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"too large to be a photograph: {error}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def blank() -> Image.Image:
    """A grey image: for seeing the shapes that a preprocessing and a network make."""
    return Image.new("RGB", (256, 256), (127, 127, 127))


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover 0..count."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _as_it_is(item: Any) -> Any:
    return item


def _hashed(path: Path, name: str) -> ImageFile:
    try:
        return ImageFile(path, name, file_digest(path), None)
    except OSError as error:
        return ImageFile(path, name, None, f"cannot be read: {error.strerror or error}")
