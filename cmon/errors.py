"""The errors that a user is meant to read."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from cmon.printable import printable


class CmonError(Exception):
    """Something is wrong with an input, and the user can do something about it.

    The message says where, what was expected, what was found, and what to do next. The command line
    prints it without a traceback and exits with 1; anything else that escapes is a bug of cmon's.
    """

    def __init__(
        self, problem: str, *, expected: str | None = None, found: str | None = None, hint: str | None = None
    ) -> None:
        self.problem, self.expected, self.found, self.hint = problem, expected, found, hint
        lines = [printable(problem)]
        lines += [f"  expected: {_one_line(expected)}"] if expected else []
        lines += [f"  found:    {_one_line(found)}"] if found else []
        lines += [f"  next:     {_one_line(hint)}"] if hint else []
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it can be sent from one process to another as it is."""
        return _build, (type(self), self.problem, self.expected, self.found, self.hint), vars(self)

    @property
    def line(self) -> str:
        """The message on one line, for a table's row or a warning."""
        parts = [
            self.problem,
            self.expected and f"expected {self.expected}",
            self.found and f"found {self.found}",
            self.hint and f"next: {self.hint}",
        ]
        return "; ".join(_one_line(part) for part in parts if part)


def _build(
    kind: type[CmonError], problem: str, expected: str | None, found: str | None, hint: str | None
) -> CmonError:
    return kind(problem, expected=expected, found=found, hint=hint)


def _one_line(text: str) -> str:
    """Without line ends, as messages of other libraries have them, so that no name can begin a line."""
    return printable(" ".join(text.split()))


class OptionError(CmonError):
    """Options that cannot be as they are given, or not together. The command line exits with 2, as for wrong usage."""


def require_known(option: str, given: str, known: Iterable[str]) -> None:
    """Raise OptionError for a value that is none of the known ones."""
    known = list(known)
    if given not in known:
        raise OptionError(
            f"{option} {given}: there is no such value", expected="one of " + ", ".join(known), found=given
        )


def nearest_names(wanted: str, known: Iterable[str], limit: int = 5) -> str:
    """A hint for a name that does not exist: the names near to it, or the first known ones if none is near.

    >>> nearest_names("layer44", ["layer3", "layer4", "fc"])
    "did you mean 'layer4' or 'layer3'?"
    >>> nearest_names("features", ["fc", "conv1"])
    'known names: fc, conv1'
    """
    known = list(known)
    near = get_close_matches(wanted, known, n=limit, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(name) for name in near) + "?"
    shown = ", ".join(known[: 2 * limit])
    return f"known names: {shown}" + (f" and {len(known) - 2 * limit} more" if len(known) > 2 * limit else "")
