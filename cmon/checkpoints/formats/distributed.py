"""Checkpoints of torch.distributed.checkpoint: a folder with `.metadata` and one `*.distcp` file per process.

torch reads `.metadata` by plain `pickle.load`, which runs any code in the file. Here it is read by an unpickler
that allows the metadata's own data classes and nothing else.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats import trainer_state
from cmon.checkpoints.formats.base import Claim, damaged, no_warnings
from cmon.checkpoints.formats.torch_file import read_torch_file
from cmon.errors import CmonError

METADATA = ".metadata"
"""The file that tells such a folder."""
_LIGHTNING_FACTS = "meta.pt"
"""Where Lightning puts the epoch and step."""
_CLASSES = {
    "torch.distributed.checkpoint.metadata": (
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    ),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo", "_StoragePrefix"),
    "torch.serialization": ("_get_layout",),  # finds a layout by its name
    "torch": ("Size",),
    "collections": ("OrderedDict",),
}


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
        except _PickledCode as error:
            raise CmonError(
                f"{path / METADATA}: refused, since reading it would run code",
                expected="the metadata that torch.distributed.checkpoint writes",
                found=f"objects of {error}",
                hint="save the checkpoint again with torch.distributed.checkpoint.save",
            ) from error
        except (FileNotFoundError, PermissionError):
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


class _PickledCode(pickle.UnpicklingError):
    """The metadata needs something that is not one of its own data classes."""


def _read_saved(folder: Path, values: bool) -> dict[str, Any]:
    """The nested dict that was saved, without the optimizer: tensors, and plain values such as the epoch.

    values: whether tensors are read; otherwise they are on the device `meta`, with shape and dtype only.
    Raises _PickledCode, or whatever torch raises on damaged files.
    """
    import torch

    metadata = _read_metadata(folder)
    paths = {
        name: (metadata.planner_data or {}).get(name, (name,))
        for name in metadata.state_dict_metadata
        if "optim" not in name.split(".")[0]  # twice the weights' size, and never used here
    }
    sizes = {
        name: entry
        for name, entry in metadata.state_dict_metadata.items()
        if name in paths and hasattr(entry, "size")
    }
    flat: dict[str, Any] = {
        name: torch.empty(tuple(entry.size), dtype=entry.properties.dtype, device="cpu" if values else "meta")
        for name, entry in sizes.items()
    }
    if values:
        _fill(folder, metadata, flat)
    else:  # a step counter may be a tensor, and its value is needed in any case
        counters = {name: torch.empty((), dtype=flat[name].dtype) for name in flat if not flat[name].ndim}
        _fill(folder, metadata, counters)
        flat |= counters
    flat |= _read_plain_values(folder, metadata, set(paths) - set(sizes))
    return _nest((paths[name], value) for name, value in flat.items())


class _MetadataUnpickler(pickle.Unpickler):
    """Finds the classes of `_CLASSES`, dtypes and paths; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        import torch

        if name in _CLASSES.get(module, ()):
            return super().find_class(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module.split(".")[0] == "pathlib" and name.endswith("Path"):
            return _join_path
        raise _PickledCode(f"{module}.{name}")


def _join_path(*parts: str) -> str:
    """In place of the path that was saved to, which may be of another operating system."""
    return "/".join(parts)


def _read_metadata(folder: Path) -> Any:
    """torch's `Metadata`. Raises _PickledCode, ValueError, or any error of pickle."""
    import torch.distributed.checkpoint  # so that the classes in the pickle are there

    with (folder / METADATA).open("rb") as file:
        found = _MetadataUnpickler(file).load()
    if not isinstance(found, torch.distributed.checkpoint.Metadata) or found.storage_data is None:
        raise ValueError(f"{METADATA} holds no metadata")
    return found


def _fill(folder: Path, metadata: Any, tensors: dict[str, Any]) -> None:
    """Read the named tensors into those given; torch reads each piece as weights only."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    class Reader(dcp.FileSystemReader):
        def read_metadata(self, *_args: Any, **_kwargs: Any) -> Any:
            return metadata

    if not tensors:
        return
    try:
        # The names are flat, as in the file, so that the planner has nothing to flatten.
        dcp.load(tensors, storage_reader=Reader(folder))
    except CheckpointException as error:  # a BaseException, which may hold a KeyboardInterrupt
        cause = next((failure[0] for failure in error.failures.values()), error)
        raise cause if isinstance(cause, (Exception, KeyboardInterrupt)) else ValueError(cause) from error


def _read_plain_values(folder: Path, metadata: Any, names: set[str]) -> dict[str, Any]:
    """Values that are no tensors, by name. Those that need pickled code are left out: none is a weight."""
    import torch

    found = {}
    for index, place in metadata.storage_data.items():
        if index.fqn in names and not getattr(place, "transform_descriptors", None):
            with (folder / place.relative_path).open("rb") as file:
                file.seek(place.offset)
                piece = io.BytesIO(file.read(place.length))
            try:
                found[index.fqn] = torch.load(piece, weights_only=True)
            except pickle.UnpicklingError:
                continue
    return found


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
