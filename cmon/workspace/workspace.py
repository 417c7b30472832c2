"""The workspace: where each table lies, and how it is read and written.

Every file that a stage writes carries its *origin*: a hash of everything that its content depends on (content
hashes of the inputs, parameters, schema version). A stage asks `is_fresh(path, origin)` before it works; names and
dates never decide. What is checked when a file is read: `table_files`; whether tables belong together: `provenance`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, cast
from urllib.parse import quote

import pandas as pd
import pyarrow as pa

from cmon.errors import CmonError
from cmon.storage.copies import cache_folder
from cmon.storage.url_path import UrlPath
from cmon.storage.urls import is_url, local_path
from cmon.workspace import schemas
from cmon.workspace.keys import GROUP, epoch_text
from cmon.workspace.lock import WriterLock
from cmon.workspace.table_blocks import AddBlock, write_in_blocks
from cmon.workspace.table_files import checked_stamp, read_noted, read_table, write_table
from cmon.workspace.tables import KINDS, LISTED_IN


class Workspace:
    """A folder of tables that all stages read and write; `frame` gives any of them to a notebook.

    root: a folder, or a URL that fsspec knows.
    Raises CmonError when the folder is a file, or is asked for a table that no stage has made yet.
    """

    def __init__(self, root: str | os.PathLike[str] | UrlPath) -> None:
        self.root = _place(root, self._require_writer)
        fault = _fault(self.root)
        if fault:
            raise CmonError(
                f"{self.root}: cannot be used as the workspace",
                expected="a folder, or a path where one can be made",
                found=fault,
            )
        self.written_bytes = 0
        """Bytes written through this object: the stage's cost."""
        self._counting = Lock()  # files are written by several threads
        self._lock = WriterLock(self.root)

    # -- paths ------------------------------------------------------------------------------------
    def table(self, name: str) -> Path:
        """The file of a table; of one that lies in many files, the file that lists them."""
        return self.root / f"{LISTED_IN.get(name, name)}.parquet"

    def group_file(self, name: str, run: str, layer: str, epoch: float) -> Path:
        """The file of the table `name` for one run, layer and epoch."""
        folders = [quote(part, safe=" ._-") for part in (run, layer)]
        if longest := max((len(one) for one in folders if len(one) > 255), default=0):
            raise CmonError(
                f"the run {run[:40]!r}, layer {layer[:40]!r}: a name too long for a folder",
                expected="at most 255 letters; those that are not of English count three times or more",
                found=f"{longest}",
                hint="give the run a shorter name",
            )
        return self.root.joinpath(name, *folders, f"{epoch_text(epoch)}.parquet")

    def activations(self, run: str, layer: str, epoch: float) -> Path:
        return self.group_file("activations", run, layer, epoch)

    @property
    def cache(self) -> Path:
        """Files that can be deleted at any time and are made again when they are needed."""
        return self.root / "cache"

    @property
    def is_url(self) -> bool:
        """Whether it lies in a store, and not in a folder of this machine."""
        return isinstance(self.root, UrlPath)

    @property
    def local_cache(self) -> Path:
        """The cache, or of a workspace in a store a folder of this machine for what is read again and again."""
        if isinstance(self.root, UrlPath):
            return cache_folder().joinpath("workspaces", self.root.scheme, *self.root.parts)
        return self.cache

    @property
    def report(self) -> Path:
        return self.root / "report"

    # -- reading ----------------------------------------------------------------------------------
    def frame(self, name: str) -> pd.DataFrame:
        """A table by name: 'units', 'concepts', 'layout', ..., or one of the report's, such as 'd_anchor'.

        Raises CmonError for a name that is no table, and for a table that is not there yet.
        """
        if name in KINDS and name != "activations":
            return self.read(name).to_pandas()
        path = self.report / f"{name}.parquet"
        if path.is_file():
            return read_table(path).to_pandas()
        of_report = sorted(found.stem for found in self.report.glob("*.parquet"))
        raise CmonError(
            f"{self.root}: has no table {name!r}",
            expected="one of " + ", ".join([*(name for name in KINDS if name != "activations"), *of_report]),
            found=name,
            hint=f"run `cmon report {self.root}` first for the tables of the report"
            if not of_report
            else None,
        )

    def activation_frame(self, run: str, layer: str, epoch: float) -> pd.DataFrame:
        """Pooled activations (N images, K units) float32, the index `image_id`, of a run's layer at an epoch.

        Raises CmonError when they were not extracted.
        """
        rows = [
            row
            for row in self.read("shards").to_pylist()
            if (row["run"], row["layer"], row["epoch"]) == (run, layer, epoch)
        ]
        if not rows:
            raise CmonError(
                f"{self.activations(run, layer, epoch)}: not there",
                expected="activations that the table 'shards' lists",
                found=f"run {run!r}, layer {layer!r}, epoch {epoch_text(epoch)}",
            )
        table = self.read_group("activations", rows[0])
        return pd.DataFrame(
            schemas.matrix(table["activations"]),
            index=pd.Index(table["image_id"].to_numpy(), name="image_id"),
        )

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The table, as the stage wrote it; of one that lies in many files, all that are listed.

        columns: only these. Raises CmonError when it is not there, or not as it was written.
        """
        if name not in LISTED_IN:
            found = read_table(self._made(name))
            return found if columns is None else found.select(list(columns))
        listed = self.read(LISTED_IN[name]).to_pylist()
        parts = (self.read_group(name, row) for row in listed)
        some = [part if columns is None else part.select(list(columns)) for part in parts]
        empty = KINDS[name].schema.empty_table()
        return pa.concat_tables(some or [empty if columns is None else empty.select(list(columns))])

    def read_group(self, name: str, row: Mapping[str, Any]) -> pa.Table:
        """The file that a row of the table `LISTED_IN[name]` lists. Raises CmonError when it is not that one."""
        path = self.group_file(name, *(row[key] for key in GROUP))
        table, note = read_noted(path) if path.is_file() else (None, {})
        if table is None or note["origin"] != row["origin"]:
            command = KINDS[name].command
            raise CmonError(
                f"{path}: is missing, or not the one that the table {LISTED_IN[name]!r} lists",
                expected=f"the file that `cmon {command}` wrote at last",
                found="none"
                if table is None
                else f"one of another `cmon {command}`, which was stopped or still runs",
                hint=f"run `cmon {command}` again with the same options",
            )
        return table

    def parameters(self, name: str) -> dict[str, Any]:
        """The parameters that the table was made with."""
        return checked_stamp(self._made(name))["parameters"]

    def origin(self, name: str) -> str:
        """The origin of the table: what a later stage's origin is built on."""
        return checked_stamp(self._made(name))["origin"]

    def inputs(self, name: str) -> dict[str, str]:
        """The origins of the tables that the table was made from, by their names."""
        return checked_stamp(self._made(name))["inputs"]

    def _made(self, name: str) -> Path:
        path = self.table(name)
        if not path.is_file():
            stage = KINDS[name].made_by
            raise CmonError(
                f"{path}: not there yet",
                expected=f"the table {path.stem!r}, which `cmon {stage}` writes",
                found="an empty workspace" if not self.root.exists() else "a workspace without it",
                hint=f"run `cmon {stage} {self.root} ...` first",
            )
        return path

    # -- writing ----------------------------------------------------------------------------------
    @contextmanager
    def writing(self, command: str) -> Iterator[None]:
        """Be the only one who writes to the workspace as long as the block lasts; see `WriterLock.held`."""
        with self._lock.held(command):
            yield

    def writing_part(self, command: str, part: str) -> AbstractContextManager[None]:
        """Write to the workspace beside other parts of a command; see `WriterLock.held_by_part`."""
        return self._lock.held_by_part(command, part)

    def _require_writer(self) -> None:
        self._lock.require_held()

    def alone(self, what: str) -> AbstractContextManager[None]:
        """Do something that all parts need, while they wait; see `WriterLock.alone`."""
        return self._lock.alone(what)

    def write(
        self,
        path: Path,
        table: pa.Table,
        origin: str,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        """Write a table of an explicit schema with its origin; it is visible only when whole.

        inputs: the origins of the tables that it was made from, by their names.
        """
        place = PurePosixPath(path.relative_to(self.root).as_posix())
        self._count(write_table(path, place, table, origin, inputs or {}, parameters or {}))

    def writing_blocks(
        self,
        path: Path,
        schema: pa.Schema,
        keys: pa.Array,
        origin: str,
        parameters: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[AddBlock]:
        """Context with a function that adds blocks of rows to a table; see `write_in_blocks` and `write`."""
        place = PurePosixPath(path.relative_to(self.root).as_posix())
        return write_in_blocks(path, place, schema, keys, origin, inputs or {}, parameters or {}, self._count)

    def _count(self, size: int) -> None:
        with self._counting:
            self.written_bytes += size


def _place(given: str | os.PathLike[str] | UrlPath, guard: Callable[[], None]) -> Path:
    """guard: called before anything is written to a store. Raises OptionError for what is no URL."""
    if isinstance(given, UrlPath) or is_url(given):
        return cast(Path, UrlPath(str(given), guard))  # it has what of Path is used
    return local_path(given)


def _fault(root: Path) -> str | None:
    """Why a path is no folder and cannot become one; None if it may."""
    if isinstance(root, UrlPath):
        return "a file" if root.is_file() else None
    try:
        return None if stat.S_ISDIR(os.stat(root).st_mode) else "a file"
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError) as error:  # too long, a loop of links, a zero byte
        return getattr(error, "strerror", None) or str(error)
