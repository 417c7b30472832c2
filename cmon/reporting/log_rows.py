"""The rows of a training log in CSV, cell by cell: nothing is shifted, and what is not clear is refused by its line.

Logs are not as tidy as tables. Headers are padded and come again after a resume, perhaps with other columns; rows end
in a comma; Excel writes semicolons and decimal commas; a program that was stopped leaves half a line.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from cmon import text_files
from cmon.errors import CmonError

logger = logging.getLogger(__name__)

FORMAT = text_files.Format(
    "a training log", "a CSV file with the column epoch and one column for each metric"
)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_NOTHING = {"", "nan", "-nan", "na", "n/a", "none", "null", "-", "--"}


@dataclass(frozen=True)
class LogRow:
    """A row below a header."""

    line: int
    """In the file, from 1."""
    cells: dict[str, str]
    """By the column's name, stripped; columns without a name are left out."""


def read_rows(path: Path) -> list[LogRow]:
    """The rows of the file, each by the header above it.

    Raises CmonError where the file is no CSV with a column epoch, or a row does not fit its header.
    """
    text = text_files.read_text(path, FORMAT)
    if not text.strip():
        raise _refused(path, "is empty", "no line")
    lines = list(text_files.split_lines(text))
    start = _header_line(path, lines)
    head = lines[start].lstrip().removeprefix("#")
    delimiter = text_files.find_delimiter(head.strip(), "epoch")
    below = ["\n" if line.lstrip().startswith("#") else line for line in lines[start + 1 :]]
    reader = csv.reader(
        io.StringIO("".join(["\n" * start, head, *below]), newline=""),
        delimiter=delimiter or ",",
        skipinitialspace=True,
        strict=True,
    )
    columns: list[str] = []
    rows: list[LogRow] = []
    try:
        for raw in reader:
            cells = [cell.strip() for cell in raw]
            line = reader.line_num
            if not any(cells):
                continue
            if not columns or _is_header(cells):
                columns = _without_empty_end(cells)
            elif line == len(lines) and not text.endswith(("\n", "\r")) and len(cells) < len(columns):
                # The program was stopped while it wrote; the last number may be half of one.
                logger.warning(
                    "%s: the last line is not whole, and is left out: %s", path, ",".join(raw)[:80]
                )
            else:
                rows.append(LogRow(line, _by_name(path, line, cells, columns)))
    except csv.Error as error:
        raise _refused(
            path,
            f"line {reader.line_num}: cannot be read as CSV",
            str(error),
            hint='look for a double quote that is not closed; within quotes, a quote is written ""',
        ) from error
    _require_one_decimal_mark(path, rows, delimiter or ",")
    return rows


def to_number(cell: str) -> float | None:
    """A cell's number, infinities too; None for one that is no number. Empty cells and NaN are to be left out before.

    >>> to_number("1e-3"), to_number("1,5"), to_number("12 GB")
    (0.001, 1.5, None)
    """
    if _NUMBER.fullmatch(cell):
        return float(cell)
    if _DECIMAL_COMMA.fullmatch(cell):
        return float(cell.replace(",", "."))
    return float(cell) if _INFINITE.fullmatch(cell) else None


def is_nothing(cell: str) -> bool:
    return cell.casefold() in _NOTHING


def _header_line(path: Path, lines: list[str]) -> int:
    """The first line that is no comment; a comment that names the epoch counts, if no other line does."""
    commented = None
    for number, line in enumerate(lines):
        bare = line.strip()
        names_epoch = text_files.find_delimiter(bare.lstrip("# "), "epoch") is not None
        if bare.startswith("#"):
            commented = number if names_epoch else commented
        elif bare and not re.fullmatch(r"sep=.", bare, re.IGNORECASE):  # which Excel writes
            if names_epoch:
                return number
            if commented is not None:
                return commented
            raise CmonError(
                f"{path}: has no column epoch",
                expected="the columns epoch and one for each metric, such as loss and accuracy",
                found=f"line {number + 1}: {bare[:100]}",
            )
    raise _refused(path, "has no column epoch", "comments only")


def _is_header(cells: list[str]) -> bool:
    """Whether it is a header that comes again: it names the epoch, and no cell is a number."""
    return any(cell.casefold() == "epoch" for cell in cells) and all(
        to_number(cell) is None for cell in cells
    )


def _without_empty_end(cells: list[str]) -> list[str]:
    """Without the empty cells that commas at the end of a line make."""
    return cells[: max(position for position, cell in enumerate(cells, 1) if cell)]


def _by_name(path: Path, line: int, cells: list[str], columns: list[str]) -> dict[str, str]:
    """The cells by their columns' names. Of columns without a name only the first is one: pandas' row numbers."""
    nameless = any(cell and not name for name, cell in zip(columns[1:], cells[1:], strict=False))
    if nameless or any(cells[len(columns) :]) or len(cells) < len(columns):
        raise _refused(
            path,
            f"line {line}: does not fit the header",
            f"{len(cells)} cells: {', '.join(cells)}"[:200],
            expected=f"{len(columns)} cells: {', '.join(columns)}"[:200],
            hint="correct or remove the line, since it is not clear which cell is of which column; a number with a "
            "decimal comma stands in double quotes",
        )
    found: dict[str, str] = {}
    for name, cell in zip(columns, cells, strict=False):
        if not name:
            continue
        key = "epoch" if name.casefold() == "epoch" else name
        if key in found and cell != found[key] and to_number(cell) != to_number(found[key]):
            raise _refused(
                path,
                f"line {line}: two columns are called {key!r}, and differ",
                f"{found[key]!r} and {cell!r}",
                expected="one column of each name",
                hint="rename or remove one of them",
            )
        found[key] = cell
    return found


def _require_one_decimal_mark(path: Path, rows: list[LogRow], delimiter: str) -> None:
    """Refuse numbers whose comma may stand for thousands as well as for decimals."""
    point: LogRow | None = None
    comma: LogRow | None = None
    for row in rows:
        for name, cell in row.cells.items():
            if _THOUSANDS.fullmatch(cell) and (delimiter != ";" or cell.count(",") > 1):
                raise _refused(
                    path,
                    f"line {row.line}, column {name}: a comma that may be for thousands or for decimals",
                    cell,
                    hint="write the number with a decimal point, and without a mark for thousands",
                )
            if _DECIMAL_COMMA.fullmatch(cell):
                comma = comma or row
            elif _NUMBER.fullmatch(cell) and "." in cell:
                point = point or row
        if comma and point:
            raise _refused(
                path,
                f"line {max(comma.line, point.line)}: numbers with a decimal comma beside numbers with a point",
                f"a comma in line {comma.line}, a point in line {point.line}",
                hint="write all numbers with a decimal point",
            )


def _refused(
    path: Path, problem: str, found: str, *, expected: str = FORMAT.content, hint: str | None = None
) -> CmonError:
    where = f"{path}, {problem}" if problem.startswith("line ") else f"{path}: {problem}"
    return CmonError(where, expected=expected, found=found, hint=hint)
