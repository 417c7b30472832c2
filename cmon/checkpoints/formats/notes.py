"""JSON that programs write beside weights: read within limits, so that notes cannot fill the memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.base import damaged
from cmon.regular_files import TooLarge, read_regular

_MOST = 32 << 20
"""Bytes: a training that logged 200,000 times."""
_MOST_CONTAINERS = 2_000_000
"""Lists and objects: empty ones take thirty times as much memory as they have letters."""


def read_notes(path: Path, expected: str, most: int = _MOST) -> dict[str, Any]:
    """The object in a JSON file of at most so many bytes.

    Raises CmonError, with what was expected, where there is none, and OSError.
    """
    try:
        content = read_regular(path, most)
        if content.count(b"{") + content.count(b"[") > _MOST_CONTAINERS:
            raise ValueError("millions of lists")
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}")
    except RecursionError as error:
        raise damaged(path, expected, ValueError("lists inside lists without an end")) from error
    except (ValueError, TooLarge) as error:
        raise damaged(path, expected, error) from error
    return found
