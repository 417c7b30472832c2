"""Threads that run networks, and one at a time that torch.fx follows: it changes the modules of all threads meanwhile.

While it traces a forward pass, torch.fx has functions of its own in the place of `nn.Module.__call__` and
`nn.Module.__getattr__`, and is not written for threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Any number of threads run beside each other, or one thread has its turn alone.

    Threads that run say so by `running`, and let others have their turn at each `pass_on`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = self._waiting = 0
        self._taken = False
        self._own = threading.local()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Context of a thread that works with modules."""
        with self._changed:
            self._begin()
        self._own.running = True
        try:
            yield
        finally:
            self._own.running = False
            with self._changed:
                self._end()

    def pass_on(self) -> None:
        """Inside of `running`: wait while another thread wants its turn, or has it."""
        with self._changed:
            if self._waiting or self._taken:
                self._end()
                self._begin()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Context of the one thread that has its turn; also inside of `running`."""
        runs = getattr(self._own, "running", False)
        with self._changed:
            if runs:
                self._end()
            self._waiting += 1
            self._changed.wait_for(lambda: not self._taken and not self._running)
            self._waiting -= 1
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                if runs:  # before others who wait for their turn: they get it at its next `pass_on`
                    self._running += 1
                self._changed.notify_all()

    def _begin(self) -> None:
        self._changed.wait_for(lambda: not self._taken and not self._waiting)
        self._running += 1

    def _end(self) -> None:
        self._running -= 1
        self._changed.notify_all()


TURNS = Turns()
"""Of all threads of the process, as what torch.fx changes is."""
