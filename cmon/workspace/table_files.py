"""One Parquet file of a workspace: written whole with a note of what it was made from, and checked when it is read.

The note holds the file's place in its workspace, its *origin* (a hash of everything that its content depends on), the
origins of the tables that it was made from (`inputs`), and a hash of its content. So a file that is damaged, swapped
with another, changed by hand or of another version of cmon is an error by name, in the one function that reads any.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import cmon
from cmon.errors import CmonError
from cmon.storage.url_path import UrlPath
from cmon.workspace import schemas
from cmon.workspace.files import AT_A_TIME, atomic_write
from cmon.workspace.parquet_files import open_table, read_metadata
from cmon.workspace.tables import KINDS
from cmon.workspace.values import find_fault

METADATA = b"cmon"
PARQUET: Mapping[str, Any] = {"compression": "zstd", "write_page_checksum": True}
"""How all tables are written."""
_ALWAYS_READ, _MOST_PACKED = 1 << 28, 200
"""Bytes of a table that are never too many, and how many times as large as its file it may be beyond them."""


class DamagedFile(CmonError):
    """A file that cannot be read, or whose content is not the one that cmon wrote."""


def write_table(
    path: Path,
    place: PurePosixPath,
    table: pa.Table,
    origin: str,
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> int:
    """Write a table of an explicit schema with its note; gives its size in bytes. It is visible only when whole.

    place: relative to the workspace. inputs: origins of the tables that it was made from, by their names.
    """
    note = make_note(place, origin, inputs, parameters, content_digest(table))
    table = table.replace_schema_metadata({METADATA: json.dumps(note, default=str).encode()})
    with atomic_write(path) as aside:
        with aside.open("wb") as file:
            pq.write_table(table, file, **PARQUET)
        check_rows(path, aside, table.num_rows)
        return aside.stat().st_size


def make_note(
    place: PurePosixPath, origin: str, inputs: Mapping[str, str], parameters: Mapping[str, Any], content: str
) -> dict[str, Any]:
    """What a file says of itself; see `write_table`. content: its `content_digest`."""
    return {
        "schema_version": schemas.VERSION,
        "cmon_version": cmon.__version__,
        "place": str(place),
        "origin": origin,
        "inputs": dict(inputs),
        "parameters": dict(parameters),
        "content": content,
    }


def check_rows(path: Path, aside: Path, expected: int) -> None:
    """Raise CmonError where a file does not have as many rows as were written, under the path that it gets."""
    rows = pq.read_metadata(aside).num_rows
    if rows != expected:  # a full disk has been seen to cut files without an error
        raise CmonError(f"{path}: could not be written whole", expected=f"{expected} rows", found=f"{rows}")


def read_table(path: Path) -> pa.Table:
    """The table of one file that cmon wrote; raises CmonError as `read_noted` does."""
    return read_noted(path)[0]


def read_if_fresh(path: Path, origin: str) -> pa.Table | None:
    """The table if it was made from what `origin` stands for, and is whole; of a cache, None means: make it again."""
    if not is_fresh(path, origin):
        return None
    try:
        return read_table(path)
    except CmonError:
        return None


def read_noted(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read one file that cmon wrote: its table, and the note that `write_table` left in it.

    Raises CmonError when it is damaged, of another version, another file's, or not as it was written, and when its
    columns, keys or values are not those of its kind of table.
    """
    try:
        source, size = open_table(path)
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            _require_bounded(path, size, file.metadata)
            table = file.read()
    except CmonError:
        raise
    except Exception as error:  # pyarrow fails on broken files in any way, by UnicodeDecodeError too
        raise unreadable(path, error) from error
    note = _parse(table.schema.metadata)
    _check_note(path, note)
    if _is_changed(table, note["content"]):
        raise changed(path)
    table = table.replace_schema_metadata(None)
    kind = KINDS.get(PurePosixPath(note["place"]).with_suffix("").parts[0])
    fault = kind and (_wrong_columns(table.schema, kind.schema) or find_fault(table, kind.schema, kind.keys))
    if fault:
        raise CmonError(
            f"{path}: holds what it cannot hold",
            expected="the columns and values of docs/reference/tables.md",
            found=fault,
            hint=_remake(path),
        )
    return table, note


def unreadable(path: Path, problem: Exception) -> DamagedFile:
    """The error of a file that pyarrow cannot read."""
    return DamagedFile(
        f"{path}: cannot be read",
        expected="a Parquet file that cmon wrote",
        found=str(problem).splitlines()[0] if str(problem) else type(problem).__name__,
        hint=_remake(path),
    )


def changed(path: Path) -> DamagedFile:
    """The error of a file whose content is not that of its note."""
    return DamagedFile(
        f"{path}: was changed since cmon wrote it",
        expected="the content of then",
        found="other values",
        hint=_remake(path),
    )


def _require_bounded(path: Path, size: int, metadata: pq.FileMetaData) -> None:
    """Raise CmonError for a file that would fill the memory: one value repeated takes no room in Parquet."""
    unpacked = max(
        8 * metadata.num_rows * metadata.num_columns,
        sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)),
    )
    if unpacked > max(_ALWAYS_READ, _MOST_PACKED * size):
        raise CmonError(
            f"{path}: would take {unpacked:,} bytes of memory",
            expected="a Parquet file that cmon wrote",
            found=f"{metadata.num_rows:,} rows in {size:,} bytes",
            hint=_remake(path),
        )


def stamp(path: Path) -> dict[str, Any]:
    """The note that `write_table` left in a file; empty if the file is absent or not cmon's."""
    if not isinstance(path, UrlPath) and not os.path.isfile(path):  # a pipe would be waited for
        return {}
    try:
        return _parse(read_metadata(path).metadata)
    except CmonError:  # a store that does not answer says nothing of the file
        raise
    except Exception:  # pyarrow fails on broken files in any way, by UnicodeDecodeError too
        return {}


def checked_stamp(path: Path) -> dict[str, Any]:
    """The note of a file that is there. Raises CmonError unless it is of this version and lies where it was written."""
    found = stamp(path)
    _check_note(path, found)
    return found


def is_fresh(path: Path, origin: str) -> bool:
    """Whether the file is there and was made from exactly what `origin` stands for."""
    found = stamp(path)
    return found.get("origin") == origin and _in_place(path, found)


def are_fresh(files: Sequence[tuple[Path, str]]) -> list[bool]:
    """`is_fresh` of many files, each with its origin; those of a store are asked for many at a time."""
    if not any(isinstance(path, UrlPath) for path, _ in files):
        return [is_fresh(path, origin) for path, origin in files]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(lambda one: is_fresh(*one), files))


def content_digest(table: pa.Table) -> str:
    """Hex SHA-256 of a table's columns and values, however they lie in memory."""
    found = hashlib.sha256()
    for name in table.column_names:
        hash_column(found, name, table[name])
    return found.hexdigest()


def hash_column(found: Any, name: str, column: pa.Array | pa.ChunkedArray) -> None:
    """Hash a column's name, length and values, however they lie in memory."""
    found.update(f"{name}\0{len(column)}\0".encode())
    if (
        isinstance(column, pa.ChunkedArray)
        and pa.types.is_fixed_size_list(column.type)
        and not column.null_count
    ):
        # Chunk by chunk, since a column of vectors may be too long to be copied into one.
        for chunk in column.chunks:
            found.update(pc.list_value_length(chunk).to_numpy(zero_copy_only=False).tobytes())
        for chunk in column.chunks:
            _hash_array(found, chunk.flatten())
        return
    _hash_array(found, column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)


def _is_changed(table: pa.Table, content: str) -> bool:
    """Whether it is not the table whose `content_digest` was `content`."""
    try:
        return content_digest(table) != content
    except (TypeError, pa.ArrowException):  # a damaged schema can make of a column one that cmon never wrote
        return True


def _hash_array(found: Any, array: pa.Array) -> None:
    """What lies under a null is arbitrary, and so are the bits around a slice: hash neither."""
    if isinstance(array, pa.ChunkedArray):  # pyarrow gives one of an empty column
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if array.null_count:
        found.update(pc.is_null(array).to_numpy(zero_copy_only=False).tobytes())
        array = array.drop_null()
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        found.update(pc.list_value_length(array).to_numpy(zero_copy_only=False).tobytes())
        _hash_array(found, array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found.update(pc.binary_length(array).to_numpy(zero_copy_only=False).tobytes())
        found.update(_text_bytes(array.cast(pa.large_string())))
    elif not (pa.types.is_primitive(kind) or pa.types.is_boolean(kind)):
        raise TypeError(f"no table of cmon's has a column of {kind}")
    else:
        found.update(array.to_numpy(zero_copy_only=False).data)


def _text_bytes(array: pa.Array) -> bytes | memoryview:
    """The UTF-8 of all texts, one after the other. array: of large_string, without nulls."""
    _, offsets, data = array.buffers()
    if not len(array) or data is None:
        return b""
    edges = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return memoryview(data)[edges[0] : edges[-1]]


def _parse(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    try:
        found = json.loads((metadata or {}).get(METADATA, b"{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and _is_whole(found) else {}


def _is_whole(note: Mapping[str, Any]) -> bool:
    """Whether a note of this version has all that is asked of it; of another version, only that is looked at."""
    kinds = {"place": str, "origin": str, "content": str, "inputs": dict, "parameters": dict}
    here = note.get("schema_version") == schemas.VERSION
    return not here or all(isinstance(note.get(name), kind) for name, kind in kinds.items())


def _check_note(path: Path, note: Mapping[str, Any]) -> None:
    if not note:
        raise CmonError(
            f"{path}: was not written by cmon",
            expected="a Parquet file with cmon's note of what it was made from",
            found="one without it, perhaps written by another program",
            hint=_remake(path),
        )
    if note.get("schema_version") != schemas.VERSION:
        raise CmonError(
            f"{path}: was written by another version of cmon",
            expected=f"schema version {schemas.VERSION}",
            found=str(note.get("schema_version", "no version")),
            hint=_remake(path, delete=False),
        )
    if not _in_place(path, note):
        raise CmonError(
            f"{path}: is another file under this name",
            expected="the file that cmon wrote there",
            found=f"the one that it wrote as {note.get('place')}",
            hint=_remake(path),
        )


def _in_place(path: Path, note: Mapping[str, Any]) -> bool:
    place = PurePosixPath(str(note.get("place", ""))).parts
    return bool(place) and path.parts[-len(place) :] == place


def _remake(path: Path, *, delete: bool = True) -> str:
    """What to do about a file that is not to be used."""
    names = [part.removesuffix(".parquet") for part in path.parts]
    known = [name for name in names if name in KINDS]
    command = f"`cmon {KINDS[known[-1]].made_by}`" if known else "the command that wrote it"
    return f"delete it, and run {command} again" if delete else f"run {command} again"


def _wrong_columns(found: pa.Schema, expected: pa.Schema) -> str | None:
    if found.names != expected.names:
        return f"the columns {', '.join(found.names)}; not {', '.join(expected.names)}"
    for ours, theirs in zip(expected, found, strict=True):
        width = ours.type if not pa.types.is_fixed_size_list(ours.type) else None
        same = theirs.type == width if width is not None else pa.types.is_fixed_size_list(theirs.type)
        if not same:
            return f"a column {ours.name} of {theirs.type}, not of {ours.type}"
    return None
