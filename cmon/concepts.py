"""Concept lists: text with one concept a line, or CSV with the columns `concept,category`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmon import text_files
from cmon.errors import CmonError
from cmon.text_files import normalize

logger = logging.getLogger(__name__)

_FORMAT = text_files.Format("a concept list", "one concept a line, or CSV with the columns concept,category")
_LONGEST = 1_000
"""Letters of a concept; CLIP reads about 300 of them."""
_LIST_SUFFIXES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Concept:
    name: str
    """The words as the text encoder gets them, white space folded."""
    category: str | None
    """'object', 'part', 'scene', 'material', 'texture', 'color', or whatever the list says; None if nothing."""


def read(path: Path) -> list[Concept]:
    """Read a concept list in file order.

    It is CSV if its first line names a column `concept`, in any case: with commas, semicolons or tabs
    between the cells, `category` optional, other columns ignored. Everything else is text, in which every
    line is a concept as it is: 'church, outdoor' keeps its comma, and '#' begins no comment.

    Blank lines are ignored. Concepts that differ only in case, white space or the encoding of an accent are
    merged with a warning: no label can win twice.

    Raises CmonError when the file is not text (`text_files`), looks like CSV by its name and first line but
    has no column `concept`, has a row with more cells than columns or an open quote, or holds no concept.
    """
    text = text_files.read_text(path, _FORMAT)
    header = text_files.header(text)
    delimiter = text_files.find_delimiter(header, "concept")
    rows: Iterable[tuple[str, str]]
    if delimiter is not None:
        table = text_files.parse_csv(path, text, delimiter, _FORMAT)
        rows = zip(table.column("concept"), table.column("category"), strict=True)
    elif path.suffix.lower() in (".csv", ".tsv") and any(cut in header for cut in text_files.DELIMITERS):
        raise CmonError(
            f"{path}: has no column named 'concept'",
            expected="the columns' names in the first line, such as concept,category",
            found=repr(header[:80]),
            hint="add that line; or, if each line is one concept with its commas, name the file .txt",
        )
    else:
        rows = ((line, "") for line in text_files.split_lines(text))

    concepts = _merged(path, rows)
    if not concepts:
        raise CmonError(
            f"{path}: holds no concept",
            expected=_FORMAT.content,
            found="an empty file" if not text.strip() else "only blank lines or a header",
            hint="see data/concepts/ in cmon's repository for examples",
        )
    return concepts


def folded(name: str) -> str:
    """The form in which two names are equal if they are the same concept: case and white space do not count."""
    return normalize(name).casefold()


def files_or_words(given: Sequence[str]) -> list[Concept]:
    """Concepts as the command line takes them: an existing file is read as a list, anything else is a concept.

    Raises CmonError for a list that cannot be read, and for a missing file: a word with a path's slash or a list's
    suffix. Of equal concepts the first counts.
    """
    found: list[Concept] = []
    for one in given:
        path = Path(one).expanduser()
        is_file = path.is_file() or os.sep in one or path.suffix.lower() in _LIST_SUFFIXES
        found += read(path) if is_file else _merged(path, [(one, "")])
    return list({folded(concept.name): concept for concept in reversed(found)}.values())[::-1]


def of_values(given: Iterable[str | Concept]) -> list[Concept]:
    """Concepts as a program gives them; of equal ones the first. Raises CmonError where there is none."""
    listed = [one if isinstance(one, Concept) else Concept(one, None) for one in given]
    found = _merged(Path("the given concepts"), ((one.name, one.category or "") for one in listed))
    if not found:
        raise CmonError(
            "the given concepts: there is none",
            expected="one concept or more",
            found=f"{len(listed)} empty texts" if listed else "an empty list",
        )
    return found


def with_category(concepts: Sequence[Concept]) -> list[Concept]:
    """The concepts that have a category: the anchors where none are given."""
    return [concept for concept in concepts if concept.category]


def _merged(path: Path, rows: Iterable[tuple[str, str]]) -> list[Concept]:
    """The rows' concepts, normalized; of equal ones the first."""
    concepts: dict[str, Concept] = {}
    doubles: list[str] = []
    for name, category in rows:
        name = normalize(name)
        if not name:
            continue
        if max(len(name), len(category)) > _LONGEST:
            raise CmonError(
                f"{path}: a concept or category of {max(len(name), len(category)):,} letters",
                expected=f"{_FORMAT.content}, each of at most {_LONGEST:,} letters",
                found=f"{(name if len(name) > _LONGEST else category)[:40]!r} and so on",
                hint="one concept stands on each line",
            )
        if folded(name) in concepts:
            doubles.append(name)
            continue
        concepts[folded(name)] = Concept(name, normalize(category) or None)
    if doubles:
        shown = ", ".join(repr(name) for name in doubles[:5]) + (" ..." if len(doubles) > 5 else "")
        logger.warning(
            "%s: %d concepts are listed more than once and were merged: %s", path, len(doubles), shown
        )
    return list(concepts.values())
