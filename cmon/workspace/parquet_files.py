"""What pyarrow reads of a Parquet file: the file itself, or bytes out of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cmon.storage.url_path import UrlPath

_END = 1 << 16
"""Bytes at a file's end that hold its note, nearly always."""


def open_table(path: Path) -> tuple[Any, int]:
    """What pyarrow reads, and its size in bytes. Of a store, all bytes: so they are of one version of the file."""
    if isinstance(path, UrlPath):
        content = path.read_bytes()
        return pa.BufferReader(content), len(content)
    return path, path.stat().st_size


def read_metadata(path: Path) -> pq.FileMetaData:
    """What stands at a file's end: little of it is read. Raises FileNotFoundError, and what pyarrow raises."""
    if not isinstance(path, UrlPath):
        return pq.read_metadata(path)
    end = path.read_tail(_END)
    needed = int.from_bytes(end[-8:-4], "little") + 8
    if len(end) == _END < needed:
        end = path.read_tail(needed)
    return pq.read_metadata(pa.BufferReader(end))
