"""Ctrl-C ends a command within two seconds, wherever it is, and says what is kept.

Python raises KeyboardInterrupt between two of its own steps. A step can last: compiled code that runs for a minute, a
pool that waits for its threads. So a second thread waits for the signal too, and ends the process where the first has
not: every file is written aside and moved when it is whole, and what lies aside is removed by the next command.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT = 130
_PATIENCE = 1.5
"""Seconds from the signal until the process is ended."""

KEPT = {
    "extract": "what was finished is kept: the decoded images, if all were, and the activations of each checkpoint; "
    "the same command goes on from there",
    "score": "what was finished is kept: CLIP vectors, and the scores of each run, layer and epoch; the same command "
    "goes on from there, and `cmon embed` refuses what does not belong together until it has",
    "embed": "the plane is the one of before, or the new one if it was whole; the same command makes what is missing",
    "report": "what was finished is kept, and the page is written last; the same command goes on from there",
    "watch": "what was finished is kept, and the same command goes on from there; an epoch of which a stage is "
    "missing is done first",
    "drop": "the workspace is as before, or without what was to go; the same command says which",
}
"""What is kept of a command that was interrupted."""


def words(command: str | None) -> str:
    """What to say of an interrupted command."""
    kept = KEPT.get(command or "", "what was finished is kept, and the same command goes on from there")
    return f"interrupted: {kept}"


@contextmanager
def ended_promptly(command: Callable[[], str | None]) -> Iterator[None]:
    """As long as the block lasts, SIGINT ends the process `_PATIENCE` seconds later if KeyboardInterrupt has not.

    Only in the main thread, where signals arrive. command: gives the name of the one that runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiving, sending = socket.socketpair()
    sending.setblocking(False)
    done = threading.Event()

    def end() -> None:
        if signal.SIGINT in receiving.recv(1) and not done.wait(_PATIENCE):
            sys.stderr.write(f"\nerror: {words(command())}\n")
            sys.stderr.flush()
            os._exit(EXIT)

    before = signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=end, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(before)
        sending.close()  # ends the thread's waiting
        watcher.join(timeout=1)
        receiving.close()
