"""Which checkpoints stand still: a file that is still being written grows, or at least becomes younger."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

from cmon.watching.folders import Files


class Settling:
    """Looks at one listing after another, and remembers since when each checkpoint has been as it is.

    The time is that of the looks: the clock of a file server may be another one.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        """How long a checkpoint must stand still to count as written."""
        self.moving: Set[Path] = frozenset()
        """What did not stand still at the last look."""
        self._since: dict[Path, tuple[Files, float]] = {}

    def look(self, listing: Mapping[Path, Files], now: float) -> dict[Path, Files]:
        """Those of the listing that stand still. now: seconds on a clock that only runs forward."""
        self._since = {
            path: before if (before := self._since.get(path)) and before[0] == files else (files, now)
            for path, files in listing.items()
        }
        still = {path: files for path, (files, since) in self._since.items() if now - since >= self.seconds}
        self.moving = self._since.keys() - still.keys()
        return still
