"""The files below a folder of probe images: links are followed, each file counts once, hidden ones do not."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from cmon.errors import CmonError
from cmon.workspace.files import natural_key, printable_path

_SYSTEM = {
    "@eadir",  # Synology's thumbnails
    "@recycle",
    "#recycle",
    "__macosx",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "desktop.ini",
}
"""Names, in lower case, of what file managers and servers leave beside images; so are all that start with a dot."""


@dataclass
class Listing:
    """What was found below a folder, or read off a list."""

    paths: list[Path] = field(default_factory=list)
    """In natural order, or in the list's: files, broken links, and folders that may not be read."""
    hidden: list[Path] = field(default_factory=list)
    """Hidden files and folders that were passed over."""
    loops: list[Path] = field(default_factory=list)
    """Links to folders above them, which are not followed."""
    again: list[Path] = field(default_factory=list)
    """Further ways to files and folders that are read already."""

    def remarks(self, source: Path) -> list[str]:
        """What a user should know of it, a sentence each."""

        said = (
            ("hidden and system files and folders are passed over", self.hidden),
            ("links to folders above them are not followed", self.loops),
            ("what is reached again, through links or other names, counts once", self.again),
        )
        found = []
        for words, paths in said:
            names = [printable_path(Path(os.path.relpath(path, source))) for path in paths[:4]]
            more = ", ..." if len(paths) > 4 else ""
            if paths:
                found.append(f"{source}: {words}: {len(paths)} ({', '.join(names)}{more})")
        return found


def list_folder(root: Path) -> Listing:
    """Every file below a folder. What a link leads to is listed by the link's name, if nothing else leads there.

    Raises CmonError when the folder itself cannot be read.
    """
    listing = Listing()
    real_files: dict[str, Path] = {}
    linked_files: list[Path] = []
    seen: set[str] = set()
    folders = deque([(root, os.path.realpath(root))])
    links: list[Path] = []  # to folders: after all folders that are really there
    while folders or links:
        if not folders:
            link = links.pop(0)
            target = os.path.realpath(link)
            if _holds(target, os.path.realpath(link.parent)):
                listing.loops.append(link)
            elif target in seen:
                listing.again.append(link)
            else:
                folders.append((link, target))
            continue
        folder, real = folders.popleft()
        if real in seen:  # below a link
            listing.again.append(folder)
            continue
        seen.add(real)
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: natural_key(entry.name))
        except OSError as error:
            if folder == root:
                raise CmonError(f"{root}: cannot be read", found=error.strerror or str(error)) from error
            real_files[real] = folder
            continue
        for entry in found:
            path = folder / entry.name
            if is_hidden(entry.name):
                listing.hidden.append(path)
            elif entry.is_symlink():
                (links if os.path.isdir(path) else linked_files).append(path)
            elif entry.is_dir(follow_symlinks=False):
                folders.append((path, os.path.join(real, entry.name)))
            else:
                real_files[os.path.join(real, entry.name)] = path
    for path in linked_files:
        add_once(real_files, path, listing)
    listing.paths = sorted(
        real_files.values(), key=lambda path: natural_key(path.relative_to(root).as_posix())
    )
    return listing


def add_once(files: dict[str, Path], path: Path, listing: Listing) -> None:
    """Add a path to those by their real path, or to `listing.again`."""
    real = os.path.realpath(path)
    if real in files and os.path.exists(path):
        listing.again.append(path)
    else:
        files[real if os.path.exists(path) else os.fspath(path)] = path


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _SYSTEM


def _holds(folder: str, other: str) -> bool:
    return other == folder or other.startswith(folder.rstrip(os.sep) + os.sep)
