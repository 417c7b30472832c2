"""One checkpoint: its weights, raw or averaged, and what epoch it is.

Files are read as weights only: a pickle that asks for code is refused, never run, unless the user trusts it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cmon.checkpoints import find as folders
from cmon.checkpoints import names as naming
from cmon.checkpoints import state_dict
from cmon.checkpoints.formats import base as containers
from cmon.errors import CmonError
from cmon.workspace.files import digest

NO_EPOCH = "no epoch: neither stored in it nor a number in its name"

_RAW = (
    "state_dict",
    "model",
    "model_state_dict",  # open_lth
    "model_state",
    "module",  # DeepSpeed
    "net",
    "network",
    "weights",
    "params",
)
_EMA = (
    "state_dict_ema",  # timm
    "model_ema",  # torchvision's references
    "ema_state_dict",
    "model_ema_state_dict",
    "ema_model",
    "ema_state",
    "ema",
    "params_ema",
)
_EPOCHS = ("epoch", "ep", "current_epoch")
_STEPS = ("step", "global_step", "iteration", "iter")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, as far as it can be told without building a model, and how its weights then fit one."""

    path: Path
    """A file, or the folder that is one checkpoint."""
    name: str
    """Path relative to the run's folder, with forward slashes."""
    sha256: str | None = None
    """Of the bytes; None where they cannot be read."""
    epoch: float | None = None
    step: int | None = None
    wrapper: str | None = None
    """Under which key the weights lay: 'plain', 'state_dict', 'model', ..."""
    signature: str | None = None
    """Hash of the tensors' names and shapes: equal signatures fit the same network."""
    error: str | None = None
    """Why it is not read; None if it is."""
    redundant: bool = False
    """Whether it is not read because another file of the run gives its epoch, or is the same."""
    kind: str | None = None
    """How it was stored: 'torch', 'safetensors', 'hugging face' or 'distributed'."""
    weights: str = "raw"
    """'raw', or 'ema' for averaged weights."""
    epoch_from: str | None = None
    """Where the epoch stood: 'stored', 'name', or 'step' where only a step is known, which then counts as it."""
    prefix: str | None = None
    """In front of the network's names in the checkpoint; None before it was matched to a network."""
    tensors: int | None = None
    """How many names the network has,"""
    tensors_matched: int | None = None
    """and how many of them the checkpoint has, in the right shape."""
    stamp: tuple[Any, ...] = ()
    """Device, inode, size and time of the files when they were hashed."""

    @property
    def status(self) -> str:
        """'ok', 'redundant' or 'skipped'."""
        if self.error is None:
            return "ok"
        return "redundant" if self.redundant else "skipped"

    def skipped(self, error: str | CmonError, redundant: bool = False) -> Checkpoint:
        """The same, with why it is not read, on one line."""
        said = error.line if isinstance(error, CmonError) else " ".join(error.split())
        return replace(self, error=said.removeprefix(f"{self.path}: "), redundant=redundant)


@dataclass(frozen=True)
class Weights:
    """What a checkpoint holds."""

    tensors: dict[str, Tensor]
    """State dict, names as they were stored."""
    kind: str
    wrapper: str
    epoch: float | None
    """The epoch that the training program stored beside the weights, if it did."""
    step: int | None


def inspect(
    path: Path,
    folder: Path,
    weights: str = "raw",
    trust_pickle: bool = False,
    known: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
) -> Checkpoint:
    """Hash one checkpoint and see what it says of itself. What is wrong with it becomes its `error`.

    known: rows of an earlier table `checkpoints` by (checkpoint, sha256): what they tell is not read again.
    """
    name = path.relative_to(folder).as_posix()
    found = Checkpoint(path, name, weights=weights)
    try:
        found = replace(found, stamp=_stamp(path))
        found = replace(found, sha256=folders.fingerprint(path), kind=folders.kind(path))
        row = (known or {}).get((name, found.sha256 or ""))
        if row and row.get("signature") and row.get("weights") == weights:
            stored = row["epoch"] if row["epoch_from"] == "stored" else None
            found = replace(found, wrapper=row["wrapper"], signature=row["signature"])
            return _dated(found, stored, row["step"])
        read_now = _read(path, weights, trust_pickle, values=False)
    except OSError as error:
        return found.skipped(f"cannot be read: {error.strerror or error}")
    except CmonError as error:
        return found.skipped(error)
    shapes = sorted((name, tuple(tensor.shape)) for name, tensor in read_now.tensors.items())
    found = replace(found, wrapper=read_now.wrapper, signature=digest(shapes))
    return _dated(found, read_now.epoch, read_now.step)


def read(path: Path, weights: str = "raw", trust_pickle: bool = False) -> Weights:
    """Read a checkpoint's tensors onto the CPU, without running any code in it unless `trust_pickle`.

    weights: 'raw', or 'ema' for the averaged weights beside them.
    Raises CmonError when it is damaged, needs pickled code, or holds no such weights.
    """
    try:
        return _read(path, weights, trust_pickle, values=True)
    except OSError as error:
        raise CmonError(f"{path}: cannot be read", found=error.strerror or str(error)) from error


def unchanged(checkpoint: Checkpoint, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The tensors of a checkpoint that was inspected before.

    Raises CmonError as `read` does, and when the files have changed since they were hashed: what would be
    computed from them then would stand under the wrong hash for ever.
    """
    tensors = read(checkpoint.path, checkpoint.weights, trust_pickle).tensors
    if _stamp(checkpoint.path) != checkpoint.stamp:
        raise CmonError(f"{checkpoint.path}: was written while it was being read", hint="run the same again")
    return tensors


def _read(path: Path, weights: str, trust_pickle: bool, values: bool) -> Weights:
    opened = containers.opened(path, values, trust_pickle)
    content = opened.content
    tensors, wrapper = _ema(path, content) if weights == "ema" else _raw(path, content)
    meta = content.get("meta")  # where OpenMMLab's programs put them
    facts = {**meta, **content} if isinstance(meta, dict) else content
    step = _first_number(facts, _STEPS)
    epoch = _first_number(facts, _EPOCHS)
    return Weights(tensors, opened.kind, wrapper, epoch, None if step is None else int(step))


def _dated(found: Checkpoint, epoch: float | None, step: int | None) -> Checkpoint:
    """With epoch and step, stored ones first."""
    told = naming.told(found.name, saved_by_step=found.kind == "hugging face")
    step = step if step is not None else told.step
    for value, source in ((epoch, "stored"), (told.epoch, "name"), (step, "step")):
        if value is not None:
            return replace(found, epoch=float(value), step=step, epoch_from=source)
    return found.skipped(NO_EPOCH)


# -- where the weights lie -----------------------------------------------------------------------------


def _raw(path: Path, content: dict[str, Any]) -> tuple[dict[str, Tensor], str]:
    names: tuple[str, ...] = _RAW
    if "averaging_state" in content and "current_model_state" in content:
        names = ("current_model_state",)  # Lightning's WeightAveraging keeps the averaged ones in state_dict
    for name in names:
        if state := _state(content.get(name)):
            return state, name
    plain = _tensors(content)
    inner = {
        name: state
        for name, value in content.items()
        if not state_dict.is_averaged(str(name)) and "optim" not in str(name) and (state := _state(value))
    }
    if plain and (any(tensor.ndim for tensor in plain.values()) or not inner):
        return plain, "plain"
    if len(inner) == 1:
        return next((state, str(name)) for name, state in inner.items())
    if inner:
        raise CmonError(
            f"{path}: holds {len(inner)} state dicts",
            expected="one, or one under " + " or ".join(map(repr, _RAW[:3])),
            found=", ".join(map(repr, list(inner)[:5])),
            hint="save the one that is meant alone",
        )
    shown = ", ".join(map(repr, list(content)[:5])) or "no key"
    raise CmonError(
        f"{path}: holds no state dict",
        expected="a dict of tensors, plain or under " + " or ".join(map(repr, _RAW[:3])),
        found=f"a dict with the keys {shown}",
    )


def _ema(path: Path, content: dict[str, Any]) -> tuple[dict[str, Tensor], str]:
    if "averaging_state" in content and (state := _state(content.get("state_dict"))):
        return state, "state_dict"
    others = (str(name) for name in content if state_dict.is_averaged(str(name)))
    for name in (*_EMA, *others):
        if state := _state(content.get(name)):
            return state, name
    tensors, wrapper = _raw(path, content)
    averaged = {name: tensor for name, tensor in tensors.items() if state_dict.is_averaged(name)}
    if not averaged:
        shown = ", ".join(map(repr, list(content)[:5]))
        raise CmonError(
            f"{path}: holds no EMA weights",
            expected="averaged weights under "
            + ", ".join(map(repr, _EMA[:3]))
            + " or another name with 'ema'",
            found=f"a dict with the keys {shown}" + (" ..." if len(content) > 5 else ""),
            hint="use --weights raw",
        )
    return averaged, wrapper


def _state(value: Any, deeper: bool = True) -> dict[str, Tensor] | None:
    """The state dict that a value is, or holds itself."""
    if isinstance(value, nn.Module):  # only from a trusted pickle
        return dict(value.state_dict())
    if not isinstance(value, dict):
        return None
    if (tensors := _tensors(value)) or not deeper:
        return tensors
    return next((state for name in _RAW if (state := _state(value.get(name), deeper=False))), None)


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    facts = (*_EPOCHS, *_STEPS)
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor) and (name not in facts or value.ndim)
    }


def _first_number(facts: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    return next(_numbers(facts.get(name) for name in names), None)


def _numbers(values: Iterator[Any]) -> Iterator[float]:
    for value in values:
        if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta:
            value = value.item()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            yield float(value)


def _stamp(path: Path) -> tuple[Any, ...]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple((at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns) for at in (file.stat() for file in files))
