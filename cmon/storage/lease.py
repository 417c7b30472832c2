"""A lock where there is no operating system's: an object that one process makes, and goes on changing while it lives.

An object is made only if there is none: stores can do that (`If-None-Match` in S3), and one that cannot is refused.
Its holder writes it anew every `beat` seconds. Who waits calls it dead once it has not changed for `dead` seconds by
its own clock, so that no clocks are compared; it removes the object, makes its own, waits a moment, and looks whether
that is the one that is there. A holder that could not write for three quarters of that time takes itself for robbed,
and writes no more.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from cmon.errors import CmonError
from cmon.storage.failures import explained
from cmon.storage.url_path import UrlPath
from cmon.storage.urls import connect

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Times:
    """Seconds."""

    beat: float = 20.0
    """Between two changes of the object."""
    dead: float = 120.0
    """Without a change until it counts as left by a process that is gone."""
    settle: float = 5.0
    """From taking over to looking whether another process did, too."""

    @property
    def silent(self) -> float:
        """Without being able to write until the holder itself takes the lease for lost: before others may."""
        return 0.75 * self.dead


TIMES = Times()


class Lease:
    """The lock of one name, for one process. `acquire` and `release` are as of filelock's."""

    def __init__(self, path: UrlPath, who: Mapping[str, Any], times: Times | None = None) -> None:
        """who: what others may say of the holder while they wait."""
        self.path, self.times = UrlPath(str(path)), times or TIMES
        self._who = dict(who)
        self._token = ""
        self._beats = 0
        self._seen: tuple[bytes, float] | None = None
        """What another holder's object was, and since when."""
        self._beaten = 0.0
        self._robbed = False
        self._end = Event()
        self._thread: Thread | None = None

    def acquire(self, timeout: float = -1, poll_interval: float = 0.2) -> None:
        """Raises TimeoutError where another process has it for `timeout` seconds (-1: wait), CmonError of the store."""
        began = _now()
        while not (self._create() or self._take_over()):
            if 0 <= timeout <= _now() - began:
                raise TimeoutError(str(self.path))
            time.sleep(max(poll_interval, min(1.0, self.times.beat / 10)))
        self._end = Event()
        self._thread = Thread(target=self._beat, name="cmon-lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give it back, if it is still this process's."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with suppress(CmonError, FileNotFoundError):
            if not self._robbed and self._is_ours(self._read()):
                self.path.unlink(missing_ok=True)

    def require_held(self) -> None:
        """Raise CmonError where another process took the lease over, or could have."""
        if not self._robbed and _now() - self._beaten < self.times.silent and self._is_ours(self._read()):
            return
        self._robbed = True
        raise CmonError(
            f"{self.path}: another process took over the right to write to the workspace",
            expected=f"that this process could write there at least every {self.times.silent:g} seconds",
            found="no connection for a while, or a machine that slept",
            hint="run the command again: it waits for the other, and what was finished is kept",
        )

    def holder(self) -> dict[str, Any]:
        """What the holder says of itself; empty if nobody has it."""
        return _parse(self._read())

    # -- the object -------------------------------------------------------------------------------
    def _content(self) -> bytes:
        self._beats += 1
        return json.dumps({**self._who, "token": self._token, "beats": self._beats}).encode()

    def _create(self) -> bool:
        """Make the object; False if there is one."""
        self._token = secrets.token_hex(16)
        before = _now()
        if not self._make():
            return False
        if not self._knows_exclusive():
            self.path.unlink(missing_ok=True)
            raise CmonError(
                f"{self.path}: no workspace can be in this store",
                expected="a store in which one process alone can make a file, as S3, Google Cloud Storage and Azure",
                found=f"{self.path.scheme}://, in which a second could, too",
                hint="use a folder, or another store; inputs can be read from this one",
            )
        self._beaten, self._robbed, self._seen = before, False, None
        return True

    def _make(self) -> bool:
        system, path = connect(str(self.path))
        try:
            with explained(str(self.path), "cannot be written", FileExistsError):
                system.pipe_file(path, self._content(), mode="create")
        except FileExistsError:
            return False
        return True

    def _knows_exclusive(self) -> bool:
        """Whether making the object again is refused, as it must be. Asked once for each kind of store."""
        if self.path.scheme not in _EXCLUSIVE:
            with suppress(FileNotFoundError):
                if self._make() or not self._is_ours(self._read()):
                    return False
            _EXCLUSIVE.add(self.path.scheme)
        return True

    def _take_over(self) -> bool:
        """Make the object in place of one that a dead process left; False if none is known to be dead."""
        there = self._read()
        if there is None:
            self._seen = None
            return False
        if self._seen is None or self._seen[0] != there:
            self._seen = there, _now()
            return False
        if _now() - self._seen[1] < self.times.dead:
            return False
        logger.warning(
            "%s: %s was not heard of for %g seconds, and counts as ended",
            self.path.parent,
            describe(_parse(there)),
            self.times.dead,
        )
        self._seen = None
        self.path.unlink(missing_ok=True)
        if not self._create():
            return False
        time.sleep(self.times.settle)  # another that waited may just have removed what was made here
        return self._is_ours(self._read())

    def _beat(self) -> None:
        while not self._end.wait(self.times.beat):
            with suppress(Exception):  # the store may answer next time; else `require_held` finds out
                before = _now()
                if before - self._beaten >= self.times.silent or not self._is_ours(self._read()):
                    self._robbed = True
                    return
                self.path.write_bytes(self._content())
                self._beaten = before

    def _read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def _is_ours(self, content: bytes | None) -> bool:
        return _parse(content).get("token") == self._token


_EXCLUSIVE: set[str] = set()
"""Protocols of stores that were seen to refuse a second object of one name."""


def this_process(command: str) -> dict[str, Any]:
    """What a holder says of itself."""
    return {"host": socket.gethostname(), "process": os.getpid(), "command": command, "since": time.time()}


def describe(who: Mapping[str, Any]) -> str:
    """Who has a lock, in words. who: as of `this_process`."""
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(who["since"]))
        command, process = f"`cmon {who['command']}`", f"process {who['process']} on {who['host']}"
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return "another process, which writes there"
    return f"{command}, {process}, which writes there since {since}"


def _now() -> float:
    """Seconds, counted while the machine sleeps, too, where that can be known."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _parse(content: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
