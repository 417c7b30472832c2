"""`--part I/N`: the I-th of N shares of a list, for N programs at once that know nothing of each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from cmon.errors import OptionError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """The I-th of N shares."""

    number: int
    """From 1 to `of`."""
    of: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """`3/100`. Raises OptionError for what is no share."""
        found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise OptionError(
                f"--part {text}: is no share of the work",
                expected="I/N with I from 1 to N, for example 3/100",
                found=text,
            )
        return cls(int(found[1]), int(found[2]))

    def choose(self, items: Sequence[Item]) -> list[Item]:
        """Its share: items that stand side by side. All N shares are the list, and differ by one item at most.

        >>> [Part(number, 3).choose("abcdefgh") for number in (1, 2, 3)]
        [['a', 'b'], ['c', 'd', 'e'], ['f', 'g', 'h']]
        """
        first, last = ((len(items) * number) // self.of for number in (self.number - 1, self.number))
        return list(items[first:last])

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"
