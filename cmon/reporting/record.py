"""The report's own list of its files: what each was made from, and what was in it when it was written.

By it a report makes only what changed: a file is kept if it was made from the same, and is still as it was written.
The list is kept up to date while a report is made, without an origin of its own; it gets one at the end. So a report
that was interrupted is told from a whole one, and what it finished is not made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from cmon.errors import CmonError
from cmon.reporting.output import write_bytes
from cmon.workspace.files import file_digest
from cmon.workspace.schemas import column
from cmon.workspace.table_files import read_noted
from cmon.workspace.workspace import Workspace

FILES = pa.schema(
    [
        column("file", pa.string(), "path in the workspace"),
        column("origin", pa.string(), "hash of what the file shows and of how it is drawn"),
        column("sha256", pa.string(), "of the file's bytes"),
    ]
)
_UNFINISHED = "unfinished"


class Record:
    """The list of a workspace's report; a damaged one counts as none, and then everything is made again."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._path = workspace.report / "files.parquet"
        self._rows: dict[str, tuple[str, str]] = {}
        self.made = 0
        """Files that were written through this object."""
        try:
            table, note = read_noted(self._path)
            self._rows = {row["file"]: (row["origin"], row["sha256"]) for row in table.to_pylist()}
            self.origin = str(note["origin"])
            """What the whole report was made from, or that it was not finished."""
        except (CmonError, KeyError):
            self.origin = _UNFINISHED

    def has(self, path: Path, origin: str) -> bool:
        """Whether the file was made from what `origin` stands for, and is as it was written."""
        return self._rows.get(self._name(path), ("",))[0] == origin and self.is_intact(path)

    def is_intact(self, path: Path) -> bool:
        """Whether the file is there as it was written."""
        known = self._rows.get(self._name(path))
        return known is not None and path.is_file() and file_digest(path) == known[1]

    def write(self, path: Path, content: bytes, origin: str) -> None:
        """Write a whole file."""
        write_bytes(self._workspace, path, content)
        self._rows[self._name(path)] = origin, hashlib.sha256(content).hexdigest()
        self.made += 1

    def write_table(self, path: Path, table: pa.Table, origin: str) -> None:
        """Write a Parquet file of the workspace's form."""
        self._workspace.write(path, table, origin)
        self._rows[self._name(path)] = origin, file_digest(path)
        self.made += 1

    def save(self) -> None:
        """Keep what was written so far, in case that the rest is not."""
        self._write(_UNFINISHED)

    def finish(self, files: Iterable[Path], origin: str) -> None:
        """The report is whole: it has these files, and was made from what `origin` stands for."""
        names = set(map(self._name, files))
        self._rows = {name: row for name, row in self._rows.items() if name in names}
        self._write(origin)

    def _write(self, origin: str) -> None:
        rows = [
            {"file": name, "origin": row[0], "sha256": row[1]} for name, row in sorted(self._rows.items())
        ]
        self._workspace.write(self._path, pa.Table.from_pylist(rows, schema=FILES), origin)
        self.origin = origin

    def _name(self, path: Path) -> str:
        return path.relative_to(self._workspace.root).as_posix()
