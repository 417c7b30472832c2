"""The files of a probing set, found in a folder or read off a list, with the hash of each one's bytes."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cmon import text_files
from cmon.errors import CmonError
from cmon.images.decoding import MOST_BYTES
from cmon.images.listing import Listing, add_once, list_folder
from cmon.progress import Progress, silent
from cmon.regular_files import NotAFile
from cmon.storage import copies
from cmon.workspace import stored_paths
from cmon.workspace.files import file_digest

logger = logging.getLogger(__name__)

_LIST = text_files.Format(
    "a list of images",
    "a folder of probe images, a text file with one path a line, or CSV with the column path",
)


@dataclass(frozen=True)
class ImageFile:
    """One file of the probing set, an image or not."""

    path: Path
    name: str
    """Path relative to the folder, or to the list's folder, with forward slashes."""
    sha256: str | None
    error: str | None
    """Why it cannot be read; None if its bytes could be hashed."""


def find_images(source: Path, say: bool = True) -> list[ImageFile]:
    """The files of a probing set, each with its hash, in the order of `list_paths`. Raises CmonError as that does."""
    root = source if source.is_dir() else source.parent
    return [_hash(path, Path(os.path.relpath(path, root)).as_posix()) for path in list_paths(source, say)]


def list_paths(source: Path, say: bool = True) -> list[Path]:
    """The paths of a probing set's files, given as a folder or as a list.

    A folder: every file below it but hidden ones, in natural order; links are followed. A file: a list of paths, one
    a line, or CSV with the column `path`, relative to the list's own folder; in the list's order. Each file once.
    say: whether to warn of what is passed over. Raises CmonError when there is nothing.
    """
    if source.is_dir():
        listing = list_folder(source)
    elif os.path.exists(source):
        listing = _read_list(source)
    else:
        raise CmonError(
            f"{source}: no such folder",
            expected="a folder of probe images, or a list of their paths",
            hint="give it as --probe FOLDER or --probe LIST",
        )
    remarks = listing.remarks(source if source.is_dir() else source.parent)
    if not listing.paths:
        raise CmonError(
            f"{source}: holds no image",
            expected="image files (PNG, JPEG, ...)",
            found="; ".join(["no file", *remarks]),
        )
    for remark in remarks if say else ():
        logger.warning("%s", remark)
    return listing.paths


def fetch(source: Path, progress: Progress = silent) -> None:
    """Make the copy of a probing set in a store what is there now; nothing to do for one of this machine."""
    copies.refresh(source, progress)
    if copies.url_of(source) is not None and source.is_file():
        copies.refresh_files(_listed(source), progress)


def _listed(source: Path) -> list[Path]:
    """The paths of a list, each once. Raises CmonError where one of a store's would lie outside of its bucket."""
    names = text_files.read_column(source, "path", _LIST)
    if (url := copies.url_of(source)) is None:
        return list(dict.fromkeys(source.parent / name for name in names))
    bucket = copies.path_of("/".join(url.split("/")[:3]))
    found = [Path(os.path.normpath(source.parent / name)) for name in names]
    for name, path in zip(names, found, strict=True):
        if not path.is_relative_to(bucket) or path == bucket:
            raise CmonError(
                f"{url}: names a file outside of its store",
                expected="paths relative to the list's own folder, in the same bucket",
                found=name,
            )
    return list(dict.fromkeys(found))


def _read_list(source: Path) -> Listing:
    listing = Listing()
    files: dict[str, Path] = {}
    for path in _listed(source):
        named = stored_paths.to_path(
            os.fspath(path)
        )  # where it has bytes that are no UTF-8, as cmon shows them
        add_once(files, named if os.path.exists(named) and not os.path.exists(path) else path, listing)
    listing.paths = list(files.values())
    return listing


def _hash(path: Path, name: str) -> ImageFile:
    try:
        at = path.stat()
        if stat.S_ISDIR(at.st_mode):
            os.scandir(path).close()  # the reason why it cannot be read comes before that it is a folder
        elif stat.S_ISREG(at.st_mode) and at.st_size > MOST_BYTES:
            why = f"a file of {at.st_size:,} bytes: none over {MOST_BYTES:,} is read as a picture"
            return ImageFile(path, name, None, why)
        return ImageFile(path, name, file_digest(path), None)
    except NotAFile as error:
        return ImageFile(path, name, None, error.strerror)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        broken = f"a link to {os.readlink(path)}: " if os.path.islink(path) else ""
        return ImageFile(path, name, None, f"cannot be read: {broken}{why}")
