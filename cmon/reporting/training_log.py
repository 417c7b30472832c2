"""What a training program logged per epoch, loss, accuracy and the like: read from a CSV file."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cmon.errors import CmonError, nearest_names
from cmon.reporting.log_rows import FORMAT, LogRow, is_nothing, read_rows, to_number
from cmon.workspace.files import file_digest
from cmon.workspace.schemas import RUN, column

logger = logging.getLogger(__name__)

TRAINING = pa.schema(
    [
        RUN,
        column("epoch", pa.float64(), "as the file given by `--metrics` has it"),
        column(
            "metric",
            pa.string(),
            "a numeric column of that file, with what tells its rows apart: `loss (val)`",
        ),
        column("value", pa.float64(), "the last one that the file has for the epoch"),
    ]
)
_EPOCH = re.compile(
    r"(?:epoch|ep|e)?[\s_:=#(\[-]*([0-9]+(?:\.[0-9]+)?)(?:\s*(?:/|of)\s*[0-9]+)?[)\]]?", re.IGNORECASE
)
"""An epoch as text: '3/90', 'Epoch 3', '[3/90]'."""
_METRIC_NAMES = {"metric", "name", "tag", "key"}
_LABELS = {*_METRIC_NAMES, "split", "phase", "subset", "stage", "mode", "set", "dataset", "partition"}
"""Columns that say what a row's numbers are of."""
_IDENTITIES = {"run", "run_id", "run_name", "experiment", "seed", "fold", "trial", "rank", "worker"}
"""Columns that say whose a row's numbers are: rows of several have no one curve."""
_SEED = "seed"
"""A number that is never a metric."""

_MOST = 1e100
"""A larger value is that of a training that broke; the range of its curve would be no number any more."""
_MOST_EPOCH = 1e9

Cells = list[tuple[float, LogRow]]
"""Rows in the file's order, with their epochs."""


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
            expected=FORMAT.content,
            found=error.strerror or str(error),
        ) from error


def read(path: Path, run: str) -> pd.DataFrame:
    """The numeric columns of a CSV file with a column `epoch`, as rows of `run, epoch, metric, value`.

    Several rows of an epoch (Lightning logs training and validation apart, or by steps) count as one: the last
    value of each column. Rows that differ in a column such as `phase` or `metric` are metrics of their own. Where a
    log goes back to an epoch that it had before, what followed then is of a training that was given up, and is left
    out. Cells that are empty, infinite or beyond 1e100 give no row; columns that are not numeric are left out, and
    the seed. Names of columns are compared without regard to case and to spaces around them.

    Raises CmonError if the file cannot be read, has no epochs or no numbers, or a line is not clear.
    """
    rows = read_rows(path)
    cells = _with_epochs(path, rows)
    names = list(dict.fromkeys(name for row in rows for name in row.cells if name != "epoch"))
    texts = [
        name for name in names if not any(to_number(row.cells.get(name, "")) is not None for row in rows)
    ]
    metrics = [
        name
        for name in names
        if name not in texts and name.casefold() != _SEED and _is_numeric(path, name, rows)
    ]
    _refuse_several(path, cells, [name for name in names if name.casefold() in _IDENTITIES], metrics)
    found: dict[str, dict[float, float]] = {}
    last: dict[str, float] = {}
    back: dict[int, float] = {}
    for metric in metrics:
        own = [(epoch, row) for epoch, row in cells if not is_nothing(row.cells.get(metric, ""))]
        labels = [name for name in texts if _tells_apart(name, metric, own)]
        for epoch, row in own:
            title = _title(metric, {name: row.cells.get(name, "") for name in labels})
            found.setdefault(title, {})
            if last.get(title, epoch) > epoch and _drop_later(found[title], epoch):
                back[row.line] = epoch
            last[title] = epoch
            _put(found[title], epoch, to_number(row.cells[metric]))
    _warn_of_infinite(path, metrics, cells)
    if back:
        logger.warning(
            "%s: in line %d the log goes back to epoch %g: what it gave before for later epochs is left out",
            path,
            *min(back.items()),
        )
    if not any(found.values()):
        raise CmonError(
            f"{path}: nothing to draw",
            expected="numbers in the column epoch and in at least one other",
            found=f"{len(rows)} rows with the columns {', '.join(['epoch', *names])}",
        )
    values = [
        (run, epoch, metric, value) for metric, own in found.items() for epoch, value in sorted(own.items())
    ]
    return pd.DataFrame(values, columns=TRAINING.names)


def _with_epochs(path: Path, rows: Iterable[LogRow]) -> Cells:
    """The rows that have an epoch. Raises CmonError for one whose epoch is no number."""
    found: Cells = []
    without: list[LogRow] = []
    for row in rows:
        cell = row.cells.get("epoch", "")
        if is_nothing(cell):
            without.append(row)
            continue
        epoch = to_number(cell)
        if epoch is None and (text := _EPOCH.fullmatch(cell)):
            epoch = float(text.group(1))
        if epoch is None or not abs(epoch) <= _MOST_EPOCH:
            raise CmonError(
                f"{path}, line {row.line}: its epoch is no number", expected=FORMAT.content, found=repr(cell)
            )
        found.append((epoch, row))
    if without and found:
        logger.warning(
            "%s: rows without an epoch are left out: %d, the first in line %d",
            path,
            len(without),
            without[0].line,
        )
    return found


def _is_numeric(path: Path, name: str, rows: Iterable[LogRow]) -> bool:
    """Whether all cells that are not empty are numbers; says which is not."""
    for row in rows:
        cell = row.cells.get(name, "")
        if not is_nothing(cell) and to_number(cell) is None:
            logger.warning(
                "%s: the column %s is left out: in line %d it has %r, which is no number",
                path,
                name,
                row.line,
                cell,
            )
            return False
    return True


def _refuse_several(path: Path, cells: Cells, identities: Sequence[str], metrics: Sequence[str]) -> None:
    """Raise CmonError where two runs, seeds or the like give the same metric for the same epoch."""
    for name in identities:
        for metric in metrics:
            whose: dict[float, str] = {}
            for epoch, row in cells:
                if metric == name or is_nothing(row.cells.get(metric, "")):
                    continue
                own = row.cells.get(name, "")
                if whose.setdefault(epoch, own) != own:
                    raise CmonError(
                        f"{path}, line {row.line}: gives {metric} of epoch {epoch:g} again, of another {name}",
                        expected="a file of one training run",
                        found=f"{name} {whose[epoch]!r} and {own!r}",
                        hint="split the file, and give each run its own: --metrics RUN=FILE",
                    )


def _tells_apart(name: str, metric: str, cells: Cells) -> bool:
    """Whether a column of text says what a metric's values are of: rows of one epoch differ in it and in the value.

    A column of another name than the usual ones (a time, a host) must have the same words at several epochs.
    """
    epochs: dict[str, set[float]] = {}
    seen: dict[float, tuple[str, str]] = {}
    differ = False
    for epoch, row in cells:
        own = row.cells.get(name, ""), row.cells[metric]
        label, value = seen.setdefault(epoch, own)
        differ = differ or (label != own[0] and value != own[1])
        epochs.setdefault(own[0], set()).add(epoch)
    return differ and (name.casefold() in _LABELS or all(len(some) > 1 for some in epochs.values()))


def _title(metric: str, labels: Mapping[str, str]) -> str:
    """'loss', 'loss (val)' where a column tells rows apart; the label alone where the file is a list of metrics."""
    named = next((name for name in labels if name.casefold() in _METRIC_NAMES), None)
    if named is not None and metric.casefold() == "value":
        metric = labels[named]
        labels = {name: label for name, label in labels.items() if name != named}
    said = ", ".join(label for label in labels.values() if label)
    return f"{metric} ({said})" if said else metric


def _drop_later(values: dict[float, float], epoch: float) -> bool:
    """Remove what follows an epoch that is there already, and comes again: whether anything did.

    Rows in another order, the last epoch first, never come back to an epoch.
    """
    later = [other for other in values if other > epoch] if epoch in values else []
    for other in later:
        del values[other]
    return bool(later)


def _put(values: dict[float, float], epoch: float, value: float | None) -> None:
    if value is None or not abs(value) <= _MOST:
        values.pop(epoch, None)
    else:
        values[epoch] = value


def _warn_of_infinite(path: Path, metrics: Sequence[str], cells: Cells) -> None:
    lines = [
        (row.line, name)
        for _, row in cells
        for name in metrics
        if abs(to_number(row.cells.get(name, "")) or 0) > _MOST
    ]
    if lines:
        logger.warning(
            "%s: infinite and immense values are left out: %d, the first in line %d, column %s",
            path,
            len(lines),
            *lines[0],
        )
