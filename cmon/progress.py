"""How long work tells how far it is: the one form in which stages take it and terminals give it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[..., Iterable[Any]]
"""`progress(iterable, description, total)` gives the iterable's items and may show how far it is."""


def silent(items: Iterable[Any], description: str = "", total: int | None = None) -> Iterable[Any]:
    """A `Progress` that shows nothing."""
    return items
