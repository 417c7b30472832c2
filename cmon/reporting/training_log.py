"""What a training program logged per epoch, loss, accuracy and the like: read from a CSV file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cmon import text_files
from cmon.errors import CmonError, nearest_names
from cmon.workspace.files import file_digest
from cmon.workspace.schemas import RUN, column

_FORMAT = text_files.Format(
    "a training log", "a CSV file with the column epoch and one column for each metric"
)

TRAINING = pa.schema(
    [
        RUN,
        column("epoch", pa.float64(), "as the file given by `--metrics` has it"),
        column("metric", pa.string(), "a numeric column of that file"),
        column("value", pa.float64(), "the last one that the file has for the epoch"),
    ]
)


def read_all(metrics: Sequence[tuple[str, Path]], runs: Sequence[str]) -> pd.DataFrame:
    """TRAINING of all files, given as (run, file); raises CmonError for a run that is not among `runs`, too."""
    for run, path in metrics:
        if run not in runs:
            raise CmonError(
                f"--metrics {run}={path}: the workspace has no run {run!r}",
                expected="one of " + ", ".join(runs),
                found=run,
                hint=nearest_names(run, runs),
            )
    found = [read(path, run) for run, path in metrics]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=TRAINING.names)


def content_digest(path: Path) -> str:
    """Hex SHA-256 of the file's bytes; raises CmonError if it cannot be read."""
    try:
        return file_digest(path)
    except OSError as error:
        raise CmonError(
            f"--metrics {path}: cannot be read",
            expected=_FORMAT.content,
            found=error.strerror or str(error),
        ) from error


def read(path: Path, run: str) -> pd.DataFrame:
    """The numeric columns of a CSV file with a column `epoch`, as rows of `run, epoch, metric, value`.

    Several rows of an epoch (Lightning logs training and validation apart, or by steps) count as one: the last
    value of each column. Cells that are empty give no row, columns that are not numeric are left out. Names of
    columns are compared without regard to case and to spaces around them.

    Raises CmonError if the file cannot be read, or has no epochs or no numbers.
    """
    text = text_files.read_text(path, _FORMAT)
    delimiter = text_files.find_delimiter(text_files.header(text), "epoch") or ","
    try:
        table = pd.read_csv(io.StringIO(text), sep=delimiter, skipinitialspace=True)
    except (ValueError, pd.errors.ParserError) as error:
        raise CmonError(
            f"{path}: cannot be read as {_FORMAT.name}",
            expected=_FORMAT.content,
            found=str(error).splitlines()[0],
            hint="give the file that your training program logs to: --metrics RUN=FILE",
        ) from error
    table.columns = [str(name).strip() for name in table.columns]
    epochs = [name for name in table.columns if name.casefold() == "epoch"]
    if not epochs:
        raise CmonError(
            f"{path}: has no column epoch",
            expected="the columns epoch and one for each metric, such as loss and accuracy",
            found=", ".join(table.columns) or "no columns",
        )
    table = table.rename(columns={epochs[0]: "epoch"})
    table["epoch"] = pd.to_numeric(table["epoch"], errors="coerce").astype(float)
    metrics = [name for name in table.columns if name != "epoch" and _is_numeric(table[name])]
    if table["epoch"].isna().all() or not metrics:
        raise CmonError(
            f"{path}: nothing to draw",
            expected="numbers in the column epoch and in at least one other",
            found=f"{len(table)} rows with the columns {', '.join(table.columns)}",
        )
    last = table.dropna(subset=["epoch"]).groupby("epoch")[metrics].last()
    rows = last.reset_index().melt("epoch", var_name="metric", value_name="value").dropna()
    return rows.assign(run=run)[TRAINING.names].reset_index(drop=True)


def _is_numeric(column: pd.Series) -> bool:
    kind = pd.api.types
    return bool(kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column) and column.notna().any())
