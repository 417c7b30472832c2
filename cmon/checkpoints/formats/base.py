"""Checkpoint files and folders as what the training program stored in them, without running any code.

torch file, safetensors, Hugging Face folder or distributed checkpoint --`opened`--> one nested dict.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import pickle
import re
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmon.checkpoints.find import METADATA, damaged, hugging_face_files, kind, state_file
from cmon.checkpoints.formats import distributed
from cmon.errors import CmonError


@dataclass(frozen=True)
class Opened:
    """One checkpoint's content."""

    kind: str
    """'torch', 'safetensors', 'hugging face' or 'distributed'."""
    content: dict[str, Any]
    """As it was stored: a state dict, or a dict that holds one, with the epoch and others beside it."""


def opened(path: Path, values: bool = True, trust_pickle: bool = False) -> Opened:
    """Open a checkpoint on the CPU, without running any code in it unless `trust_pickle`.

    values: whether tensors are read. Otherwise only their names, shapes and dtypes are meant to be looked at,
    and as little as possible is read.
    Raises CmonError when it is damaged or needs pickled code, OSError when it may not be read.
    """
    found = kind(path)
    if found == "torch":
        return Opened(found, _dict(path, _torch_file(path, values, trust_pickle)))
    if found == "safetensors":
        return Opened(found, _safetensors(path, values))
    content = (
        _distributed(path, values) if found == "distributed" else _hugging_face(path, values, trust_pickle)
    )
    return Opened(found, {**content, **_trainer_state(path)})


# -- torch.save ----------------------------------------------------------------------------------------


def _torch_file(path: Path, values: bool, trust_pickle: bool) -> Any:
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    try:
        with _quiet(), torch.serialization.safe_globals(_plain_data()):
            # Mapped, the tensors of the zip format are not read before they are touched.
            return torch.load(
                path, map_location="cpu", weights_only=not trust_pickle, mmap=is_zip and not values
            )
    except pickle.UnpicklingError as error:
        wanted = _code_wanted(path, str(error))
        if trust_pickle or not wanted:
            raise damaged(path, "a file that torch.save wrote", error) from error
        raise refused(
            path, wanted, "save the state dict instead: torch.save(model.state_dict(), path)"
        ) from error
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # torch.load fails on broken files in any way: IndexError, OSError, ...
        if trust_pickle and isinstance(error, (ImportError, AttributeError)):
            raise CmonError(
                f"{path}: the code that its pickle needs cannot be imported",
                found=f"{type(error).__name__}: {error}",
                hint="install or put on PYTHONPATH what the training program imported",
            ) from error
        raise damaged(path, "a file that torch.save wrote", error) from error


def refused(path: Path, wanted: list[str], otherwise: str) -> CmonError:
    """What a file that needs pickled code gets as an answer."""
    return CmonError(
        f"{path}: refused, since reading it would run code",
        expected="tensors and plain values",
        found="objects of " + ", ".join(wanted[:5]) + (" ..." if len(wanted) > 5 else ""),
        hint=f"{otherwise}; or, only if you trust whoever made the file, --trust-pickle",
    )


def _plain_data() -> list[Any]:
    """Classes that training programs store beside the weights, and that hold data and do nothing."""
    dtypes = [getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")]
    # numpy 1 and 2 name the maker of a scalar differently, and a file knows the name of its day.
    maker = np.float64(0).__reduce__()[0]
    numbers = [(maker, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    paths = [
        (pathlib.PurePosixPath, f"{module}.{name}Path")
        for module in ("pathlib", "pathlib._local")
        for name in ("Posix", "Windows", "PurePosix", "PureWindows")
    ]
    return [argparse.Namespace, types.SimpleNamespace, np.dtype, *dtypes, *numbers, *paths]


def _code_wanted(path: Path, said: str) -> list[str]:
    """What a refused pickle would import; empty if even that cannot be told."""
    try:
        with torch.serialization.safe_globals(_plain_data()):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # torch's old format cannot be listed; then the first one is named in what torch said
        return re.findall(r"GLOBAL ([\w.]+)", said)[:1]


def _dict(path: Path, content: Any) -> dict[str, Any]:
    if isinstance(content, torch.nn.Module):  # only with trust_pickle
        return {"model": content}
    if not isinstance(content, dict):
        raise CmonError(
            f"{path}: holds no state dict",
            expected="a dict of tensors, or one that holds such a dict",
            found=type(content).__name__,
        )
    return content


# -- safetensors, and folders --------------------------------------------------------------------------


def _safetensors(path: Path, values: bool) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = {
                name: float(text)
                for name, text in (file.metadata() or {}).items()
                if text.replace(".", "", 1).isdecimal()
            }
            names = list(file.keys())
            if values:
                return facts | {name: file.get_tensor(name) for name in names}
            shapes = {name: file.get_slice(name).get_shape() for name in names}
            return facts | {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    except SafetensorError as error:
        raise CmonError(f"{path}: damaged", expected="a safetensors file", found=str(error)) from error


def _hugging_face(folder: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for file in hugging_face_files(folder):
        if file.suffix == ".safetensors":
            content |= _safetensors(file, values)
        elif file.suffix == ".bin":
            content |= _dict(file, _torch_file(file, values, trust_pickle))
    return content


def _distributed(folder: Path, values: bool) -> dict[str, Any]:
    try:
        with _quiet():
            content = distributed.contents(folder, values)
    except distributed.PickledCode as error:
        path = folder / METADATA
        raise CmonError(
            f"{path}: refused, since reading it would run code",
            expected="the metadata that torch.distributed.checkpoint writes",
            found=f"objects of {error}",
            hint="save the checkpoint again with torch.distributed.checkpoint.save",
        ) from error
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # unpickling and planning fail on broken files in any way
        raise damaged(folder, "a checkpoint that torch.distributed.checkpoint wrote", error) from error
    beside = folder / "meta.pt"  # where Lightning puts the epoch
    if beside.is_file():
        facts = _dict(beside, _torch_file(beside, True, False))
        content = {**{name: facts[name] for name in ("epoch", "global_step") if name in facts}, **content}
    return content


def _trainer_state(folder: Path) -> dict[str, Any]:
    """The epoch and step that the Hugging Face Trainer wrote beside the weights, or in the folder above."""
    file = state_file(folder)
    if file is None:
        return {}
    try:
        state = json.loads(file.read_bytes())
        if not isinstance(state, dict):
            raise ValueError(f"a {type(state).__name__}")
    except ValueError as error:
        raise damaged(file, "a JSON object that the Trainer wrote", error) from error
    return {name: state[name] for name in ("epoch", "global_step") if name in state}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of pickle protocols and the like: what cannot be read is told as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
