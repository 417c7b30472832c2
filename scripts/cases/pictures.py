"""Labelled pictures, read as `cmon extract` reads its probing set: of the drawn world, or a folder for each class."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder

from cmon.images.decoding import decode, reason
from cmon.images.preprocessing import ResizeCrop

MOST_IN_MEMORY = 2 * 2**30
"""Bytes of pixels. More are decoded whenever they are needed, by other processes."""
HELD_OUT = 0.1
"""Share of the pictures to test with, where none are given for it."""
SPLIT = 0
"""Seed of what is held out: the same pictures for all trainings."""


@dataclass(frozen=True)
class Labelled:
    """Pictures and the class of each."""

    files: tuple[Path, ...]
    classes: Tensor
    """(N,) int64."""
    side: int
    """Pixels of the picture's shorter side, and of the square in its middle that is kept."""
    workers: int = 0
    """Processes that decode what does not fit into memory."""

    def __len__(self) -> int:
        return len(self.files)

    def batches(self, positions: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each (B,) positions the pictures, (B,3,S,S) uint8, and their classes, (B,) int64."""
        if self.fits:
            for some in positions:
                yield self.pixels[some], self.classes[some]
            return
        batches = [list(map(int, some)) for some in positions]
        # Its own generator, or it would take numbers from the one that dropout uses.
        loader = DataLoader(
            _Decoding(self.files, self.side),
            batch_sampler=batches,
            num_workers=self.workers,
            generator=torch.Generator(),
        )
        for batch, pixels in zip(batches, loader, strict=True):
            yield pixels.permute(0, 3, 1, 2), self.classes[batch]

    @property
    def fits(self) -> bool:
        """Whether all pixels are held in memory."""
        return len(self) * 3 * self.side**2 <= MOST_IN_MEMORY

    @cached_property
    def pixels(self) -> Tensor:
        """(N,3,S,S) uint8, channels last in memory; read when first asked for."""
        decoding = _Decoding(self.files, self.side)
        pixels = np.empty((len(self), self.side, self.side, 3), np.uint8)
        for position in range(len(self)):
            pixels[position] = decoding[position]
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Pictures:
    """What a network is trained and tested with."""

    train: Labelled
    test: Labelled
    names: tuple[str, ...]
    """Of the classes, in the order of the head's units."""
    fingerprint: str = field(repr=False)
    """Another one where files, sizes or labels are others."""


def drawn_world(world: Path, task: str, side: int, workers: int = 0) -> Pictures:
    """The pictures of a drawn world that show exactly one `task`, a column of its truth.csv: object or scene.

    A tenth is held out to test with.
    """
    with (world / "truth.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[task] and ";" not in row[task]]
    names = sorted({row[task] for row in rows})
    files = [world / row["path"] for row in rows]
    classes = torch.tensor([names.index(row[task]) for row in rows])
    found = hashlib.sha256((world / "truth.csv").read_bytes() + (world / "recipe.json").read_bytes())
    train, test = _split(files, classes, side, workers)
    return Pictures(train, test, tuple(names), f"{task} {found.hexdigest()}")


def image_folders(
    folder: Path, test: Path | None, side: int, workers: int = 0, half: int | None = None
) -> Pictures:
    """The pictures of a folder with a folder for each class, and of another one to test with.

    test: of the same classes; without it, a tenth of `folder` is held out.
    half: only the first (0) or the second (1) half of the classes, by name.
    Raises click.UsageError where the two have other classes, or less than two remain.
    """
    listed = _listed(folder)
    among = _half(listed.classes, half)
    if len(among) < 2:
        raise click.UsageError(
            f"{folder}: expected folders of pictures for two classes or more, or four for fine-tuning; "
            f"found {len(listed.classes)}"
        )
    names = tuple(listed.classes[number] for number in among)
    fingerprint = f"{half} {_contents(folder, listed)}"
    files, classes = _of_classes(listed, among)
    if test is None:
        train, held = _split(files, classes, side, workers)
        return Pictures(train, held, names, fingerprint)
    shown = _listed(test)
    if shown.classes != listed.classes:
        raise click.UsageError(
            f"{test}: expected the classes of {folder}, {', '.join(listed.classes)}; found "
            f"{', '.join(shown.classes)}"
        )
    train = Labelled(tuple(files), classes, side, workers)
    files, classes = _of_classes(shown, among)
    held = Labelled(tuple(files), classes, side, workers)
    return Pictures(train, held, names, f"{fingerprint} {_contents(test, shown)}")


def _listed(folder: Path) -> ImageFolder:
    try:
        return ImageFolder(str(folder))
    except FileNotFoundError as error:  # its text names the classes without pictures
        raise click.UsageError(f"{folder}: expected a folder of pictures for each class; {error}") from error


def _half(classes: Sequence[str], half: int | None) -> range:
    middle = len(classes) // 2
    return range(len(classes)) if half is None else (range(middle), range(middle, len(classes)))[half]


def _of_classes(listed: ImageFolder, among: range) -> tuple[list[Path], Tensor]:
    kept = [(Path(file), label - among.start) for file, label in listed.samples if label in among]
    return [file for file, _ in kept], torch.tensor([label for _, label in kept])


def _contents(folder: Path, listed: ImageFolder) -> str:
    """By names and sizes: to read all of a large data set would take longer than an epoch of a small one."""
    found = hashlib.sha256()
    for file, _ in listed.samples:
        found.update(f"{Path(file).relative_to(folder).as_posix()} {Path(file).stat().st_size}\n".encode())
    return found.hexdigest()


def _split(files: list[Path], classes: Tensor, side: int, workers: int) -> tuple[Labelled, Labelled]:
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(SPLIT))
    held, used = order.tensor_split([round(HELD_OUT * len(order))])

    def part(positions: Tensor) -> Labelled:
        return Labelled(tuple(files[n] for n in positions.tolist()), classes[positions], side, workers)

    return part(used), part(held)


class _Decoding(Dataset[np.ndarray]):
    """(S,S,3) uint8 by position."""

    def __init__(self, files: Sequence[Path], side: int) -> None:
        self.files, self.preprocess = files, ResizeCrop(resize=side, crop=side)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> np.ndarray:
        try:
            return self.preprocess.pixels(decode(self.files[position]))
        except (OSError, ValueError) as error:
            raise click.UsageError(
                f"{self.files[position]}: no picture to train with: {reason(error)}"
            ) from error
