"""What torch.save pickled, read as weights only, and within limits: a short pickle may ask for endless work.

torch's own unpickler for weights finds the classes and builds the tensors; it runs no code of a file. Here it is given
the pickle step by step, and stopped where that would take more memory or time than a checkpoint's facts can need.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pickle import UnpicklingError
from typing import Any, BinaryIO

_MOST_STEPS = 1_000_000
"""Readings of a pickle: a tensor takes about 60, a number in a list 2."""
_MOST_BYTES = 1 << 26
"""In one pickle, and in all copies that its functions are asked for."""
_MOST_TEXT = 1 << 22
_MOST_TUPLE = 100_000
"""Leaves of a tuple. One that holds another twice, and so on, is hashed for hours where it is a key."""
_MOST_LONG = 1_000
"""Whole numbers of over 8 bytes, as random generators have. Many with one hash make a slow dict."""
_BYTES_OF_ITEM = 64
_SET_STEPS = 4
"""An empty set is as large as four other empty objects."""
_ONE = (b"h", b"j", b"q", b"r", b"K", b"M", b"J", b"G", b"\x80")
_ARGUMENTS = dict.fromkeys(_ONE, 1) | {b"X": 2, b"U": 2, b"\x8a": 2}
"""How many readings follow an instruction: of a length and what is so long, or of a number alone."""
_REFUSED = (b"_rebuild_device_tensor", b"_rebuild_xla_tensor", b"_rebuild_wrapper_subclass")
"""Functions of torch that copy a tensor to its full size, or make one that is none."""


class TooMuch(UnpicklingError):
    """The pickle asks for more than is read of any checkpoint."""


class Steps:
    """A pickle's bytes, as torch's unpickler reads them; counts what they ask for."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.stack: Callable[[], Sequence[Any]] = list
        self.steps = self.copied = self.long = self.arguments = 0
        self.instruction = b""

    def read(self, size: int) -> bytes:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise TooMuch(f"a pickle of more than {_MOST_STEPS:,} steps")
        if self.arguments:
            self.arguments -= 1
            if size > _MOST_TEXT:
                raise TooMuch(f"a text of {size:,} bytes in its pickle")
            self.long += size > 8 and self.instruction == b"\x8a"
            if self.long > _MOST_LONG:
                raise TooMuch(f"over {_MOST_LONG:,} whole numbers of more than 8 bytes in its pickle")
            return self.source.read(size)
        self.instruction = found = self.source.read(size)
        self.arguments = _ARGUMENTS.get(found, 0)
        if found == b"R":
            self._weigh(self.stack()[-1:])
        elif found in (b"q", b"r"):
            require_small(self.stack()[-1:])
        elif found == b"\x8f":
            self.steps += _SET_STEPS
        return found

    def readline(self) -> bytes:
        self.steps += 1
        return self.source.readline(_MOST_TEXT)

    def _weigh(self, arguments: Sequence[Any]) -> None:
        """Count what a function is given, since it may copy that."""
        for values in arguments:
            for value in values if isinstance(values, tuple) else ():
                if isinstance(value, (str, bytes, bytearray)):
                    self.copied += len(value)
                elif isinstance(value, (list, tuple, dict, set)):
                    self.copied += _BYTES_OF_ITEM * len(value)
        if self.copied > _MOST_BYTES:
            raise TooMuch("a pickle that copies its texts and lists over and over")


def unpickle(source: BinaryIO, persistent_load: Callable[[Any], Any]) -> Any:
    """One pickled object, as `torch.load` gives it with `weights_only`; its storages are what `persistent_load` gives.

    To be called inside `torch.serialization.safe_globals`. Raises TooMuch, or any error that torch's unpickler does.
    """
    import torch
    from torch import _weights_only_unpickler

    steps = Steps(source)
    # The interface of torch's C readers has no way to check a storage's length against the file's.
    unpickler: Any = _weights_only_unpickler.Unpickler(steps, encoding="utf-8")
    unpickler.persistent_load = persistent_load
    steps.stack = lambda: unpickler.stack
    try:
        return unpickler.load()
    finally:
        # torch.load would check these, for as long as their sizes say; cmon reads no sparse weights.
        torch._utils._sparse_tensors_to_validate.clear()
        # The two hold each other; the file that they read from must not stay open until that is found.
        del steps.stack, unpickler.persistent_load


def unpickle_bytes(content: bytes, persistent_load: Callable[[Any], Any]) -> Any:
    """As `unpickle`, of a pickle of its own."""
    require_known(content)
    return unpickle(io.BytesIO(content), persistent_load)


def require_known(content: bytes) -> None:
    """Raise TooMuch for functions that make more of a tensor than the file holds."""
    if name := next((name for name in _REFUSED if name in content), None):
        raise TooMuch(f"a tensor of another device or class ({name.decode()})")
    if len(content) > _MOST_BYTES:
        raise TooMuch(f"a pickle of {len(content):,} bytes")


def require_small(values: Sequence[Any]) -> None:
    """Raise TooMuch for a tuple that has too many leaves, each counted as often as it is reached."""
    waiting = [value for value in values if type(value) is tuple]
    leaves = 0
    while waiting:
        inner = waiting.pop()
        leaves += len(inner)
        if leaves > _MOST_TUPLE:
            raise TooMuch("tuples inside tuples without an end")
        waiting += [value for value in inner if type(value) is tuple]
