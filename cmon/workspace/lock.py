"""One writer at a time: a lock on a workspace, which says whom it waits for, and which a dead process does not hold.

The lock is filelock's: the operating system's own, which goes with the process however that ends and works over NFS
too, and where a file system has none, a file that names its owner. Readers take no lock: a visible table is whole.

Parts of a command (`--part I/N`) write side by side, each with a lock of its own. To take it, a part must have the
workspace's lock for a moment; whoever keeps that one then waits until all parts are done. So a command waits for the
parts that run, and no part begins before it has ended.
"""

from __future__ import annotations

import json
import logging
import os
import re
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
_OTHERS = ".lock."
"""How the names of all other locks begin: `.lock.extract 3 of 100` of a part, `.lock.pixels` of what one part does."""
_POLL_SECONDS = 0.2
_MOMENT_SECONDS = 0.5
"""A part that begins has the workspace's lock no longer than a moment: then nobody needs to be told."""


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

    @contextmanager
    def held_by_part(self, command: str, part: str) -> Iterator[None]:
        """Write beside other parts of the same command as long as the block lasts, and beside no other command.

        part: 'I/N'. The same part in another process is waited for, too. Nothing that was left aside is removed: it
        may be another part's.
        """
        name = f"{_OTHERS}{command} {part.replace('/', ' of ')}"
        said = False
        while True:
            with self._kept(_LOCK):
                own = self._try(name)
            if own is not None:
                break
            if not said:
                logger.warning("%s: waiting for another process that does part %s", self.root, part)
                said = True
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            own.release()

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Be the only part that does something as long as the block lasts; others wait. what: a word for it."""
        with self._kept(f"{_OTHERS}{what}"):
            yield

    @contextmanager
    def _kept(self, name: str) -> Iterator[None]:
        lock = self._wait_for(name)
        try:
            yield
        finally:
            lock.release()

    def _try(self, name: str) -> BaseFileLock | None:
        """The lock of a name; None if another process has it."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / name)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _wait_for(self, name: str) -> BaseFileLock:
        """The lock of a name, once no other process has it; what is waited for is said. Raises OSError."""
        from filelock import FileLock, Timeout

        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / name)
        try:
            lock.acquire(timeout=_MOMENT_SECONDS, poll_interval=_POLL_SECONDS / 4)
        except Timeout:
            logger.warning("%s: waiting for %s", self.root, self._holder(name))
            lock.acquire(poll_interval=_POLL_SECONDS)
        return lock

    def _acquire(self, command: str) -> bool:
        try:
            self._made = not self.root.exists()
            lock = self._wait_for(_LOCK)
        except OSError:  # a read-only folder
            return False
        self._lock = lock
        self._wait_for_parts()
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

    def _wait_for_parts(self) -> None:
        """Wait until no part writes; none begins meanwhile, since this process has the workspace's lock."""
        for path in sorted(self.root.glob(f"{_OTHERS}*")):
            with suppress(OSError), self._kept(path.name):
                path.unlink()

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

    def _holder(self, name: str) -> str:
        """Who has the lock of a name, in words."""
        if part := re.fullmatch(rf"{re.escape(_OTHERS)}(\w+) (\d+) of (\d+)", name):
            return f"part {part[2]}/{part[3]} of `cmon {part[1]}`"
        if name.startswith(_OTHERS):
            return f"another part, which makes what all parts need: {name.removeprefix(_OTHERS)}"
        try:
            who = json.loads((self.root / _HOLDER).read_text())
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(who["since"]))
            command, process = f"`cmon {who['command']}`", f"process {who['process']} on {who['host']}"
            return f"{command}, {process}, which writes there since {since}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process, which writes there"
