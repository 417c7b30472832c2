"""Annotated probe sets: which concepts each image shows, told by people or by the program that drew it.

A CSV file with a column `path`, an image's path or just its file name, in one of two forms:

- the other cells list concepts, with ; or | between several; what the columns are called does not matter:
  `path,concept` with a row for each concept of an image, or `path,object,color` with many in one row;
- every other column is a concept, and its cells are 1 or 0 (true or false, yes or no; empty is 0).

An image may have several rows: what they say is joined. A row without any concept says that the image shows none.
Of an image without a row nothing is known.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from cmon.concepts import folded
from cmon.errors import CmonError

_FORMS = "CSV with the column path, and columns that list concepts or hold 1 and 0"
_CUTS = (",", ";", "\t")
"""What may stand between the cells; Excel writes semicolons where the comma is the decimal point."""
_YES = {"1", "1.0", "true", "yes"}
_NO = {"", "0", "0.0", "false", "no"}


@dataclass(frozen=True)
class Truth:
    """The file's content."""

    source: Path
    concepts: frozenset[str]
    """All that are named, as `concepts.folded` gives them; in the second form also those that no image shows."""
    shown: Mapping[str, frozenset[str]]
    """From a path, as it is written there, to the folded concepts that its image shows."""


@dataclass(frozen=True)
class Presence:
    """What is known of N probe images and C concepts."""

    known: npt.NDArray[np.bool_]
    """(N,) whether the image has a row."""
    annotated: npt.NDArray[np.bool_]
    """(C,) whether the file names the concept."""
    present: npt.NDArray[np.bool_]
    """(N,C) whether the image shows the concept; False where nothing is known."""


def read(path: Path) -> Truth:
    """Read an annotated probe set. Raises CmonError when the file is not one."""
    rows = _rows(path)
    header, cells = rows[0], rows[1:]
    at = header.index("path")
    names = [name for column, name in enumerate(header) if column != at]
    values = [[cell for column, cell in enumerate(row) if column != at] for row in cells]
    flags = {cell.casefold() for row in values for cell in row}
    shown: dict[str, set[str]] = {row[at]: set() for row in cells}
    if flags <= _YES | _NO and flags & (_YES | _NO - {""}):
        concepts = {folded(name) for name in names}
        for row, some in zip(cells, values, strict=True):
            shown[row[at]] |= {
                folded(name) for name, cell in zip(names, some, strict=True) if cell.casefold() in _YES
            }
    else:
        for row, some in zip(cells, values, strict=True):
            shown[row[at]] |= {folded(name) for cell in some for name in cell.replace("|", ";").split(";")}
        concepts = set().union(*shown.values())
    concepts -= {""}
    if not concepts:
        raise CmonError(f"{path}: names no concept", expected=_FORMS, found="no cell with a name")
    return Truth(path, frozenset(concepts), {name: frozenset(some - {""}) for name, some in shown.items()})


def presence(truth: Truth, images: Sequence[str], concepts: Sequence[str]) -> Presence:
    """Look up N images, by their paths, and C concepts, by their names.

    A path of the file and an image's path fit if one ends in the other, in whole folders' names: `images/7.png`
    is `/data/probe/images/7.png`. If several fit, it is the one that agrees the furthest.

    Raises CmonError when no image or no concept is found, or a path fits more than one image.
    """
    listed = list(truth.shown)
    row = _matched(truth.source, images, listed)
    known = row >= 0
    if not known.any():
        raise CmonError(
            f"{truth.source}: tells of none of the probe images",
            expected=f"paths that end as the images' do, such as {images[0]}" if images else "probe images",
            found=f"{len(listed)} paths, such as {listed[0]}",
        )
    names = [folded(name) for name in concepts]
    annotated = np.array([name in truth.concepts for name in names], dtype=bool)
    if not annotated.any():
        raise CmonError(
            f"{truth.source}: names none of the scored concepts",
            expected=f"some of {len(names)} concepts, such as {', '.join(list(concepts)[:3])}",
            found=f"{len(truth.concepts)} others, such as {', '.join(sorted(truth.concepts)[:3])}",
            hint="the names must be those of --concepts, except for case and white space",
        )
    column = {name: position for position, name in enumerate(names)}
    present = np.zeros((len(images), len(names)), dtype=bool)
    for image in np.flatnonzero(known):
        found = [column[name] for name in truth.shown[listed[row[image]]] if name in column]
        present[image, found] = True
    return Presence(known, annotated, present)


def _rows(path: Path) -> list[list[str]]:
    """The header, names stripped, and below it rows of as many cells, none of them without a path."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CmonError(
            f"{path}: cannot be read",
            expected=f"{_FORMS}, in UTF-8",
            found=(error.strerror if isinstance(error, OSError) else None) or str(error),
        ) from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    cut = next(
        (cut for cut in _CUTS if "path" in [folded(cell.strip(' "')) for cell in first.split(cut)]), None
    )
    if cut is None:
        raise CmonError(f"{path}: has no column named 'path'", expected=_FORMS, found=repr(first[:80]))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=cut, skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not rows:
                rows.append([folded(cell) for cell in cells])
                continue
            header = rows[0]
            cells += [""] * (len(header) - len(cells))
            if len(cells) > len(header):
                raise CmonError(
                    f"{path}, line {reader.line_num}: has more cells than the header has columns",
                    expected=f"{len(header)} cells: {', '.join(header)}"[:200],
                    found=cut.join(row)[:80],
                    hint="concepts of one cell have ; or | between them, and a cell that holds a "
                    f"{cut!r} stands in double quotes",
                )
            if not cells[header.index("path")]:
                raise CmonError(f"{path}, line {reader.line_num}: has no path", found=cut.join(row)[:80])
            rows.append(cells)
    except csv.Error as error:
        raise CmonError(
            f"{path}, line {reader.line_num}: cannot be read as CSV", expected=_FORMS, found=str(error)
        ) from error
    if len(rows) < 2:
        raise CmonError(f"{path}: holds no image", expected=_FORMS, found="a header alone")
    return rows


def _matched(source: Path, images: Sequence[str], listed: Sequence[str]) -> npt.NDArray[np.intp]:
    """For each image the position of its path in `listed`, or -1."""
    by_name: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for position, name in enumerate(listed):
        parts = _reversed_parts(name)
        if parts:
            by_name.setdefault(parts[0], []).append((position, parts))
    found = np.full(len(images), -1, dtype=np.intp)
    owner: dict[int, str] = {}
    for number, image in enumerate(images):
        parts = _reversed_parts(image)
        fitting = [
            (min(len(parts), len(other)), position)
            for position, other in by_name.get(parts[0], ())
            if all(mine == theirs for mine, theirs in zip(parts, other, strict=False))
        ]
        if not fitting:
            continue
        longest = max(fitting)[0]
        nearest = [position for length, position in fitting if length == longest]
        twice = owner.get(nearest[0])
        if len(nearest) > 1 or twice is not None:
            raise CmonError(
                f"{source}: it is not clear which image is meant",
                expected="paths long enough to tell the images apart",
                found=f"{listed[nearest[0]]}, which fits both {twice} and {image}"
                if twice is not None
                else f"{listed[nearest[0]]} and {listed[nearest[1]]}, which both fit {image}",
            )
        owner[nearest[0]] = image
        found[number] = nearest[0]
    return found


def _reversed_parts(name: str) -> tuple[str, ...]:
    return tuple(reversed(PurePosixPath(name.replace("\\", "/")).parts))
