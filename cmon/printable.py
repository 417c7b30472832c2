"""Text that can be printed and stored: names of files need not be UTF-8, and Python keeps their bytes as surrogates."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_FIRST_BYTE = 0xDC00


def printable(text: str) -> str:
    r"""The text with each byte that is not UTF-8 as `\xe9`: what `os.fsencode` and 'backslashreplace' give.

    Text that is UTF-8 is left as it is. A surrogate that stands for no byte becomes `\ud800`.
    """
    return _SURROGATE.sub(lambda match: _escape(ord(match[0])), text)


def _escape(code: int) -> str:
    is_byte = _FIRST_BYTE + 0x80 <= code <= _FIRST_BYTE + 0xFF
    return f"\\x{code - _FIRST_BYTE:02x}" if is_byte else f"\\u{code:04x}"
