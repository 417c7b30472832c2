"""One checkpoint: inspected without a network, and read again later if its files are still the same.

Files are read as weights only: a pickle that needs code is refused, never run, unless the user trusts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from cmon.checkpoints.bytes_read import read_bytes
from cmon.checkpoints.formats.base import Format
from cmon.checkpoints.formats.registry import find_format
from cmon.checkpoints.kinds import NO_VALUES, kind_of, shape_of, way_out
from cmon.checkpoints.names import ParsedName, parse_name
from cmon.checkpoints.weights import Weights, check_sizes, find_weights
from cmon.errors import CmonError
from cmon.printable import printable
from cmon.storage import copies
from cmon.workspace.files import digest, printable_path

NO_EPOCH = "no epoch: "
"""How the error of a checkpoint begins whose epoch is not known."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint: what is known without building a network, and then how its weights fit one."""

    path: Path
    """A file, or the folder that is one checkpoint."""
    name: str
    """Path relative to the run's folder, with forward slashes; see `printable_path`."""
    sha256: str | None = None
    """Of the bytes; None where they cannot be read."""
    epoch: float | None = None
    step: int | None = None
    wrapper: str | None = None
    """Name of the entry that holds the weights: 'state_dict', 'model', ..., or 'plain'."""
    signature: str | None = None
    """Hash of the tensors' names and shapes: equal signatures fit the same network."""
    error: str | None = None
    """Why it is not read; None if it is."""
    redundant: bool = False
    """Whether it is not read because another file of the run gives its epoch, or is the same."""
    left_out: bool = False
    """Whether it is not read because its epoch was not chosen."""
    format: Format | None = None
    """How it is stored; None where that could not be found out."""
    weights: str = "raw"
    """'raw', or 'ema' for averaged weights: what is read, also where raw ones were asked for and are not there."""
    entry: str = "raw"
    """What to take from it: 'raw', also where all that it holds are averaged weights, or 'ema'."""
    parsed_name: ParsedName = field(default_factory=ParsedName)
    """The epoch and step in its name."""
    epoch_from: str | None = None
    """Where the epoch comes from: 'stored', 'name', or 'step' where only a step is known, which then counts as it."""
    prefix: str | None = None
    """In front of the network's names in the checkpoint; None before it was matched to a network."""
    tensors: int | None = None
    """How many tensors the network has,"""
    tensors_matched: int | None = None
    """and how many of them the checkpoint has, in the right shape."""
    stamp: tuple[tuple[int, int, int, int], ...] = ()
    """Device, inode, size and time of each file when they were hashed."""

    @property
    def kind(self) -> str | None:
        """The format's name."""
        return None if self.format is None else self.format.name

    @property
    def status(self) -> str:
        """'ok', 'redundant', 'left out' or 'skipped'."""
        if self.error is None:
            return "ok"
        if self.left_out:
            return "left out"
        return "redundant" if self.redundant else "skipped"

    def skipped(self, error: str | CmonError, redundant: bool = False) -> Checkpoint:
        """The same checkpoint with the reason why it is not read, on one line."""
        reason = error.line if isinstance(error, CmonError) else " ".join(error.split())
        if url := copies.url_of(
            self.path
        ):  # what a table says of a copy, it says of what that is the copy of
            reason = reason.replace(printable(str(self.path)), url).removeprefix(f"{url}: ")
        return replace(self, error=reason.removeprefix(printable(f"{self.path}: ")), redundant=redundant)


def inspect(
    path: Path,
    folder: Path,
    weights: str = "raw",
    trust_pickle: bool = False,
    known: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
    parsed: ParsedName | None = None,
    entry: str | None = None,
) -> Checkpoint:
    """Hash one checkpoint and find its epoch and its tensors' shapes. Whatever is wrong becomes its `error`.

    path: of the checkpoint. folder: of its run.
    known: rows of an earlier table `checkpoints` by (checkpoint, sha256), which are not read from the file again.
    parsed: what its name says among the others of the run, if that is known.
    entry: what to take from it, if not `weights`: 'raw' where all of a file are averaged weights.
    """
    relative = path.relative_to(folder)
    found = Checkpoint(path, printable_path(relative), weights=weights, entry=entry or weights)
    try:
        found = replace(found, stamp=_stamp(path))
        format = find_format(path)
        parsed = parsed or parse_name(relative.as_posix(), format.counts_steps)
        read_once = read_bytes(path, format.content_files(path))
        found = replace(found, sha256=read_once.sha256, format=format, parsed_name=parsed)
        if read_once.damage:
            return found.skipped(read_once.damage)
        row = (known or {}).get((found.name, found.sha256 or ""))
        # A row with another epoch does not say which one is stored.
        if row and row.get("signature") and row.get("weights") == weights and row["epoch_from"] == "stored":
            found = replace(found, wrapper=row["wrapper"], signature=row["signature"])
            return _with_epoch(found, row["epoch"], row["step"])
        content = format.read(path, values=False, trust_pickle=trust_pickle)
        held = find_weights(path, content, found.entry)
        check_sizes(path, held.tensors, _size(found.stamp))
        if format.suffixes and format.name == "torch":  # the others give no values where none are asked for
            _check_values(path, held)
    except OSError as error:
        return found.skipped(f"cannot be read: {error.strerror or error}")
    except CmonError as error:
        return found.skipped(error)
    shapes = sorted((name, shape_of(tensor), kind_of(tensor)) for name, tensor in held.tensors.items())
    label = "ema" if held.averaged else weights
    found = replace(found, wrapper=printable(held.wrapper), signature=digest(shapes), weights=label)
    return _with_epoch(found, held.epoch, held.step)


def read(path: Path, entry: str = "raw", trust_pickle: bool = False) -> Weights:
    """Read a checkpoint's tensors onto the CPU, without running any code in it unless `trust_pickle`.

    entry: 'raw', or 'ema' for the averaged weights beside them.
    Raises CmonError when it is damaged, needs pickled code, or holds no such weights.
    """
    try:
        size = _size(_stamp(path))
        content = find_format(path).read(path, values=True, trust_pickle=trust_pickle)
    except OSError as error:
        raise CmonError(f"{path}: cannot be read", found=error.strerror or str(error)) from error
    held = find_weights(path, content, entry)
    check_sizes(path, held.tensors, size)
    _check_values(path, held)
    return held


def read_unchanged(checkpoint: Checkpoint, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The tensors of a checkpoint that was inspected before.

    Raises CmonError as `read` does, and when its files have changed since they were hashed: results would be
    stored under a hash that is not theirs.
    """
    tensors = read(checkpoint.path, checkpoint.entry, trust_pickle).tensors
    if _stamp(checkpoint.path) != checkpoint.stamp:
        raise CmonError(f"{checkpoint.path}: was written while it was being read", hint="run the same again")
    return tensors


def moved(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """The same checkpoint at another path, as another machine has it.

    Raises CmonError or OSError where there are other bytes than those that were hashed.
    """
    stamp = _stamp(path)
    format = checkpoint.format or find_format(path)
    if read_bytes(path, format.content_files(path)).sha256 != checkpoint.sha256:
        raise CmonError(f"{path}: was written since it was looked at", hint="run the same again")
    return replace(checkpoint, path=path, stamp=stamp)


def _with_epoch(found: Checkpoint, epoch: float | None, step: int | None) -> Checkpoint:
    """The checkpoint with its epoch and step: those stored in it, or else those in its name."""
    parsed = found.parsed_name
    named = parsed.epoch
    if parsed.unlabelled and step is not None and named == step:
        named = None  # detectron2: model_0004999.pth is of iteration 4999
    step = step if step is not None else parsed.step
    for value, source in ((epoch, "stored"), (named, "name"), (step, "step")):
        if value is not None:
            return replace(found, epoch=float(value), step=step, epoch_from=source)
    if parsed.ambiguous:
        numbers = " and ".join(f"{number:g}" for number in parsed.ambiguous)
        return found.skipped(f"{NO_EPOCH}none is stored in it, and {numbers} in its name could both be one")
    return found.skipped(f"{NO_EPOCH}neither stored in it nor a number in its name that counts epochs")


def _check_values(path: Path, held: Weights) -> None:
    """Raise CmonError where weights have a shape and no values."""
    if names := [name for name, tensor in held.tensors.items() if tensor.is_meta]:
        raise CmonError(
            f"{path}: {len(names)} of its weights have no values",
            expected="tensors with values",
            found=f"{names[0]} on the device meta",
            hint=way_out(NO_VALUES),
        )


def _stamp(path: Path) -> tuple[tuple[int, int, int, int], ...]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple((at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns) for at in (file.stat() for file in files))


def _size(stamp: Sequence[tuple[int, int, int, int]]) -> int:
    """Bytes of all files of a checkpoint."""
    return sum(size for *_, size, _ in stamp)
