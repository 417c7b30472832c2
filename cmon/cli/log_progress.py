"""Progress where there is no terminal: lines in a log, often enough to see that it goes on, and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

EVERY = 60.0
"""Seconds between two lines of a task."""


def track(
    items: Iterable[Any], description: str, total: int, say: Callable[[str], None], every: float = EVERY
) -> Iterator[Any]:
    """The items; meanwhile `say` is given a line each `every` seconds, also within an item, and one at the end.

    'reading thumbnails: 120 of 1,844 (7 %), 2.1 per second, 14 min left'
    """
    start = time.monotonic()
    done = 0
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(every):
            say(progress_line(description, done, total, time.monotonic() - start))

    # A thread, since one item may take minutes; a daemon, so that it holds up no exit.
    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        for item in items:
            yield item
            done += 1
    finally:
        stop.set()
        speaker.join()
    say(f"{description}: {done:,} of {total:,} in {duration(time.monotonic() - start)}")


def progress_line(description: str, done: int, total: int, seconds: float) -> str:
    """How far a task is after so many seconds."""
    line = f"{description}: {done:,} of {total:,}"
    if not done:
        return f"{line}, {duration(seconds)} gone"
    left = duration((total - done) * seconds / done)
    return f"{line} ({done / total:.0%}), {done / seconds:.3g} per second, about {left} left"


def duration(seconds: float) -> str:
    """
    >>> duration(0.4), duration(75), duration(600), duration(9000)
    ('0 s', '75 s', '10 min', '2 h 30 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
