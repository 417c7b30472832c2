"""What a checkpoint format is, and what all formats say of files that cannot be read.

A format recognises its checkpoints by the names in a folder, without opening anything. Finding checkpoints
loads no torch; only `Format.read` does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cmon.errors import CmonError


@dataclass(frozen=True)
class Claim:
    """What a format recognises among the files of one folder."""

    checkpoints: tuple[Path, ...] = ()
    """Each a file, or the folder itself where its files together are one checkpoint."""
    files: frozenset[str] = frozenset()
    """Names of the files that belong to these checkpoints; no other format looks at them."""


class Format(Protocol):
    """One way in which training programs store checkpoints. All formats are listed in `registry.FORMATS`."""

    name: str
    """As the column `kind` of the table `checkpoints` has it."""
    suffixes: tuple[str, ...]
    """Endings of the names of its files; none where a checkpoint is a folder."""
    description: str
    """What its checkpoints look like, in the plural, for messages."""
    counts_steps: bool
    """Whether the number in a name such as `checkpoint-500` counts optimizer steps, not epochs."""
    inner: str
    """A pattern of the names of sub-folders that belong to a checkpoint that is a folder; '' for none."""

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        """Recognise checkpoints by the names of the files that lie directly in a folder; opens nothing."""

    def content_files(self, path: Path) -> list[Path]:
        """The files that a checkpoint's hash is of, in a fixed order: all that `read` reads.

        Raises CmonError or OSError when a file that must be there is missing.
        """

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        """The content of a checkpoint on the CPU: a state dict, or a dict that holds one beside other facts.

        values: whether tensors are read. Without, only their names, shapes and dtypes can be relied on, and as
        little as possible is read.
        trust_pickle: whether code in the checkpoint may run; otherwise none ever does.
        Raises CmonError when it is damaged or needs pickled code, OSError when it may not be read.
        """


def claim_by_suffix(folder: Path, files: Set[str], suffixes: tuple[str, ...]) -> Claim:
    """Every file with one of the suffixes is a checkpoint."""
    names = sorted(name for name in files if name.endswith(suffixes))
    return Claim(tuple(folder / name for name in names), frozenset(names))


def damaged(path: Path, expected: str, error: Exception) -> CmonError:
    """The error for a file or folder that cannot be read as what it should be."""
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    if found.startswith("Weights only load failed"):  # followed by torch's advice to run code
        _, _, cause = str(error).partition("WeightsUnpickler error: ")
        found = cause.splitlines()[0] if cause else "a pickle that torch.save did not write"
    size = f"{path.stat().st_size} bytes; " if path.is_file() else ""
    return CmonError(f"{path}: damaged", expected=expected, found=size + found)


@contextmanager
def no_warnings() -> Iterator[None]:
    """Silence warnings, such as those of pickle protocols: what cannot be read becomes an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
