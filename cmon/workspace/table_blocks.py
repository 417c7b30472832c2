"""A table of one long column of vectors, written and read a block of rows at a time: it need not fit in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.files import atomic_write
from cmon.workspace.parquet_files import open_table
from cmon.workspace.table_files import (
    METADATA,
    PARQUET,
    changed,
    check_rows,
    checked_stamp,
    hash_column,
    make_note,
    unreadable,
)

AddBlock = Callable[[np.ndarray], None]
"""Takes the next rows' vectors, (rows, width) float32."""


@contextmanager
def write_in_blocks(
    path: Path,
    place: PurePosixPath,
    schema: pa.Schema,
    keys: pa.Array,
    origin: str,
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any],
    written: Callable[[int], None],
) -> Iterator[AddBlock]:
    """Context with a function that adds blocks of rows; when it ends well, the file is there, as of `write_table`.

    schema: a column of keys and one of vectors. keys: all of the first column. Every block is a row group of the file.
    written: is told the file's size in bytes. Raises CmonError when fewer or more rows than keys were added.
    """
    rows = 0
    found = _hash_before_values(schema, keys)
    with atomic_write(path) as aside:
        with aside.open("wb") as file, pq.ParquetWriter(file, schema, **PARQUET) as writer:

            def add(block: np.ndarray) -> None:
                nonlocal rows
                block = np.ascontiguousarray(block, np.float32)
                own = keys.slice(rows, len(block))
                table = pa.Table.from_arrays([own, schemas.vectors(block)], schema=schema)
                writer.write_table(table, row_group_size=max(len(block), 1))
                found.update(block.data)
                rows += len(block)

            yield add
            if rows != len(keys):
                raise CmonError(f"{path}: not all rows were made", expected=f"{len(keys)}", found=f"{rows}")
            note = make_note(place, origin, inputs, parameters, found.hexdigest())
            writer.add_key_value_metadata({METADATA: json.dumps(note, default=str).encode()})
        check_rows(path, aside, len(keys))
        written(aside.stat().st_size)


def read_in_blocks(path: Path) -> Iterator[np.ndarray]:
    """The vectors of a file of `write_in_blocks`, (rows, width) float32, a row group at a time.

    Raises CmonError when it is not such a file, DamagedFile when it is damaged; that its values are not those that
    were written shows after the last block alone.
    """
    note = checked_stamp(path)
    try:
        source, _ = open_table(path)
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            keys, vectors = file.schema_arrow.names
            found = _hash_before_values(file.schema_arrow, file.read([keys])[keys])
            for group in range(file.num_row_groups):
                block = schemas.matrix(file.read_row_group(group, [vectors])[vectors])
                found.update(block.data)
                yield block
    except CmonError:
        raise
    except Exception as error:  # pyarrow fails on broken files in any way
        raise unreadable(path, error) from error
    if found.hexdigest() != note["content"]:
        raise changed(path)


def _hash_before_values(schema: pa.Schema, keys: pa.Array | pa.ChunkedArray) -> Any:
    """A hash that will be the `content_digest` of a table, once it has seen its vectors' values."""
    first, vectors = schema
    found = hashlib.sha256()
    hash_column(found, first.name, keys)
    # As `content_digest` has it: the lengths of all vectors stand before their values.
    found.update(f"{vectors.name}\0{len(keys)}\0".encode())
    for start in range(0, len(keys), _LENGTHS):
        lengths = np.full(min(_LENGTHS, len(keys) - start), vectors.type.list_size, np.int32)
        found.update(lengths.tobytes())
    return found


_LENGTHS = 1 << 16
"""Rows whose lengths are hashed at a time."""
