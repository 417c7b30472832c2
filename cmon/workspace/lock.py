"""One writer at a time: a lock on a workspace, which says whom it waits for, and which a dead process does not hold.

The lock is filelock's: the operating system's own, which goes with the process however that ends and works over NFS
too, and where a file system has none, a file that names its owner; in a store it is a `Lease`. Readers take no lock:
a visible table is whole.

Parts of a command (`--part I/N`) write side by side, each with a lock of its own. To take it, a part must have the
workspace's lock for a moment; whoever keeps that one then waits until all parts are done. So a command waits for the
parts that run, and no part begins before it has ended.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from cmon.errors import CmonError
from cmon.storage import lease
from cmon.storage.lease import Lease
from cmon.storage.url_path import UrlPath
from cmon.workspace.files import sweep

logger = logging.getLogger(__name__)

_LOCK, _HOLDER = ".lock", ".lock-holder.json"
_OTHERS = ".lock."
"""How the names of all other locks begin: `.lock.extract 3 of 100` of a part, `.lock.pixels` of what one part does."""
_POLL_SECONDS = 0.2
_MOMENT_SECONDS = 0.5
"""A part that begins has the workspace's lock no longer than a moment: then nobody needs to be told."""
_STORES_SECONDS = 5.0
"""The same, and between two tries of a part that waits, where every look is a request to a store."""


class Lock(Protocol):
    """What filelock's locks and a `Lease` have."""

    def acquire(self, timeout: float = ..., poll_interval: float = ...) -> Any:
        """Raises TimeoutError."""

    def release(self) -> None: ...


class WriterLock:
    """The lock of one workspace. The same object can take it again while it has it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock: Lock | None = None
        self._leases: list[Lease] = []
        """Those that this object has, in a store."""
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
        own = self._named(name, command)
        said = False
        while True:
            with self._kept(_LOCK, command), suppress(TimeoutError):
                own.acquire(timeout=0)
                break
            if not said:
                logger.warning("%s: waiting for another process that does part %s", self.root, part)
                said = True
            time.sleep(_STORES_SECONDS if isinstance(own, Lease) else _POLL_SECONDS)
        with self._held_until_end(own):
            yield

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Be the only part that does something as long as the block lasts; others wait. what: a word for it."""
        with self._kept(f"{_OTHERS}{what}"):
            yield

    def require_held(self) -> None:
        """Raise CmonError where this object had a lock of a store, and another process took it over."""
        for own in self._leases:
            own.require_held()

    @contextmanager
    def _kept(self, name: str, command: str = "") -> Iterator[None]:
        with self._held_until_end(self._wait_for(name, command)):
            yield

    @contextmanager
    def _held_until_end(self, lock: Lock) -> Iterator[None]:
        self._note(lock)
        try:
            yield
        finally:
            self._give_back(lock)

    def _note(self, lock: Lock) -> None:
        if isinstance(lock, Lease):
            self._leases.append(lock)

    def _give_back(self, lock: Lock) -> None:
        self._leases = [own for own in self._leases if own is not lock]
        lock.release()

    def _named(self, name: str, command: str) -> Lock:
        """The lock of a name, which this process does not have yet."""
        if isinstance(self.root, UrlPath):
            return Lease(self.root / name, lease.this_process(command))
        from filelock import FileLock

        self.root.mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / name)

    def _wait_for(self, name: str, command: str) -> Lock:
        """The lock of a name, once no other process has it; what is waited for is said. Raises OSError."""
        lock = self._named(name, command)
        moment = _STORES_SECONDS if isinstance(lock, Lease) else _MOMENT_SECONDS
        try:
            lock.acquire(timeout=moment, poll_interval=_POLL_SECONDS / 4)
        except TimeoutError:
            logger.warning("%s: waiting for %s", self.root, self._holder(name))
            lock.acquire(poll_interval=_POLL_SECONDS)
        return lock

    def _acquire(self, command: str) -> bool:
        try:
            self._made = not self.root.exists()
            lock = self._wait_for(_LOCK, command)
        except OSError:  # a read-only folder
            return False
        except CmonError as error:
            if isinstance(error.__cause__, PermissionError):  # a store for reading alone
                return False
            raise
        self._lock = lock
        self._note(lock)
        try:
            self._wait_for_parts()
        except BaseException:
            self._release()
            raise
        if isinstance(lock, Lease):  # it says who has it, and nothing is left aside in a store
            return True
        with suppress(OSError):
            (self.root / _HOLDER).write_text(json.dumps(lease.this_process(command)))
        sweep(self.root)
        return True

    def _wait_for_parts(self) -> None:
        """Wait until no part writes; none begins meanwhile, since this process has the workspace's lock."""
        for path in sorted(self.root.glob(f"{_OTHERS}*")):
            with suppress(OSError), self._kept(path.name):
                if not isinstance(path, UrlPath):  # which a lease removes itself
                    path.unlink()

    def _release(self) -> None:
        assert self._lock is not None
        lock, self._lock = self._lock, None
        if isinstance(lock, Lease):
            self._give_back(lock)
            return
        with suppress(OSError):
            (self.root / _HOLDER).unlink()
        with suppress(OSError):
            if self._is_empty():  # a command that was refused leaves nothing, and no folder that it made
                (self.root / _LOCK).unlink()
                if self._made:
                    shutil.rmtree(self.root)
        lock.release()

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
            file = self.root / (name if isinstance(self.root, UrlPath) else _HOLDER)
            return lease.describe(json.loads(file.read_text()))
        except (OSError, ValueError):
            return lease.describe({})
