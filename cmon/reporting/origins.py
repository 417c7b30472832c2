"""What a file of the report is made from, as a hash: equal contents, equal origin."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

import cmon

DRAWN_WITH = ("matplotlib", "bokeh", "pillow")
"""Another version of these may draw the same numbers in another way."""


def made_with() -> list[str]:
    """The versions of cmon and of what it draws with."""
    return [cmon.__version__, *map(version, DRAWN_WITH)]


class _Hash(Protocol):
    def update(self, data: Any, /) -> None: ...


def origin(*parts: Any) -> str:
    """Hex SHA-256 of the parts and of the program that makes something of them.

    parts: text, numbers, None, DataFrames, arrays, dataclasses, and mappings and sequences of such. Two DataFrames are
    equal if they have the same columns of the same types with the same values in one order; their index does not
    count. Raises TypeError for anything else.
    """
    found = hashlib.sha256()
    _add(found, made_with())
    for part in parts:
        _add(found, part)
    return found.hexdigest()


def _add(found: _Hash, part: Any) -> None:
    """Each part with its kind and length in front, so that two lists of parts are never taken for each other."""
    if part is None or isinstance(part, (str, bool, int, float)):
        text = json.dumps(part).encode()
        found.update(b"value %d " % len(text) + text)
    elif isinstance(part, pd.DataFrame):
        sink = pa.BufferOutputStream()
        # Without the metadata, in which pandas notes its version.
        table = pa.Table.from_pandas(part, preserve_index=False).replace_schema_metadata(None)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        content = sink.getvalue()
        found.update(b"frame %d " % content.size)
        found.update(content)
    elif isinstance(part, np.ndarray):
        found.update(f"array {part.dtype.str} {part.shape} ".encode())
        found.update(np.ascontiguousarray(part).data)
    elif isinstance(part, np.generic):
        _add(found, part.item())
    elif isinstance(part, bytes):
        found.update(b"bytes %d " % len(part) + part)
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        _add(found, {field.name: getattr(part, field.name) for field in dataclasses.fields(part)})
    elif isinstance(part, Mapping):
        found.update(b"mapping %d " % len(part))
        for name, value in part.items():
            _add(found, name)
            _add(found, value)
    elif isinstance(part, Sequence):
        found.update(b"sequence %d " % len(part))
        for value in part:
            _add(found, value)
    else:
        raise TypeError(f"no origin for {type(part).__name__}")
