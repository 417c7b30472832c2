"""A process that fails at a chosen instant: at the n-th time that it opens, renames or removes a file of its workspace.

Python tells an audit hook of each of these before it happens. The hook kills the process, interrupts it, or answers as
a full, limited or read-only disk does. So every instant between two files is met, the same ones with the same numbers.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}
DISK = {
    "disk full": errno.ENOSPC,
    "quota": errno.EDQUOT,
    "read-only": errno.EROFS,
    "input or output": errno.EIO,
}
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGINT": signal.SIGINT}
KINDS = (*SIGNALS, *DISK)


@dataclass(frozen=True)
class Fault:
    kind: str
    """One of KINDS, or 'file size': no file can grow beyond `at` bytes."""
    at: int
    """The number of the instant, from 0."""


def in_a_child(work: Callable[[], int], root: Path, fault: Fault | None = None) -> int:
    """Run `work` in a forked process with the fault; gives its exit code, or minus the signal that killed it.

    root: the workspace's folder; instants elsewhere do not count. An exception of `work` is printed, and gives 70.
    """
    child = os.fork()
    if child == 0:
        _leave(_run(work, root, fault))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def count_instants(work: Callable[[], int], root: Path) -> int:
    """How many instants there are at which `work` can fail; it is done in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        instants = _Instants(root, None)
        sys.addaudithook(instants)
        work()
        os.write(writing, str(instants.seen).encode())
        _leave(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return int(found)


def _run(work: Callable[[], int], root: Path, fault: Fault | None) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    if fault is not None and fault.kind == "file size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.at, fault.at))
    elif fault is not None:
        sys.addaudithook(_Instants(root, fault))
    try:
        return work()
    except BaseException:
        traceback.print_exc()
        return 70


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Instants:
    """An audit hook that counts, and acts at one count."""

    def __init__(self, root: Path, fault: Fault | None) -> None:
        self.root, self.fault, self.seen = os.fspath(root), fault, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not self._concerns(event, arguments):
            return
        number, self.seen = self.seen, self.seen + 1
        if self.fault is None or number != self.fault.at:
            return
        kind = self.fault.kind
        if kind in SIGNALS:
            os.kill(os.getpid(), SIGNALS[kind])
        else:
            raise OSError(DISK[kind], os.strerror(DISK[kind]))

    def _concerns(self, event: str, arguments: tuple[Any, ...]) -> bool:
        path = arguments[0]
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path).startswith(self.root):
            return False
        if event != "open":
            return True
        mode, flags = arguments[1], arguments[2]
        return any(sign in (mode or "") for sign in "wxa+") or bool(flags & (os.O_WRONLY | os.O_RDWR))
