"""Annotated probe sets: which concepts each image shows, as people or the program that drew it say.

A CSV file with a column `path`, an image's path or just its file name, in one of two forms:

- the other cells list concepts, separated by ; or |; the columns' names do not matter: `path,concept` with a row for
  each concept of an image, or `path,object,color` with many in one row;
- every other column is a concept, and its cells are 1 or 0 (true or false, yes or no; empty is 0).

An image may have several rows, which together say what it shows. A row without any concept says that it shows none.
Nothing is known of an image without a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from cmon import text_files
from cmon.concepts import folded
from cmon.errors import CmonError

_FORMAT = text_files.Format(
    "annotations",
    "CSV with the column path, and columns that list concepts (; or | between several) or hold 1 and 0",
)
_YES = {"1", "1.0", "true", "yes"}
_NO = {"", "0", "0.0", "false", "no"}


@dataclass(frozen=True)
class Annotations:
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


def read(path: Path) -> Annotations:
    """Read an annotated probe set. Raises CmonError when the file is not one."""
    table = text_files.read_table(path, "path", _FORMAT)
    if not table.rows:
        raise CmonError(f"{path}: holds no image", expected=_FORMAT.content, found="a header alone")
    paths = table.column("path")
    for row, name in zip(table.rows, paths, strict=True):
        if not name:
            raise CmonError(f"{path}, line {row.line}: has no path", found=str(row)[:80])
    position = table.columns.index("path")
    names = [folded(name) for name in _without(table.columns, position)]
    values = [_without(row.cells, position) for row in table.rows]
    flags = {cell.casefold() for cells in values for cell in cells}
    shown: dict[str, set[str]] = {name: set() for name in paths}
    if flags <= _YES | _NO and flags & (_YES | _NO - {""}):
        concepts = set(names)
        for image, cells in zip(paths, values, strict=True):
            shown[image] |= {name for name, cell in zip(names, cells, strict=True) if cell.casefold() in _YES}
    else:
        for image, cells in zip(paths, values, strict=True):
            shown[image] |= {folded(name) for cell in cells for name in cell.replace("|", ";").split(";")}
        concepts = set().union(*shown.values())
    concepts -= {""}
    if not concepts:
        raise CmonError(f"{path}: names no concept", expected=_FORMAT.content, found="no cell with a name")
    return Annotations(
        path, frozenset(concepts), {name: frozenset(some - {""}) for name, some in shown.items()}
    )


def look_up(annotations: Annotations, images: Sequence[str], concepts: Sequence[str]) -> Presence:
    """Look up N images, by their paths, and C concepts, by their names.

    A path of the file and an image's path match if one ends with the other, in whole names: `images/7.png` is
    `/data/probe/images/7.png`. If several match, the one with the most names in common is taken.

    Raises CmonError when no image or no concept is found, or a path matches more than one image.
    """
    listed = list(annotations.shown)
    row = _match_paths(annotations.source, images, listed)
    known = row >= 0
    if not known.any():
        raise CmonError(
            f"{annotations.source}: describes none of the probe images",
            expected=f"paths that end like the images', such as {images[0]}" if images else "probe images",
            found=f"{len(listed)} paths, such as {listed[0]}",
        )
    names = [folded(name) for name in concepts]
    annotated = np.array([name in annotations.concepts for name in names], dtype=bool)
    if not annotated.any():
        raise CmonError(
            f"{annotations.source}: names none of the scored concepts",
            expected=f"some of {len(names)} concepts, such as {', '.join(list(concepts)[:3])}",
            found=f"{len(annotations.concepts)} others, such as {', '.join(sorted(annotations.concepts)[:3])}",
            hint="the names must be those of --concepts, except for case and white space",
        )
    column = {name: position for position, name in enumerate(names)}
    present = np.zeros((len(images), len(names)), dtype=bool)
    for image in np.flatnonzero(known):
        found = [column[name] for name in annotations.shown[listed[row[image]]] if name in column]
        present[image, found] = True
    return Presence(known, annotated, present)


def _without(cells: list[str], position: int) -> list[str]:
    return cells[:position] + cells[position + 1 :]


def _match_paths(source: Path, images: Sequence[str], listed: Sequence[str]) -> npt.NDArray[np.intp]:
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
        matching = [
            (min(len(parts), len(other)), position)
            for position, other in by_name.get(parts[0], ())
            if all(mine == theirs for mine, theirs in zip(parts, other, strict=False))
        ]
        if not matching:
            continue
        longest = max(matching)[0]
        best = [position for length, position in matching if length == longest]
        earlier = owner.get(best[0])
        if len(best) > 1 or earlier is not None:
            raise CmonError(
                f"{source}: it is not clear which image is meant",
                expected="paths long enough to distinguish the images",
                found=f"{listed[best[0]]}, which matches both {earlier} and {image}"
                if earlier is not None
                else f"{listed[best[0]]} and {listed[best[1]]}, which both match {image}",
            )
        owner[best[0]] = image
        found[number] = best[0]
    return found


def _reversed_parts(name: str) -> tuple[str, ...]:
    return tuple(reversed(PurePosixPath(name.replace("\\", "/")).parts))
