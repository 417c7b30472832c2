"""Patterns of layers' names, as `--layer` takes them in every command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def match_names(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern matches, in their order; a name itself matches, whatever signs it holds.

    `*` stands for any characters but a dot and `?` for one, so that `blocks.*` are the blocks and not what is in
    them; `**` stands for any characters; `[...]` for one of some, as in file names.
    """
    names = list(names)
    if pattern in names:
        return [pattern]
    expression = _expression(pattern)
    return [name for name in names if expression.fullmatch(name)]


def match_all(patterns: Sequence[str], names: Iterable[str]) -> tuple[list[str], list[str]]:
    """(The names that any of the patterns matches, each once and in their order; the patterns that match none)."""
    names = list(names)
    found: set[str] = set()
    without = []
    for pattern in patterns:
        matching = match_names(pattern, names)
        found.update(matching)
        if not matching:
            without.append(pattern)
    return [name for name in names if name in found], without


_SIGNS = re.compile(r"\*\*|\*|\?|\[!?\]?[^\]]*\]")


def _expression(pattern: str) -> re.Pattern[str]:
    parts, end = [], 0
    for sign in _SIGNS.finditer(pattern):
        parts += [re.escape(pattern[end : sign.start()]), _translate(sign.group())]
        end = sign.end()
    try:
        return re.compile("".join([*parts, re.escape(pattern[end:])]))
    except re.error:  # such as [z-a], which matches nothing
        return re.compile(r"(?!)")


def _translate(sign: str) -> str:
    if sign in ("**", "*", "?"):
        return {"**": ".*", "*": "[^.]*", "?": "[^.]"}[sign]
    inside = sign[1:-1].replace("\\", r"\\").replace("[", r"\[")
    if inside.startswith("!"):
        return f"[^{inside[1:]}]"
    return f"[{re.escape('^') + inside[1:] if inside.startswith('^') else inside}]"
