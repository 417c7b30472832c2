"""Files are opened here: regular ones only, and without waiting.

A pipe would be waited for, a device has no end, and opening one may act on it. What is opened is looked at again, since
a name may lead elsewhere by then.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


class NotAFile(OSError):
    """What lies at a path is no regular file, or no file can have such a name."""


class TooLarge(OSError):
    """A file is larger than anything that is read of its kind."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading bytes; links are followed.

    Raises NotAFile, or any other OSError, whose `strerror` says why on one line.
    """
    try:
        _require_regular(path, os.stat(path))
        handle = os.open(path, os.O_RDONLY | _NO_WAIT)
    except ValueError as error:  # a zero byte, or a surrogate that stands for no byte
        raise NotAFile(errno.EINVAL, "no file can have this name", repr(path)) from error
    try:
        _require_regular(path, os.fstat(handle))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """All bytes of a file. Raises TooLarge where these are more than `most`, and OSError as `open_regular`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    if size > most or len(content) > most:
        raise TooLarge(
            errno.EFBIG, f"{max(size, len(content)):,} bytes, where {most:,} at most are read", str(path)
        )
    return content


def _require_regular(path: Path, at: os.stat_result) -> None:
    if not stat.S_ISREG(at.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(at.st_mode)), "something else")
        raise NotAFile(errno.EINVAL, f"{kind}, not a file", str(path))
