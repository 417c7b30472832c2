"""A table of one long column of vectors, written a block of rows at a time: it need not fit in memory."""

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
from cmon.workspace.table_files import METADATA, PARQUET, check_rows, hash_column, make_note

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
    first, vectors = schema
    width, rows = vectors.type.list_size, 0
    found = hashlib.sha256()
    hash_column(found, first.name, keys)
    # As `content_digest` has it: the lengths of all vectors stand before their values.
    found.update(f"{vectors.name}\0{len(keys)}\0".encode())
    for start in range(0, len(keys), _LENGTHS):
        found.update(np.full(min(_LENGTHS, len(keys) - start), width, np.int32).tobytes())
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


_LENGTHS = 1 << 16
"""Rows whose lengths are hashed at a time."""
