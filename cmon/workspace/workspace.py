"""The workspace: where each table lies, and the rule that a visible file is a whole, fresh file.

Every file that a stage writes carries its *origin*: a hash of everything that its content depends on (content
hashes of the inputs, parameters, schema version). A stage asks `is_fresh(path, origin)` before it works; names and
dates never decide.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import cmon
from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.files import atomic_write
from cmon.workspace.keys import epoch_text

_METADATA = b"cmon"
_MADE_BY = {
    "checkpoints": "extract",
    "images": "extract",
    "shards": "extract",
    "units": "score",
    "concepts": "score",
    "vocabulary": "score",
    "detections": "score --truth",
    "agreement": "score --truth",
    "layout": "embed",
    "fidelity": "embed",
    "costs": "extract",
}
"""The tables of a workspace, and the command that writes each."""


class Workspace:
    """A folder of tables that all stages read and write; `frame` gives any of them to a notebook.

    Raises CmonError when the folder is a file, or is asked for a table that no stage has made yet.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise CmonError(
                f"{self.root}: cannot be used as the workspace",
                expected="a folder, or a path where one can be made",
                found="a file",
            )
        self.written_bytes = 0
        """Bytes written through this object: the stage's cost."""

    # -- paths ------------------------------------------------------------------------------------
    def table(self, name: str) -> Path:
        return self.root / f"{name}.parquet"

    def activations(self, run: str, layer: str, epoch: float) -> Path:
        folders = (quote(part, safe=" ._-") for part in (run, layer))
        return self.root.joinpath("activations", *folders, f"{epoch_text(epoch)}.parquet")

    @property
    def cache(self) -> Path:
        """Files that can be deleted at any time and are made again when they are needed."""
        return self.root / "cache"

    @property
    def report(self) -> Path:
        return self.root / "report"

    # -- reading ----------------------------------------------------------------------------------
    def frame(self, name: str) -> pd.DataFrame:
        """A table by name: 'units', 'concepts', 'layout', ..., or one of the report's, such as 'd_anchor'.

        Raises CmonError for a name that is no table, and for a table that is not there yet.
        """
        if name in _MADE_BY:
            return self.read(name).to_pandas()
        path = self.report / f"{name}.parquet"
        if path.is_file():
            return read_table(path).to_pandas()
        of_report = sorted(found.stem for found in self.report.glob("*.parquet"))
        raise CmonError(
            f"{self.root}: has no table {name!r}",
            expected="one of " + ", ".join([*_MADE_BY, *of_report]),
            found=name,
            hint=f"run `cmon report {self.root}` first for the tables of the report"
            if not of_report
            else None,
        )

    def activation_frame(self, run: str, layer: str, epoch: float) -> pd.DataFrame:
        """Pooled activations (N images, K units) float32, the index `image_id`, of a run's layer at an epoch.

        Raises CmonError when they were not extracted.
        """
        path = self.activations(run, layer, epoch)
        if not path.is_file():
            raise CmonError(
                f"{path}: not there",
                expected="activations that the table 'shards' lists",
                found=f"run {run!r}, layer {layer!r}, epoch {epoch_text(epoch)}",
            )
        table = read_table(path)
        return pd.DataFrame(
            schemas.matrix(table["activations"]),
            index=pd.Index(table["image_id"].to_numpy(), name="image_id"),
        )

    def read(self, name: str) -> pa.Table:
        """The table, as the stage wrote it."""
        return read_table(self._made(name))

    def _stamp(self, name: str) -> dict[str, Any]:
        path = self._made(name)
        found = stamp(path)
        if found.get("schema_version") != schemas.VERSION:
            raise CmonError(
                f"{path}: was written by another version of cmon",
                expected=f"schema version {schemas.VERSION}",
                found=str(found.get("schema_version", "no version")),
                hint=f"run `cmon {_MADE_BY[name]}` again",
            )
        return found

    def _made(self, name: str) -> Path:
        path = self.table(name)
        if not path.is_file():
            stage = _MADE_BY[name]
            raise CmonError(
                f"{path}: not there yet",
                expected=f"the table {name!r}, which `cmon {stage}` writes",
                found="an empty workspace" if not self.root.exists() else "a workspace without it",
                hint=f"run `cmon {stage} {self.root} ...` first",
            )
        return path

    def parameters(self, name: str) -> dict[str, Any]:
        """The parameters that the table was made with."""
        return self._stamp(name)["parameters"]

    def origin(self, name: str) -> str:
        """The origin of the table: what a later stage's origin is built on."""
        return self._stamp(name)["origin"]

    # -- writing ----------------------------------------------------------------------------------
    def write(
        self, path: Path, table: pa.Table, origin: str, parameters: Mapping[str, Any] | None = None
    ) -> None:
        """Write a table of an explicit schema with its origin; it is visible only when whole."""
        note = {
            "schema_version": schemas.VERSION,
            "cmon_version": cmon.__version__,
            "origin": origin,
            "parameters": dict(parameters or {}),
        }
        table = table.replace_schema_metadata({_METADATA: json.dumps(note, default=str).encode()})
        with atomic_write(path) as aside:
            pq.write_table(table, aside, compression="zstd")
            rows = pq.read_metadata(aside).num_rows
            if rows != table.num_rows:  # a full disk has been seen to cut files without an error
                raise CmonError(
                    f"{path}: could not be written whole", expected=f"{table.num_rows} rows", found=f"{rows}"
                )
            self.written_bytes += aside.stat().st_size


def read_table(path: Path) -> pa.Table:
    """Read one Parquet file; a damaged file is a CmonError that says to delete it."""
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        raise CmonError(
            f"{path}: cannot be read",
            expected="a Parquet file that cmon wrote",
            found=str(error).splitlines()[0],
            hint="delete the file and run the stage again",
        ) from error


def stamp(path: Path) -> dict[str, Any]:
    """The note that `Workspace.write` left in a file; empty if the file is absent or not cmon's."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError):
        return {}
    return json.loads(metadata.get(_METADATA, b"{}"))


def is_fresh(path: Path, origin: str) -> bool:
    """Whether the file is there and was made from exactly what `origin` stands for."""
    return stamp(path).get("origin") == origin
