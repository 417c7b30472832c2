"""The report's files."""

from __future__ import annotations

from pathlib import Path

from cmon.workspace.files import atomic_write
from cmon.workspace.workspace import Workspace


def write_bytes(workspace: Workspace, path: Path, content: bytes) -> None:
    """Write a whole file, and count its bytes among those that the stage wrote."""
    with atomic_write(path) as aside:
        aside.write_bytes(content)
    workspace.written_bytes += len(content)
