"""`.metadata` of torch.distributed.checkpoint: which tensors a folder holds, and where in its files they lie.

torch reads it by plain `pickle.load`, which runs any code in the file, and believes it. Here it is read by an unpickler
that allows the metadata's own data classes and nothing else, and what it says is compared with the files: every part is
in a file of this folder, within its length, in nobody else's place, and long enough for what it holds.
"""

from __future__ import annotations

import io
import math
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.unpickling import Steps, TooMuch, require_small
from cmon.regular_files import open_regular, read_regular

METADATA = ".metadata"
"""The file that tells such a folder."""
_MOST = 32 << 20
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
}


@dataclass(frozen=True)
class Piece:
    """Where one saved object lies."""

    file: str
    """Its name in the folder."""
    offset: int
    length: int


@dataclass(frozen=True)
class Chunk:
    """A part of a tensor."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    piece: Piece


@dataclass(frozen=True)
class SavedTensor:
    dtype: Any
    size: tuple[int, ...]
    chunks: tuple[Chunk, ...]
    """Together as large as the tensor."""


@dataclass(frozen=True)
class Saved:
    """What a folder holds, without the optimizer."""

    paths: dict[str, tuple[Any, ...]]
    """By the flat name: the keys that lead to it in the dict that was saved."""
    tensors: dict[str, SavedTensor]
    values: dict[str, Piece]
    """Other objects that were not transformed."""


class PickledCode(pickle.UnpicklingError):
    """The metadata needs something that is not one of its own data classes."""


def read_metadata(folder: Path) -> Saved:
    """What a folder says that it holds, compared with its files.

    Raises PickledCode, ValueError, OSError, or any error of pickle.
    """
    import torch.distributed.checkpoint as dcp  # so that the classes in the pickle are there

    found = _Unpickler(_Steps(io.BytesIO(read_regular(folder / METADATA, _MOST)))).load()
    if not isinstance(found, dcp.Metadata) or not isinstance(found.storage_data, dict):
        raise ValueError(f"{METADATA} holds no metadata")
    entries = {
        name: entry
        for name, entry in found.state_dict_metadata.items()
        if isinstance(name, str)
        and "optim" not in name.split(".")[0]  # twice the weights' size, and never used here
    }
    places = {
        (index.fqn, None if index.offset is None else tuple(index.offset)): place
        for index, place in found.storage_data.items()
        if isinstance(index.fqn, str) and index.fqn in entries
    }
    tensors: dict[str, SavedTensor] = {}
    values: dict[str, Piece] = {}
    for name, entry in entries.items():
        if isinstance(entry, dcp.TensorStorageMetadata):
            tensors[name] = _read_tensor(name, entry, places)
        elif (place := places.get((name, None))) and not getattr(place, "transform_descriptors", None):
            values[name] = _read_piece(place)
    chunks = [chunk.piece for tensor in tensors.values() for chunk in tensor.chunks]
    _require_in_files(folder, [*chunks, *values.values()])
    planned = found.planner_data if isinstance(found.planner_data, dict) else {}
    paths = {name: tuple(planned.get(name, (name,))) for name in (*tensors, *values)}
    return Saved(paths, tensors, values)


def _read_tensor(name: str, entry: Any, places: dict[Any, Any]) -> SavedTensor:
    """Raises ValueError where its parts do not make it up, or are shorter than their values."""
    import torch

    size, dtype = _shape(entry.size), entry.properties.dtype
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"{name} has a dtype that is none")
    chunks = []
    for chunk in entry.chunks:
        offsets, sizes = _shape(chunk.offsets), _shape(chunk.sizes)
        place = places.get((name, offsets))
        inside = len(offsets) == len(sizes) == len(size) and all(
            start + length <= whole for start, length, whole in zip(offsets, sizes, size, strict=True)
        )
        if place is None or not inside:
            raise ValueError(f"{name} has a part that lies nowhere, or outside of it")
        if getattr(place, "transform_descriptors", None):
            raise ValueError(f"{name} is compressed: save it without a compressing extension")
        piece = _read_piece(place)
        if math.prod(sizes) * dtype.itemsize > piece.length:
            raise ValueError(f"{name} has a part of {piece.length:,} bytes, too few for {sizes}")
        chunks.append(Chunk(offsets, sizes, piece))
    if sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(size):
        raise ValueError(f"{name} has parts that do not make up {size}")
    return SavedTensor(dtype, size, tuple(chunks))


def _shape(values: Any) -> tuple[int, ...]:
    found = tuple(values)
    if not all(type(value) is int and value >= 0 for value in found):
        raise ValueError("a shape that is none")
    return found


def _read_piece(place: Any) -> Piece:
    name, offset, length = place.relative_path, place.offset, place.length
    if not (type(offset) is int and type(length) is int and offset >= 0 and length >= 0):
        raise ValueError("a part that lies at no place of a file")
    if not isinstance(name, str) or name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise ValueError(f"a part outside of its folder: {name!r}"[:200])
    return Piece(name, offset, length)


def _require_in_files(folder: Path, pieces: list[Piece]) -> None:
    """Raise ValueError where parts reach beyond their file, or into each other; OSError where a file is none."""
    ends: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for piece in sorted(pieces, key=lambda piece: (piece.file, piece.offset)):
        if piece.file not in sizes:
            with open_regular(folder / piece.file) as file:
                sizes[piece.file] = os.fstat(file.fileno()).st_size
        end = piece.offset + piece.length
        if piece.offset < ends.get(piece.file, 0) or end > sizes[piece.file]:
            raise ValueError(
                f"a part from byte {piece.offset:,} to {end:,} of {piece.file}, which has {sizes[piece.file]:,}"
                " and other parts"
            )
        ends[piece.file] = end


class _Steps(Steps):
    """pickle's own unpickler reads many instructions at once where the file says how many; here, none."""

    def readinto(self, target: Any) -> int:
        found = self.read(len(target))
        target[: len(found)] = found
        return len(found)


_PythonUnpickler: Any = pickle._Unpickler


class _Unpickler(_PythonUnpickler):
    """Finds the classes of `_CLASSES`, sizes, dtypes and paths; refuses everything else.

    In Python: the one in C makes room for any index that a file names, before it looks at anything.
    """

    def find_class(self, module: str, name: str) -> Any:
        import torch

        if name in _CLASSES.get(module, ()):
            return super().find_class(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if (module, name) == ("torch", "Size"):
            return _make_size
        if (module, name) == ("collections", "OrderedDict"):
            return _make_dict
        if module.split(".")[0] == "pathlib" and name.endswith("Path"):
            return _forget_path
        raise PickledCode(f"{module}.{name}")

    def load_build(self) -> None:
        if type(self.stack[-2]).__module__ not in _CLASSES:
            raise PickledCode("changes of what is no metadata")
        super().load_build()

    def load_frame(self) -> None:
        self.read(8)  # how many bytes might be read at once

    def memoized(self, load: Callable[[Any], None]) -> None:
        require_small(self.stack[-1:])
        load(self)


def _dispatch() -> dict[int, Callable[[Any], None]]:
    def memoizing(load: Callable[[Any], None]) -> Callable[[Any], None]:
        return lambda own: own.memoized(load)

    plain = _PythonUnpickler.dispatch
    memo = {
        code[0]: memoizing(plain[code[0]])
        for code in (pickle.MEMOIZE, pickle.BINPUT, pickle.LONG_BINPUT, pickle.PUT)
    }
    return {
        **plain,
        **memo,
        pickle.BUILD[0]: _Unpickler.load_build,
        pickle.FRAME[0]: _Unpickler.load_frame,
    }


_Unpickler.dispatch = _dispatch()


def _make_size(values: Any) -> Any:
    import torch

    if len(values) > 64:
        raise TooMuch(f"a shape of {len(values):,} axes")
    return torch.Size(values)


def _make_dict() -> dict[Any, Any]:
    return {}


def _forget_path(*_: Any) -> str:
    """In place of the path that was saved to, which may be of another operating system."""
    return ""


def chunks_of(saved: Saved) -> Iterator[tuple[str, Chunk]]:
    """All parts of all tensors, in the order in which they lie in the files."""
    found = [(name, chunk) for name, tensor in saved.tensors.items() for chunk in tensor.chunks]
    yield from sorted(found, key=lambda pair: (pair[1].piece.file, pair[1].piece.offset))
