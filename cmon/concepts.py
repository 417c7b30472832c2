"""Concept lists: text with one concept a line, or CSV with the columns `concept,category`."""

from __future__ import annotations

import codecs
import csv
import io
import logging
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmon.errors import CmonError

logger = logging.getLogger(__name__)

_FORMS = "one concept a line, or CSV with the columns concept,category"
_CUTS = (",", ";", "\t")
"""What may stand between the cells of CSV; Excel writes semicolons where the comma is the decimal point."""


@dataclass(frozen=True)
class Concept:
    name: str
    """The words as the text encoder gets them, white space folded."""
    category: str | None
    """'object', 'part', 'scene', 'material', 'texture', 'color', or whatever the list says; None if nothing."""


def read(path: Path) -> list[Concept]:
    """Read a concept list in file order.

    It is CSV if its first line names a column `concept`, in any case: with commas, semicolons or tabs
    between the cells, `category` optional, other columns passed over. Everything else is text, in which a
    line is a concept as it stands: 'church, outdoor' keeps its comma, and '#' begins no comment.

    Blank lines are passed over, and concepts that differ only in case, white space or the way in which an
    accent is encoded are merged with a warning, so that no label can win twice or shift by a line.

    The text is UTF-8, or UTF-16 with a byte-order mark. Other encodings cannot be told apart by their
    bytes, and a wrong guess would end in the labels: they are refused, with the line.

    Raises CmonError when the file cannot be read as such text, is by its name and first line CSV without a
    column `concept`, has a row with more cells than columns or an open quote, or holds no concept.
    """
    text = _text(path)
    first = next((line for line in _lines(text) if line.strip()), "")
    delimiter = _delimiter(first)
    if (
        delimiter is None
        and path.suffix.lower() in (".csv", ".tsv")
        and any(cut in first.strip() for cut in _CUTS)
    ):
        raise CmonError(
            f"{path}: has no column named 'concept'",
            expected="the columns' names in the first line, such as concept,category",
            found=repr(first.strip()[:80]),
            hint="add that line; or, if each line is one concept with its commas, name the file .txt",
        )
    rows = [(line, "") for line in _lines(text)] if delimiter is None else _csv_rows(path, text, delimiter)

    concepts = _merged(path, rows)
    if not concepts:
        raise CmonError(
            f"{path}: holds no concept",
            expected=_FORMS,
            found="an empty file" if not text.strip() else "only blank lines or a header",
            hint="see data/concepts/ in cmon's repository for examples",
        )
    return concepts


def read_lines(path: Path) -> list[str]:
    """The lines of a text, each with its white space folded, blank ones too but for those at the end.

    Raises CmonError as `read` does where the file cannot be read as text.
    """
    lines = [_normal(line) for line in _lines(_text(path))]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def folded(name: str) -> str:
    """What two names have in common that are the same concept."""
    return _normal(name).casefold()


def files_or_words(given: Sequence[str]) -> list[Concept]:
    """What the command line names: an existing file is read as a list, anything else is a concept itself.

    Raises CmonError for a list that cannot be read, and for what can only be meant as a file and is none: it has a
    path's slash or a list's ending. Of concepts that are the same, the first counts.
    """
    found: list[Concept] = []
    for one in given:
        path = Path(one).expanduser()
        is_file = path.is_file() or os.sep in one or path.suffix.lower() in (".csv", ".tsv", ".txt")
        found += read(path) if is_file else _merged(path, [(one, "")])
    return list({folded(concept.name): concept for concept in reversed(found)}.values())[::-1]


def with_category(concepts: Sequence[Concept]) -> list[Concept]:
    """The concepts that have a category: the anchors where none are given."""
    return [concept for concept in concepts if concept.category]


def _merged(path: Path, rows: Iterable[tuple[str, str]]) -> list[Concept]:
    """The rows' concepts, normalised; of those that then are the same, the first."""
    concepts: dict[str, Concept] = {}
    again: list[str] = []
    for name, category in rows:
        name = _normal(name)
        if not name:
            continue
        if folded(name) in concepts:
            again.append(name)
            continue
        concepts[folded(name)] = Concept(name, _normal(category) or None)
    if again:
        shown = ", ".join(repr(name) for name in again[:5]) + (" ..." if len(again) > 5 else "")
        logger.warning(
            "%s: %d concepts stand there more than once and were merged: %s", path, len(again), shown
        )
    return list(concepts.values())


def _normal(words: str) -> str:
    """White space folded, and accents composed: 'e' with an accent is one letter, however it was typed."""
    return " ".join(unicodedata.normalize("NFC", words).split())


def _text(path: Path) -> str:
    """The file's text without byte-order marks, one of which joined files may have anywhere."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CmonError(
            f"{path}: cannot be read",
            expected="a concept list (text or CSV)",
            found=error.strerror or str(error),
        ) from error

    encoding = "UTF-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "UTF-8"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        line = raw.split(b"\n")[number - 1] if encoding == "UTF-8" else b""
        as_latin = f", which in Latin-1 would read {line.decode('latin-1')[:60]!r}" if line else ""
        raise CmonError(
            f"{path}: is not {encoding} text",
            expected="a text or CSV file in UTF-8",
            found=f"byte {raw[error.start]:#04x} at offset {error.start}, in line {number}{as_latin}",
            hint=f"save it as UTF-8, for example: iconv -f latin1 -t utf-8 {path.name} > utf8-{path.name}",
        ) from error
    if "\0" in text:  # UTF-16 without its mark is valid UTF-8, with a zero beside every letter
        raise CmonError(
            f"{path}: is not text",
            expected="a text or CSV file in UTF-8",
            found=f"a zero byte in line {text.count(chr(10), 0, text.index(chr(0))) + 1}",
            hint="if it is text in UTF-16 or UTF-32, save it as UTF-8",
        )
    return text.replace("\ufeff", "")


def _lines(text: str) -> Iterable[str]:
    """The lines as an editor counts them; str.splitlines would also cut at form feeds and the like."""
    return io.StringIO(text, newline=None)


def _delimiter(header: str) -> str | None:
    """What stands between the cells of a CSV header that names a column 'concept'; None if it names none."""
    for delimiter in _CUTS:
        if "concept" in (_column(cell.strip().strip('"')) for cell in header.split(delimiter)):
            return delimiter
    return None


def _column(cell: str) -> str:
    return cell.strip().casefold()


def _csv_rows(path: Path, text: str, delimiter: str) -> list[tuple[str, str]]:
    """(concept, category) of each row below the header; '' for a cell that is not there."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    rows: list[tuple[str, str]] = []
    columns: list[str] = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not columns:
                columns = [_column(cell) for cell in row]
                continue
            if any(cell.strip() for cell in row[len(columns) :]):
                raise CmonError(
                    f"{path}, line {reader.line_num}: has more cells than the header has columns",
                    expected=f"{len(columns)} cells: {', '.join(columns)}",
                    found=f"{len(row)} cells: {', '.join(row)}",
                    hint=f"if {delimiter!r} belongs to the concept, put the concept in double quotes",
                )
            cells = dict(zip(columns, row, strict=False))
            rows.append((cells.get("concept", ""), cells.get("category", "")))
    except csv.Error as error:
        raise CmonError(
            f"{path}, line {reader.line_num}: cannot be read as CSV",
            expected=_FORMS,
            found=str(error),
            hint='look for a double quote that is not closed; within quotes, a quote is written ""',
        ) from error
    return rows
