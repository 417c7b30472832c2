"""One writer at a time: a lock on a workspace, which says whom it waits for, and which a dead process does not hold.

The lock is filelock's: the operating system's own, which goes with the process however that ends and works over NFS
too, and where a file system has none, a file that names its owner. Readers take no lock: a visible table is whole.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cmon.workspace.files import sweep

if TYPE_CHECKING:
    from filelock import BaseFileLock

logger = logging.getLogger(__name__)

_LOCK, _HOLDER = ".lock", ".lock-holder.json"
_POLL_SECONDS = 0.2


class WriterLock:
    """The lock of one workspace. The same object can take it again while it has it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock: BaseFileLock | None = None
        self._depth = 0
        self._made = False
        """Whether the folder was not there before this process had the lock."""

    @contextmanager
    def held(self, command: str) -> Iterator[None]:
        """Have the lock as long as the block lasts; wait for it, and say who has it, if another process does.

        What killed processes left aside is removed first. Where nothing can be written, not even the lock, the block
        runs without it: it can only read. command: what to call this process while others wait.
        """
        if self._depth == 0 and not self._acquire(command):
            yield
            return
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._release()

    def _acquire(self, command: str) -> bool:
        from filelock import FileLock, Timeout

        try:
            self._made = not self.root.exists()
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / _LOCK)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                logger.warning("%s: waiting for %s", self.root, self._holder())
                lock.acquire(poll_interval=_POLL_SECONDS)
        except OSError:  # a read-only folder
            return False
        self._lock = lock
        with suppress(OSError):
            who = {
                "host": socket.gethostname(),
                "process": os.getpid(),
                "command": command,
                "since": time.time(),
            }
            (self.root / _HOLDER).write_text(json.dumps(who))
        sweep(self.root)
        return True

    def _release(self) -> None:
        assert self._lock is not None
        with suppress(OSError):
            (self.root / _HOLDER).unlink()
        with suppress(OSError):
            if self._is_empty():  # a command that was refused leaves nothing, and no folder that it made
                (self.root / _LOCK).unlink()
                if self._made:
                    shutil.rmtree(self.root)
        self._lock.release()
        self._lock = None

    def _is_empty(self) -> bool:
        """Whether there is no file but the lock."""
        if any(self.root.glob("*.parquet")):
            return False
        return all(path.is_dir() or path == self.root / _LOCK for path in self.root.rglob("*"))

    def _holder(self) -> str:
        """Who has the lock, in words."""
        try:
            who = json.loads((self.root / _HOLDER).read_text())
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(who["since"]))
            command, process = f"`cmon {who['command']}`", f"process {who['process']} on {who['host']}"
            return f"{command}, {process}, which writes there since {since}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process, which writes there"
