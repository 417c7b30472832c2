"""The mark beside the page by which an open page sees that the report was made again; see web/newest.js.

A style sheet, since a page that was opened from disk may load that and read what it sets, but no other file.
"""

from __future__ import annotations

from pathlib import Path

from cmon.reporting.output import write_bytes
from cmon.workspace.workspace import Workspace


def mark_newest(workspace: Workspace, origin: str) -> None:
    """Say that the page that is there is of this origin."""
    write_bytes(workspace, _path(workspace), _mark(origin))


def is_newest(workspace: Workspace, origin: str) -> bool:
    """Whether the mark says so."""
    try:
        return _path(workspace).read_bytes() == _mark(origin)
    except OSError:
        return False


def _path(workspace: Workspace) -> Path:
    return workspace.report / "newest.css"


def _mark(origin: str) -> bytes:
    return f':root{{--cmon-newest:"{origin}"}}\n'.encode()
