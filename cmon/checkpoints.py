"""Checkpoint files: which a training run has left, what epoch each is, and its weights.

Files are read as weights only: a pickle that asks for code is refused, never run.
"""

from __future__ import annotations

import pickle
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cmon.errors import CmonError
from cmon.store import digest, file_digest

SUFFIXES = (".pt", ".pth", ".pth.tar", ".safetensors")
_WRAPPERS = ("state_dict", "model")
_EPOCH_IN_NAME = re.compile(r"(?:epoch|ep|checkpoint|ckpt|model|e)[-_=. ]?(\d+)", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint file, as far as it can be told without building a model."""

    path: Path
    name: str
    """Path relative to the run's folder."""
    sha256: str | None = None
    """Of the file's bytes; None where it cannot be read."""
    epoch: float | None = None
    step: int | None = None
    wrapper: str | None = None
    """Under which key of the file the weights lay: 'plain', 'state_dict' or 'model'."""
    signature: str | None = None
    """Hash of the tensors' names and shapes: equal signatures fit the same network."""
    error: str | None = None
    """Why it is skipped; None if it is read."""

    @property
    def status(self) -> str:
        return "ok" if self.error is None else "skipped"


@dataclass(frozen=True)
class Weights:
    """What a checkpoint file holds."""

    tensors: dict[str, Tensor]
    """State dict, `module.` prefixes removed."""
    wrapper: str
    epoch: float | None
    """The epoch that the training program stored beside the weights, if it did."""
    step: int | None


def find(folder: Path) -> list[Path]:
    """All checkpoint files below a folder, in natural order (epoch 2 before epoch 10).

    Raises CmonError when the folder is missing, unreadable, or holds none.
    """
    if not folder.is_dir():
        raise CmonError(
            f"{folder}: no such folder" if not folder.exists() else f"{folder}: not a folder",
            expected="a folder with one checkpoint per epoch",
            hint="give the folder that the training program saves to: --run NAME=FOLDER",
        )
    try:
        files = [path for path in folder.rglob("*") if path.is_file() and path.name.endswith(SUFFIXES)]
        others = sum(1 for _ in folder.iterdir())
    except OSError as error:
        raise CmonError(f"{folder}: cannot be read", found=error.strerror or str(error)) from error
    if not files:
        raise CmonError(
            f"{folder}: holds no checkpoint",
            expected="files that end in " + ", ".join(SUFFIXES),
            found=f"{others} other entries" if others else "an empty folder",
        )
    return sorted(files, key=lambda path: natural_key(str(path.relative_to(folder))))


def inspect(path: Path, folder: Path) -> Checkpoint:
    """Hash one file and read what it says of itself. What is wrong with it becomes its `error`."""
    name = str(path.relative_to(folder))
    try:
        sha256 = file_digest(path)
        weights = read(path)
    except OSError as error:
        return Checkpoint(path, name, error=f"cannot be read: {error.strerror or error}")
    except CmonError as error:
        return Checkpoint(path, name, sha256=sha256, error=" ".join(str(error).split()))
    epoch = weights.epoch if weights.epoch is not None else epoch_in_name(name)
    problem = None
    if epoch is None:
        problem = "no epoch: neither an 'epoch' stored in the file nor a number in its name"
    signature = digest([(key, tuple(tensor.shape)) for key, tensor in weights.tensors.items()])
    return Checkpoint(path, name, sha256, epoch, weights.step, weights.wrapper, signature, problem)


def read(path: Path) -> Weights:
    """Read a checkpoint file's tensors onto the CPU, without running any code in it.

    Raises CmonError when the file is damaged, needs pickled code, or holds no state dict.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors, wrapper = _unwrapped(path, content)
    return Weights(
        {_plain_name(name): tensor for name, tensor in tensors.items()},
        wrapper,
        _number(content.get("epoch")),
        int(step) if (step := _number(content.get("step", content.get("global_step")))) is not None else None,
    )


def epoch_in_name(name: str) -> float | None:
    """The epoch that a path tells: `epoch_3.pt`, `model-12.pth`, `ckpt/epoch=4.pt`, else its last number."""
    for part in reversed(Path(name).parts):
        stem = part
        for suffix in sorted(SUFFIXES, key=len, reverse=True):
            stem = stem.removesuffix(suffix)
        if match := _EPOCH_IN_NAME.search(stem) or _LAST_NUMBER.search(stem):
            return float(match.group(1))
    return None


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sort key that orders the numbers in a text by value."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in re.split(r"(\d+)", text)
        if part
    ]


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise CmonError(f"{path}: damaged", expected="a safetensors file", found=str(error)) from error


def _read_torch(path: Path) -> dict[str, Any]:
    import torch

    try:
        with warnings.catch_warnings():  # of pickle protocols: what cannot be read is told below
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = _code_wanted(path)
        if not wanted:
            raise CmonError(
                f"{path}: damaged", expected="a file that torch.save wrote", found=str(error).splitlines()[0]
            ) from error
        raise CmonError(
            f"{path}: refused, since reading it would run code",
            expected="tensors and plain values",
            found="objects of " + ", ".join(wanted[:5]) + (" ..." if len(wanted) > 5 else ""),
            hint="save the state dict instead: torch.save(model.state_dict(), path)",
        ) from error
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # torch.load fails on broken files in any way: IndexError, OSError, ...
        raise CmonError(
            f"{path}: damaged",
            expected="a file that torch.save wrote",
            found=f"{path.stat().st_size} bytes; {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        ) from error
    if not isinstance(content, dict):
        raise CmonError(
            f"{path}: holds no state dict",
            expected="a dict of tensors, plain or under " + " or ".join(map(repr, _WRAPPERS)),
            found=type(content).__name__,
        )
    return content


def _code_wanted(path: Path) -> list[str]:
    """What a refused pickle would import; empty if even that cannot be told."""
    import torch

    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # as torch.load on broken files
        return []


def _unwrapped(path: Path, content: dict[str, Any]) -> tuple[dict[str, Tensor], str]:
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, dict) and any(isinstance(value, Tensor) for value in inner.values()):
            return _tensors(inner), wrapper
    if not any(isinstance(value, Tensor) for value in content.values()):
        keys = ", ".join(map(repr, list(content)[:5])) or "no key"
        raise CmonError(
            f"{path}: holds no state dict",
            expected="a dict of tensors, plain or under " + " or ".join(map(repr, _WRAPPERS)),
            found=f"a dict with the keys {keys}",
        )
    return _tensors(content), "plain"


def _tensors(content: dict[str, Any]) -> dict[str, Tensor]:
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _plain_name(name: str) -> str:
    """Without the `module.` segments that DataParallel and DistributedDataParallel add."""
    return ".".join(part for part in name.split(".") if part != "module")


def _number(value: Any) -> float | None:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
