"""Vectors by key in a folder of part files, to which parts are only added: what is written stays, whatever ends it.

A part is one Parquet file of some hundred rows, visible only when whole. It is written as soon as its rows are there,
so that a process that is killed loses no more than the part that it was at. Many small parts are merged: the merged
ones are visible before the first is removed, so that neither a kill nor another process can lose a row, and a reader
that finds a part gone lists the folder again.

A part is checked when it is read. One that is damaged, or that holds another vector of a key than another part does, is
removed with a warning, and its rows are made again.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.parquet_files import read_metadata
from cmon.workspace.table_files import read_noted
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

PART_ROWS = 512
"""A part is written when it has so many rows: a minute's work of a large CLIP without a GPU. A multiple of all usual
batch sizes, so that an encoding that goes on makes the batches that it would have made undisturbed."""
MOST_SMALL = 16
"""More parts than this of less than half of `PART_ROWS` are merged."""
_LENGTH_TOLERANCE = 1e-3
"""How far a vector's length may be from 1."""
_SAME = 0.1
"""Two vectors of one key no further apart are the same but for rounding: bfloat16 in batches of another size stays far
below it, vectors of two different images or texts far above."""
_TRIES = 20
"""Listings of a folder in which another process merges all the time, before giving up."""


@dataclass(frozen=True)
class Known:
    """What all parts hold, each key once."""

    table: pa.Table | None
    """None if there is nothing."""
    index: pd.Index
    """The keys, in the table's order."""

    @property
    def width(self) -> int | None:
        """Numbers in a vector; None if there is none."""
        return None if self.table is None else self.table.schema.field("vector").type.list_size

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that have no vector, each once, in their order."""
        unique = pd.Index(list(dict.fromkeys(keys)), dtype=object)
        return list(unique[self.index.get_indexer(unique) < 0])

    def rows(self, keys: Sequence[str]) -> pa.Table:
        """The rows of the keys, in their order. Raises KeyError when one is missing."""
        places = self.index.get_indexer(pd.Index(list(keys), dtype=object))
        if self.table is None or (places < 0).any():
            raise KeyError("a key has no vector")
        return self.table.take(pa.array(places))


class Parts:
    """The part files of one folder. Their schema's first column is the key, a text; the last is `vector`."""

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        schema: Callable[[int], pa.Schema],
        origin: str,
        parameters: Mapping[str, Any],
    ) -> None:
        """schema: of vectors of a width. origin: a hash of all that the vector of a key depends on."""
        self.workspace, self.folder, self.schema = workspace, folder, schema
        self.origin, self.parameters = origin, parameters
        self._key = schema(0).names[0]

    def read(self) -> Known:
        """What is known. Warns of parts that cannot be used, and removes them."""
        parts = self._agreeing(self._all_sound())
        if not parts:
            return Known(None, pd.Index([], dtype=object))
        table = pa.concat_tables(parts.values())
        keys = pd.Index(table[self._key].to_pylist(), dtype=object)
        first = ~keys.duplicated()
        return Known(table.filter(pa.array(first)), keys[first])

    def width(self) -> int | None:
        """Numbers in a vector, off the first sound part; None if there is none."""
        for path in self._paths():
            with suppress(FileNotFoundError):
                if (table := self._read_part(path)) is not None:
                    return table.schema.field("vector").type.list_size
        return None

    @contextmanager
    def growing(self) -> Iterator[Callable[[pa.Table], None]]:
        """Gives a function that takes new rows, which become visible by the part; the last of them however it ends."""
        waiting: list[pa.Table] = []

        def add(rows: pa.Table) -> None:
            waiting.append(rows)
            if sum(some.num_rows for some in waiting) >= PART_ROWS:
                self._write(pa.concat_tables(waiting))
                waiting.clear()

        try:
            yield add
        finally:
            if waiting:
                self._write(pa.concat_tables(waiting))
        self._merge_small()

    def _write(self, rows: pa.Table) -> None:
        # A name of its own, never an earlier one's: so what is merged and then removed cannot be the merged part of
        # another process.
        path = self.folder / f"{uuid.uuid4().hex}.parquet"
        self.workspace.write(path, rows, self.origin, self.parameters)

    def _merge_small(self) -> None:
        try:
            small = [path for path in self._paths() if _count_rows(path) < PART_ROWS // 2]
            if len(small) <= MOST_SMALL:
                return
            parts = self._agreeing(self._sound(small))
        except FileNotFoundError:  # another process merges
            return
        if not parts:
            return
        table = pa.concat_tables(parts.values())
        table = table.filter(pa.array(~pd.Index(table[self._key].to_pylist(), dtype=object).duplicated()))
        for start in range(0, table.num_rows, PART_ROWS):
            self._write(table.slice(start, PART_ROWS))
        for path in parts:
            _remove(path)

    def _all_sound(self) -> dict[Path, pa.Table]:
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):  # merged by another process since it was listed
                return self._sound(self._paths())
        raise CmonError(
            f"{self.folder}: cannot be read, since its files change all the time",
            hint="run the command again when no other process writes there",
        )

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))

    def _sound(self, paths: Sequence[Path]) -> dict[Path, pa.Table]:
        """The parts that are as they were written. Raises FileNotFoundError when one is gone."""
        read = {path: self._read_part(path) for path in paths}
        return {path: table for path, table in read.items() if table is not None}

    def _read_part(self, path: Path) -> pa.Table | None:
        """None, with a warning, if it cannot be used. Raises FileNotFoundError when it is gone."""
        try:
            table, note = read_noted(path)
            fault = self._fault(table, note["origin"])
        except CmonError as error:
            cause = error.__cause__
            if isinstance(cause, FileNotFoundError):
                raise cause from None
            if (
                isinstance(cause, OSError) and cause.errno is not None
            ):  # the disk's or its rights', not the file's
                raise
            fault = error.problem.removeprefix(f"{path}: ") + (f" ({error.found})" if error.found else "")
        if fault is None:
            return table
        if not path.exists():
            raise FileNotFoundError(path)
        self._drop(path, fault)
        return None

    def _fault(self, table: pa.Table, origin: str | None) -> str | None:
        """Why a part cannot be used; None if it can."""
        kind = table.schema.types[-1] if table.num_columns else pa.null()
        if not (pa.types.is_fixed_size_list(kind) and table.schema.equals(self.schema(kind.list_size))):
            return f"holds other columns than {', '.join(self.schema(0).names)}"
        if origin != self.origin:
            return "holds vectors of another model"
        required = [field.name for field in table.schema if not field.nullable]
        if (
            any(table[name].null_count for name in required)
            or table["vector"].combine_chunks().flatten().null_count
        ):
            return "holds empty cells"
        if len(table[self._key].unique()) < table.num_rows:
            return "holds a key twice"
        vectors = schemas.matrix(table["vector"])
        lengths = np.linalg.norm(vectors, axis=1)
        if not (np.abs(lengths - 1) <= _LENGTH_TOLERANCE).all():  # also where a number is not finite
            return "holds vectors that are not of length 1"
        return None

    def _agreeing(self, parts: dict[Path, pa.Table]) -> dict[Path, pa.Table]:
        """The parts without those that contradict each other: which of them is right cannot be told."""
        widths = {table.schema.field("vector").type.list_size for table in parts.values()}
        if len(widths) > 1:
            for path in parts:
                self._drop(path, "holds vectors of another number of dimensions than a file beside it")
            return {}
        while contradicting := self._contradicting(parts):
            for path in sorted(contradicting):
                self._drop(path, "holds another vector of the same key than a file beside it")
            parts = {path: table for path, table in parts.items() if path not in contradicting}
        return parts

    def _contradicting(self, parts: dict[Path, pa.Table]) -> set[Path]:
        if len(parts) < 2:
            return set()
        keys = [key for table in parts.values() for key in table[self._key].to_pylist()]
        codes, _ = pd.factorize(np.array(keys, object))
        again = np.flatnonzero(pd.Index(codes).duplicated())
        if not len(again):
            return set()
        order = np.unique(codes, return_index=True)[1]  # of each code, the first row
        first = order[codes[again]]
        vectors = np.concatenate([schemas.matrix(table["vector"]) for table in parts.values()])
        apart = np.linalg.norm(vectors[again] - vectors[first], axis=1) > _SAME
        owner = np.repeat(np.arange(len(parts)), [table.num_rows for table in parts.values()])
        paths = list(parts)
        return {paths[number] for number in owner[np.concatenate([again[apart], first[apart]])]}

    def _drop(self, path: Path, fault: str) -> None:
        logger.warning("%s: %s; it is removed, and what it held is made again", path, fault)
        _remove(path)


def _count_rows(path: Path) -> int:
    """0 of a damaged one. Raises FileNotFoundError when it is gone."""
    try:
        return read_metadata(path).num_rows
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError):
        return 0


def _remove(path: Path) -> None:
    with suppress(OSError):  # another process was faster, or it is on a read-only disk
        path.unlink()
