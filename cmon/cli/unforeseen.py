"""An error that nobody foresaw: one paragraph for the user, and a file with the traceback for whoever mends it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import traceback
from datetime import datetime, timezone
from pathlib import Path

import cmon
from cmon.printable import printable, printable_lines

EXIT = 1
_LONGEST = 300
"""Letters of an error's own words in the message."""
_OF_THE_MACHINE = {
    "ENOSPC": "the disk is full",
    "EDQUOT": "the disk's quota is used up",
    "EMFILE": "too many files are open",
    "EACCES": "the right to do this is missing",
    "EPERM": "the right to do this is missing",
    "EROFS": "the disk may only be read",
    "ENAMETOOLONG": "a name or path is too long for this disk",
}


def describe(error: BaseException) -> str:
    """What to tell the user of an error that is a fault of cmon's, or of the machine's; the traceback goes to a file.

    One paragraph: what happened, where the traceback was written, what to do. It raises nothing: where no file can
    be written, it says so.
    """
    cause = _cause(error)
    happened = printable(" ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":"))
    happened = happened[:_LONGEST] + (" ..." if len(happened) > _LONGEST else "")
    path = _write(error)
    where = (
        f"the traceback is in {printable(str(path))}"
        if path
        else "the traceback could not be written to a file"
    )
    if cause:
        problem, next_step = f"cmon could not go on: {cause}", f"mend that and run the same again; {where}"
    else:
        problem = "cmon failed where it should not have: an error that nobody foresaw"
        next_step = f"{where}, with your paths and options; report it with that file"
    return f"{problem}\n  found:    {happened}\n  next:     {next_step}; what was finished before is kept"


def _cause(error: BaseException) -> str | None:
    """What is wrong with the machine, if that is what an error says."""
    if isinstance(error, MemoryError):
        return "the memory is used up"
    code = errno.errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else ""
    return _OF_THE_MACHINE.get(code)


def _write(error: BaseException) -> Path | None:
    """Write the traceback, readable by the user alone: it has paths and the command line in it."""
    now = datetime.now(timezone.utc)
    text = "".join(traceback.format_exception(error))
    command = " ".join(map(repr, sys.argv))
    content = f"cmon {cmon.__version__}, Python {sys.version.split()[0]}, {sys.platform}, {now:%Y-%m-%d %H:%M:%S} UTC\n"
    content += f"{command}\n\n{text}"
    for folder in (None, "."):
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(prefix=f"cmon-{now:%Y%m%d-%H%M%S}-", suffix=".txt", dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(printable_lines(content))
            return Path(name)
    return None
