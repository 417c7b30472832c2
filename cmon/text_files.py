"""Text and CSV files from users: decoding, lines, delimiter and rows, with errors that name the line.

The text is UTF-8, or UTF-16 with a byte-order mark. Other encodings cannot be told apart by their bytes, and a wrong
guess would end up in names: they are refused, with the line.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cmon.errors import CmonError
from cmon.regular_files import read_regular

LARGEST = 64 << 20
"""Bytes of a file of text: a million paths."""
LONGEST_LINE = 1 << 20
"""Bytes of a line: a CSV file of 10,000 columns has shorter ones."""
DELIMITERS = (",", ";", "\t")
"""What may separate the cells of CSV; Excel writes semicolons where the comma is the decimal point."""


@dataclass(frozen=True)
class Format:
    """What a file should be, for error messages."""

    name: str
    """Such as 'a concept list'."""
    content: str
    """Such as 'one concept a line, or CSV with the columns concept,category'."""


@dataclass(frozen=True)
class Row:
    """A row of CSV below the header."""

    line: int
    """In the file, from 1; of a row over several lines the last one."""
    cells: list[str]
    """Stripped, as many as there are columns; '' where the row is shorter."""

    def __str__(self) -> str:
        return ", ".join(self.cells)


@dataclass(frozen=True)
class Table:
    """A CSV file; blank rows are left out."""

    columns: list[str]
    """Normalized and in lower case."""
    rows: list[Row]

    def column(self, name: str) -> list[str]:
        """The cells of a column; all '' if there is no such column."""
        if name not in self.columns:
            return [""] * len(self.rows)
        position = self.columns.index(name)
        return [row.cells[position] for row in self.rows]


def read_text(path: Path, expected: Format) -> str:
    """The file's text without byte-order marks, which concatenated files may have anywhere.

    Raises CmonError when the file cannot be read or is not text.
    """
    problem = f"{path}: cannot be read as {expected.name}"
    try:
        raw = read_regular(path, LARGEST)
    except OSError as error:
        raise CmonError(problem, expected=expected.content, found=error.strerror or str(error)) from error

    utf_16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "UTF-16" if utf_16 else "UTF-8"
    if not utf_16:
        # UTF-16 without its mark is valid UTF-8, with a zero beside every letter.
        _refuse_zeros(problem, expected, raw.find(b"\0"), raw)
        _refuse_long_lines(problem, expected, raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        line = "" if utf_16 else raw.split(b"\n")[number - 1].decode("latin-1")[:60]
        as_latin_1 = f", which in Latin-1 would read {line!r}" if line else ""
        raise CmonError(
            f"{problem}: it is not {encoding} text",
            expected=f"{expected.content}, in UTF-8",
            found=f"byte {raw[error.start]:#04x} at offset {error.start}, in line {number}{as_latin_1}",
            hint=f"save it as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name} > utf8-{path.name}",
        ) from error
    if utf_16:
        _refuse_zeros(problem, expected, text.find("\0"), text)
        _refuse_long_lines(problem, expected, text.encode())
    return text.replace("\ufeff", "")


def read_lines(path: Path, expected: Format) -> list[str]:
    """The lines of a text, normalized; blank ones are kept, except at the end. Raises CmonError as `read_text`."""
    lines = [normalize(line) for line in split_lines(read_text(path, expected))]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_column(path: Path, name: str, expected: Format) -> list[str]:
    """A list given as text, one entry a line, or as CSV with a column of that name: the entries, stripped, not blank.

    Raises CmonError as `read_text` and `parse_csv`.
    """
    text = read_text(path, expected)
    delimiter = find_delimiter(header(text), name)
    if delimiter is None:
        entries = [line.strip() for line in split_lines(text)]
    else:
        entries = parse_csv(path, text, delimiter, expected).column(name)
    return [entry for entry in entries if entry]


def read_table(path: Path, column: str, expected: Format) -> Table:
    """A CSV file that has a certain column, in any case. Raises CmonError as `read_text` and `parse_csv`."""
    text = read_text(path, expected)
    delimiter = find_delimiter(header(text), column)
    if delimiter is None:
        raise CmonError(
            f"{path}: has no column named {column!r}",
            expected=expected.content,
            found=repr(header(text)[:80]),
        )
    return parse_csv(path, text, delimiter, expected)


def parse_csv(path: Path, text: str, delimiter: str, expected: Format) -> Table:
    """The text of a CSV file, whose first line that is not blank names the columns.

    Raises CmonError, with the line, for an open quote or a row with more cells than there are columns.
    """
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    columns: list[str] = []
    rows: list[Row] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not columns:
                columns = [_column_name(cell) for cell in cells]
                continue
            if any(cells[len(columns) :]):
                raise CmonError(
                    f"{path}, line {reader.line_num}: has more cells than the header has columns",
                    expected=f"{len(columns)} cells: {', '.join(columns)}"[:200],
                    found=f"{len(row)} cells: {', '.join(row)}"[:200],
                    hint=f"if {delimiter!r} belongs to a cell, put that cell in double quotes",
                )
            cells += [""] * (len(columns) - len(cells))
            rows.append(Row(reader.line_num, cells[: len(columns)]))
    except csv.Error as error:
        raise CmonError(
            f"{path}, line {reader.line_num}: cannot be read as CSV",
            expected=expected.content,
            found=str(error),
            hint='look for a double quote that is not closed; within quotes, a quote is written ""',
        ) from error
    return Table(columns, rows)


def split_lines(text: str) -> Iterable[str]:
    """The lines as an editor counts them; str.splitlines would also cut at form feeds and the like."""
    return io.StringIO(text, newline=None)


def header(text: str) -> str:
    """The first line that is not blank, stripped; '' if there is none."""
    return next((line.strip() for line in split_lines(text) if line.strip()), "")


def find_delimiter(header: str, column: str) -> str | None:
    """What separates the cells of a CSV header that names the column; None if it does not name it."""
    for delimiter in DELIMITERS:
        if column in (_column_name(cell.strip(' "')) for cell in header.split(delimiter)):
            return delimiter
    return None


def normalize(words: str) -> str:
    """White space folded, and accents composed: 'e' with an accent is one letter, however it was typed.

    >>> normalize("  tennis   court ")
    'tennis court'
    """
    return " ".join(unicodedata.normalize("NFC", words).split())


def _column_name(cell: str) -> str:
    return normalize(cell).casefold()


def _refuse_zeros(problem: str, expected: Format, position: int, content: bytes | str) -> None:
    """position: of the first zero; below 0 where there is none."""
    if position >= 0:
        above = content[:position]
        lines = above.count(b"\n") if isinstance(above, bytes) else above.count("\n")
        raise CmonError(
            f"{problem}: it is not text",
            expected=f"{expected.content}, in UTF-8",
            found=f"a zero byte in line {lines + 1}",
            hint="if it is text in UTF-16 or UTF-32, save it as UTF-8",
        )


def _refuse_long_lines(problem: str, expected: Format, raw: bytes) -> None:
    start = 0
    while len(raw) - start > LONGEST_LINE:
        end = max(raw.rfind(mark, start, start + LONGEST_LINE + 1) for mark in (b"\n", b"\r"))
        if end < 0:
            number = raw.count(b"\n", 0, start) + 1
            raise CmonError(
                f"{problem}: line {number} has more than {LONGEST_LINE:,} bytes",
                expected=expected.content,
                found=f"{raw[start : start + 40].decode(errors='replace')!r} and so on",
            )
        start = end + 1
