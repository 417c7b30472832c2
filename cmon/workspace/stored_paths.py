"""Paths of files in tables: as text that UTF-8 holds, and that gives the path back on this machine or another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cmon.progress import Progress, silent
from cmon.storage import copies
from cmon.storage.url_path import UrlPath
from cmon.storage.urls import is_url
from cmon.workspace.files import file_digest

_ESCAPE = re.compile(r"\\x[0-9a-f]{2}")
_ESCAPED = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def to_text(path: str | os.PathLike[str]) -> str:
    r"""A path as valid UTF-8 on one line; `to_path` gives it back.

    Nearly every path is its own text. Bytes that are no UTF-8 (a name from an old archive), control characters and
    marks of direction stand as `\xe9`; in such a path, and in one with `\xe9` written out in a name, a backslash
    stands as two.
    """
    text = os.fspath(path)
    if not (_UNPRINTABLE.search(text) or _ESCAPE.search(text)):
        return text

    def escape(found: re.Match[str]) -> str:
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(found.group()))

    return _UNPRINTABLE.sub(escape, text.replace("\\", "\\\\"))


def to_path(text: str) -> Path:
    """The path that `to_text` made the text of."""
    if not _ESCAPE.search(text):
        return Path(text)
    parts: list[bytes] = []
    at = 0
    for found in _ESCAPED.finditer(text):
        byte = found.group(1)
        parts += [os.fsencode(text[at : found.start()]), bytes.fromhex(byte) if byte else b"\\"]
        at = found.end()
    return Path(os.fsdecode(b"".join([*parts, os.fsencode(text[at:])])))


def origin_text(path: Path) -> str:
    """Where a file is as text: its absolute path, or the URL of what it is the copy of."""
    return copies.url_of(path) or to_text(absolute(path))


def absolute(path: Path) -> Path:
    """The path from the file system's root. Links in it stay: their names are those that the user knows."""
    return path.parent.resolve() / path.name if ".." in path.parts else path.absolute()


def from_workspace(path: Path, root: Path) -> str | None:
    """An absolute path as text relative to the workspace, so that both can be moved; None if they share no folder."""
    if isinstance(root, UrlPath) or copies.url_of(path) is not None:
        return None
    real = path.parent.resolve() / path.name
    for file, folder in ((path, os.path.abspath(root)), (real, os.path.realpath(root))):
        try:
            common = Path(os.path.commonpath([file, folder]))
        except ValueError:  # on two drives
            continue
        if common != Path(common.anchor):
            return to_text(Path(os.path.relpath(file, folder)).as_posix())
    return None


def find_image(row: Mapping[str, Any], root: Path, images: Path | None = None) -> Path:
    """Where the file of a row of the table `images` is now.

    root: the workspace's folder. Of an image in a store it is the copy; see `fetch_images`.
    images: where the user says that the images are now: the file there whose path
    ends in as many of the folders' names as possible. Else it is where it was, or at the same place seen from the
    workspace, if these were moved together; of two files that with the hash of then. Where there is none, the path
    of then. The content is to be checked by who reads it.
    """
    then = copies.path_of(row["path"]) if is_url(row["path"]) else to_path(row["path"])
    places = [] if images is None else _below(images, then)
    if not places:
        places = [then]
        below = row.get("from_workspace")
        if isinstance(below, str) and not isinstance(
            root, UrlPath
        ):  # not in a table of an earlier cmon, nor where they share no folder
            relative = to_path(below)
            places += [
                Path(os.path.normpath(folder / relative)) for folder in (root.absolute(), root.resolve())
            ]
    there = [place for place in places if os.path.isfile(place)]
    if any(not os.path.samefile(there[0], other) for other in there[1:]):
        there = [place for place in there if file_digest(place) == row["sha256"]] or there
    return there[0] if there else then


def fetch_images(
    rows: Iterable[Mapping[str, Any]], images: Path | None = None, progress: Progress = silent
) -> None:
    """Have copies of those of the images that lie in a store, before `find_image` says where they are.

    images: as `find_image` takes it; there is nothing to fetch then. Raises CmonError where they cannot be fetched.
    """
    if images is not None:
        return
    wanted = {copies.path_of(row["path"]): row["sha256"] for row in rows if is_url(row["path"])}
    copies.refresh_files(
        [path for path, sha256 in wanted.items() if not path.is_file() or file_digest(path) != sha256],
        progress,
    )


def _below(images: Path, then: Path) -> list[Path]:
    parts = then.parts[1:]
    places = (images.joinpath(*parts[start:]) for start in range(len(parts)))
    return [place for place in places if os.path.isfile(place)][:2]
