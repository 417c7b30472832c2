"""Checkpoints of torch.distributed.checkpoint: a folder with `.metadata` and one `*.distcp` file per process.

torch reads `.metadata` by plain `pickle.load`, which runs whatever the file says; here an unpickler reads it
that admits the metadata's own data classes and nothing else.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from cmon.checkpoints.find import METADATA

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
    "torch.serialization": ("_get_layout",),  # looks a layout up by name
    "torch": ("Size",),
    "collections": ("OrderedDict",),
}


class PickledCode(pickle.UnpicklingError):
    """The metadata asks for something that is not of its own data classes."""


def contents(folder: Path, values: bool) -> dict[str, Any]:
    """The nested dict that was saved, but for the optimizer: tensors, and plain values such as the epoch.

    values: whether tensors are read; otherwise they are on the device `meta`, with shape and dtype only.
    Raises PickledCode, or whatever torch raises on damaged files.
    """
    metadata = _metadata(folder)
    paths = {
        name: (metadata.planner_data or {}).get(name, (name,))
        for name in metadata.state_dict_metadata
        if "optim" not in name.split(".")[0]  # twice the weights' size, and of no use here
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
    else:  # a step counter may be a tensor, and is one of the facts that are always wanted
        counters = {name: torch.empty((), dtype=flat[name].dtype) for name in flat if not flat[name].ndim}
        _fill(folder, metadata, counters)
        flat |= counters
    flat |= _plain_values(folder, metadata, set(paths) - set(sizes))
    return _nested((paths[name], value) for name, value in flat.items())


class _DataOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _CLASSES.get(module, ()):
            return super().find_class(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module.split(".")[0] == "pathlib" and name.endswith("Path"):
            return _text
        raise PickledCode(f"{module}.{name}")


def _text(*parts: str) -> str:
    """In place of the path that was saved to, which is of no use here."""
    return "/".join(parts)


def _metadata(folder: Path) -> Any:
    import torch.distributed.checkpoint  # registers what the pickle names

    with (folder / METADATA).open("rb") as file:
        found = _DataOnly(file).load()
    if not isinstance(found, torch.distributed.checkpoint.Metadata) or found.storage_data is None:
        raise ValueError(f"{METADATA} holds no metadata")
    return found


def _fill(folder: Path, metadata: Any, tensors: dict[str, Any]) -> None:
    """Read the named tensors in place; torch reads each piece as weights only."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    class Reader(dcp.FileSystemReader):
        def read_metadata(self, *_args: Any, **_kwargs: Any) -> Any:
            return metadata

    if not tensors:
        return
    with warnings.catch_warnings():  # that there is no process group, which is meant
        warnings.simplefilter("ignore")
        # As in the file: flattened names, so that the planner has nothing to flatten.
        try:
            dcp.load(tensors, storage_reader=Reader(folder))
        except CheckpointException as error:  # a BaseException, and Ctrl-C may be in it
            cause = next((failure[0] for failure in error.failures.values()), error)
            raise cause if isinstance(cause, (Exception, KeyboardInterrupt)) else ValueError(cause) from error


def _plain_values(folder: Path, metadata: Any, names: set[str]) -> dict[str, Any]:
    """Values that are no tensors; those that need pickled code are left out, none of them is a weight."""
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


def _nested(items: Iterator[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in items:
        inner = nested
        for part in path[:-1]:
            inner = inner.setdefault(str(part), {})
            if not isinstance(inner, dict):
                raise ValueError(f"{METADATA}: {path} lies inside a value")
        inner[str(path[-1])] = value
    return nested
