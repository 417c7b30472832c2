"""The page on disk: the HTML file, and beside it thumbnails for which it has no room."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from cmon.reporting.output import write_bytes
from cmon.reporting.page import html, thumbnails
from cmon.reporting.page.newest import is_newest, mark_newest
from cmon.reporting.page.views import Page
from cmon.reporting.record import Record
from cmon.workspace.workspace import Workspace

_FILE = re.compile(r"[0-9]+\.webp")


def write_page(
    workspace: Workspace, record: Record, page: Page, pictures: Mapping[int, bytes], most_mb: float
) -> int:
    """Write index.html with the thumbnails in it, or if that made it larger than `most_mb`, beside it.

    pictures: image_id to a WebP file. 1 MB is a million bytes. Returns how many thumbnails lie beside the page.
    """
    inside = thumbnails.css_classes(thumbnails.data_uris(pictures))
    text = html.render(page)
    beside = 0
    if pictures and len(text.encode()) + len(inside) > most_mb * 1e6:
        beside = len(pictures)
        text, inside = html.render(page, beside), thumbnails.css_classes(thumbnails.file_uris(pictures))
    _write_beside(workspace, pictures if beside else {})
    record.write(page_path(workspace), html.with_thumbnails(text, inside).encode(), page.origin)
    mark_newest(workspace, page.origin)  # then it is said to those that are open
    return beside


def page_path(workspace: Workspace) -> Path:
    return workspace.report / "index.html"


def is_fresh(workspace: Workspace, record: Record, origin: str) -> bool:
    """Whether the page was made with this origin, and what it shows from its folder is there."""
    path = page_path(workspace)
    whole = record.has(path, origin) and html.thumbnails_beside(path) == len(_thumbnails(workspace))
    return whole and is_newest(workspace, origin)


def thumbnails_beside(workspace: Workspace) -> int:
    return html.thumbnails_beside(page_path(workspace))


def file_links(files: Iterable[Path]) -> dict[str, list[tuple[str, str]]]:
    """Name of a figure or table to (form, link) of each of its files that is there."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in files:
        if file.is_file():
            found.setdefault(file.stem, []).append((file.suffix[1:].upper(), quote(file.name)))
    return found


def _thumbnails(workspace: Workspace) -> list[Path]:
    """The thumbnails that are there; other files in the folder are not cmon's."""
    folder = workspace.report / thumbnails.FOLDER
    return [file for file in folder.iterdir() if _FILE.fullmatch(file.name)] if folder.is_dir() else []


def _write_beside(workspace: Workspace, pictures: Mapping[int, bytes]) -> None:
    """Make the folder hold these thumbnails and no others of cmon's."""
    folder = workspace.report / thumbnails.FOLDER
    for old in _thumbnails(workspace):
        old.unlink()
    if workspace.is_url:
        for file, data in zip(thumbnails.file_names(pictures), pictures.values(), strict=True):
            write_bytes(workspace, folder / file, data)
        return
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if not pictures:
        return
    aside = workspace.report / f".{thumbnails.FOLDER}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    for file, data in zip(thumbnails.file_names(pictures), pictures.values(), strict=True):
        (aside / file).write_bytes(data)
        (aside / file).replace(folder / file)
        workspace.written_bytes += len(data)
    aside.rmdir()
