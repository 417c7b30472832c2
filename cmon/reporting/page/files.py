"""The page on disk: the HTML file, and beside it thumbnails for which it has no room."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from cmon.reporting.page import html as page
from cmon.reporting.page import thumbnails
from cmon.reporting.page.html import Page
from cmon.workspace.files import atomic_write
from cmon.workspace.workspace import Workspace

_OWN = re.compile(r"[0-9]+\.webp")


def write(workspace: Workspace, content: Page, pictures: Mapping[int, bytes], most_mb: float) -> int:
    """Write index.html with the thumbnails in it, or if that made it larger than `most_mb`, beside it.

    pictures: image_id to a WebP file. 1 MB is a million bytes. Returns how many thumbnails lie beside the page.
    """
    inside = thumbnails.css(thumbnails.data_uris(pictures))
    html = page.render(content)
    beside = 0
    if pictures and len(html.encode()) + len(inside) > most_mb * 1e6:
        beside = len(pictures)
        html, inside = page.render(content, beside), thumbnails.css(thumbnails.file_uris(pictures))
    _write_beside(workspace, pictures if beside else {})
    # Last: when the page is there, all is there.
    data = page.with_thumbnails(html, inside).encode()
    with atomic_write(path(workspace)) as aside:
        aside.write_bytes(data)
    workspace.written_bytes += len(data)
    return beside


def path(workspace: Workspace) -> Path:
    return workspace.report / "index.html"


def is_fresh(workspace: Workspace, origin: str) -> bool:
    """Whether the page was made with this origin, and what it shows from its folder is there."""
    target = path(workspace)
    return page.origin_of(target) == origin and page.images_beside(target) == len(_own(workspace))


def images_beside(workspace: Workspace) -> int:
    return page.images_beside(path(workspace))


def links(files: Iterable[Path]) -> dict[str, list[tuple[str, str]]]:
    """Name of a figure or table to (form, link) of each of its files that is there."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in files:
        if file.is_file():
            found.setdefault(file.stem, []).append((file.suffix[1:].upper(), quote(file.name)))
    return found


def _own(workspace: Workspace) -> list[Path]:
    """The thumbnails that are there; other files in the folder are none of cmon's."""
    folder = workspace.report / thumbnails.FOLDER
    return [file for file in folder.iterdir() if _OWN.fullmatch(file.name)] if folder.is_dir() else []


def _write_beside(workspace: Workspace, pictures: Mapping[int, bytes]) -> None:
    """Make the folder hold these thumbnails and no others of cmon's."""
    folder = workspace.report / thumbnails.FOLDER
    for old in _own(workspace):
        old.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if not pictures:
        return
    aside = workspace.report / f".{thumbnails.FOLDER}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    for file, data in zip(thumbnails.names(pictures), pictures.values(), strict=True):
        (aside / file).write_bytes(data)
        (aside / file).replace(folder / file)
        workspace.written_bytes += len(data)
    aside.rmdir()
