"""Text that can be shown and stored: what would act on a terminal or a reader stands as its number.

Names of files need not be UTF-8, and Python keeps their bytes as surrogates. Names and labels may hold what moves a
terminal's cursor, or turns the order of letters round, so that a text reads as another one.
"""

from __future__ import annotations

import re

_ACTING = (
    "\x00-\x1f\x7f-\x9f"  # control characters: Escape, line ends, ...
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of writing
    "\u2028\u2029"  # line ends
    "\ud800-\udfff"
    "\ufffe\uffff"  # no characters: XML with one of them is none
)
_UNPRINTABLE = re.compile(f"[{_ACTING}]")
_UNPRINTABLE_IN_LINES = re.compile(f"(?![\t\n])[{_ACTING}]")
_FIRST_BYTE = 0xDC00


def printable(text: str) -> str:
    r"""The text on one line: control characters as `\x1b`, marks of direction as `\u202e`.

    A byte that is not UTF-8 stands as `\xe9`, what `os.fsencode` and 'backslashreplace' give; a surrogate that stands
    for no byte as `\ud800`. All other text is left as it is.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _UNPRINTABLE.sub(lambda match: _escape(ord(match[0])), text)


def printable_lines(text: str) -> str:
    """The same for text of several lines: line ends and tabs are left."""
    return _UNPRINTABLE_IN_LINES.sub(lambda match: _escape(ord(match[0])), text)


def _escape(code: int) -> str:
    if _FIRST_BYTE + 0x80 <= code <= _FIRST_BYTE + 0xFF:
        code -= _FIRST_BYTE
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
