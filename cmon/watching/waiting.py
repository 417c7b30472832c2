"""Errors of one round that may be gone at the next: waiting helps against them, and against no others."""

from __future__ import annotations


def waiting_helps(error: BaseException) -> bool:
    """Whether an error comes from the machine, not from what was asked for.

    A full disk, a quota, a folder on a network that is away, a lock that another process holds (all of them OSError),
    or memory, of the machine or of a GPU, that the training needs just now.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (OSError, MemoryError)) or type(cause).__name__ == "OutOfMemoryError":
            return True
        cause = cause.__cause__
    return False
