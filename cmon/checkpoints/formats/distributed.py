"""Checkpoints of torch.distributed.checkpoint: a folder with `.metadata` and one `*.distcp` file per process.

What `.metadata` says is compared with the files first (`distributed_metadata`); then the parts are read one by one.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats import trainer_state
from cmon.checkpoints.formats.base import Claim, damaged, no_warnings
from cmon.checkpoints.formats.distributed_metadata import (
    METADATA,
    PickledCode,
    Piece,
    chunks_of,
    read_metadata,
)
from cmon.checkpoints.formats.plain_data import plain_data_classes
from cmon.checkpoints.formats.torch_archive import read_archive
from cmon.checkpoints.formats.torch_file import read_torch_file
from cmon.errors import CmonError
from cmon.regular_files import NotAFile, open_regular

_LIGHTNING_FACTS = "meta.pt"
"""Where Lightning puts the epoch and step."""


class DistributedFolder:
    """`epoch_3/` with `.metadata` and `*.distcp`, read in one process however many wrote it."""

    name = "distributed"
    suffixes: tuple[str, ...] = ()
    description = "folders of torch.distributed.checkpoint"
    counts_steps = False
    inner = ""

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        return Claim((folder,), frozenset(files)) if METADATA in files else Claim()

    def content_files(self, path: Path) -> list[Path]:
        own = [path / METADATA, *sorted(path.glob("*.distcp")), *sorted(path.glob(_LIGHTNING_FACTS))]
        return own + trainer_state.find_trainer_state(*_state_folders(path))

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        """Never runs code, also with `trust_pickle`: no training program needs any here."""
        try:
            with no_warnings():
                content = _read_saved(path, values)
        except PickledCode as error:
            raise CmonError(
                f"{path / METADATA}: refused, since reading it would run code",
                expected="the metadata that torch.distributed.checkpoint writes",
                found=f"objects of {error}",
                hint="save the checkpoint again with torch.distributed.checkpoint.save",
            ) from error
        except (FileNotFoundError, PermissionError, NotAFile):
            raise
        except Exception as error:  # unpickling and planning fail on broken files in any way
            raise damaged(path, "a checkpoint that torch.distributed.checkpoint wrote", error) from error
        facts: dict[str, Any] = {}
        if (path / _LIGHTNING_FACTS).is_file():
            beside = read_torch_file(path / _LIGHTNING_FACTS, values=True, trust_pickle=False)
            facts = {name: beside[name] for name in ("epoch", "global_step") if name in beside}
        return {**facts, **content, **trainer_state.read_trainer_state(*_state_folders(path))}


def _state_folders(folder: Path) -> tuple[Path, Path]:
    """Where a trainer state may lie: accelerate saves the weights into a sub-folder, pytorch_model_fsdp_0."""
    return folder, folder.parent


def _read_saved(folder: Path, values: bool) -> dict[str, Any]:
    """The nested dict that was saved, without the optimizer: tensors, and plain values such as the epoch.

    values: whether tensors are given; otherwise they are on the device `meta`, with shape and dtype only. Their parts
    are looked at in any case: no other pass tells whether their bytes are still those that were written.
    Raises PickledCode, ValueError, OSError, or whatever torch raises on damaged files.
    """
    import torch

    saved = read_metadata(folder)
    flat: dict[str, Any] = {
        # A step counter may be a tensor, and its value is needed in any case.
        name: torch.empty(
            tensor.size, dtype=tensor.dtype, device="cpu" if values or not tensor.size else "meta"
        )
        for name, tensor in saved.tensors.items()
    }
    missing = {
        name: torch.ones(tensor.size, dtype=torch.bool)
        for name, tensor in saved.tensors.items()
        if values and len(tensor.chunks) > 1
    }
    for name, chunk in chunks_of(saved):
        part = _read_piece(folder, chunk.piece)
        if not isinstance(part, torch.Tensor) or (tuple(part.shape), part.dtype, part.layout) != (
            chunk.sizes,
            flat[name].dtype,
            torch.strided,
        ):
            raise ValueError(f"{name} has a part that is not what {METADATA} says")
        if flat[name].is_meta:
            continue
        box = tuple(
            slice(start, start + length) for start, length in zip(chunk.offsets, chunk.sizes, strict=True)
        )
        flat[name][box] = part
        if name in missing:
            missing[name][box] = False
    if holes := [name for name, some in missing.items() if some.any()]:
        raise ValueError(f"{holes[0]} has parts that overlap, and others that are missing")
    for name, piece in saved.values.items():
        try:
            flat[name] = _read_piece(folder, piece)
        except pickle.UnpicklingError:  # needs pickled code, so it is no weight
            continue
    return _nest((saved.paths[name], value) for name, value in flat.items())


def _read_piece(folder: Path, piece: Piece) -> Any:
    """One saved object: an archive within a file."""
    import torch

    with open_regular(folder / piece.file) as file:
        file.seek(piece.offset)
        content = io.BytesIO(file.read(piece.length))
    with torch.serialization.safe_globals(plain_data_classes()):
        return read_archive(content, values=True, check=True)


def _nest(items: Iterator[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    """Nested dicts of (path, value). Raises ValueError where a path leads through a value."""
    nested: dict[str, Any] = {}
    for path, value in items:
        inner = nested
        for part in path[:-1]:
            inner = inner.setdefault(str(part), {})
            if not isinstance(inner, dict):
                raise ValueError(f"{METADATA}: {path} lies inside a value")
        inner[str(path[-1])] = value
    return nested
