"""Names in a store that a folder cannot hold as they are, or that would lie elsewhere in one than they say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from cmon.errors import CmonError

_NO_NAMES = re.compile(r"[\x00-\x1f\\]" if os.name != "nt" else r'[\x00-\x1f\\<>:"|?*]')


def require_names(url: str, names: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Raise CmonError for a name that would lie elsewhere than its URL says, or nowhere."""
    for name, parts in names:
        for part in parts:
            if part in ("", ".", "..") or _NO_NAMES.search(part) or len(part.encode(errors="replace")) > 255:
                raise CmonError(
                    f"{url}: holds a name that no folder can hold as it is",
                    expected="names of at most 255 bytes, without backslashes, '..', and empty parts",
                    found=repr(name[:300]),
                    hint="rename it in the store, or give a folder below which it does not lie",
                )


def require_apart(url: str, names: Iterable[str]) -> None:
    """Raise CmonError where a name is a file and a folder, as it can be in a store only."""
    known = set(names)
    for name in known:
        at = name.find("/")
        while at >= 0:
            if name[:at] in known:
                raise CmonError(
                    f"{url}: holds a file and a folder of one name",
                    expected="names that a folder can hold",
                    found=f"{name[:at]!r} and {name!r}",
                    hint="rename one of them in the store",
                )
            at = name.find("/", at + 1)
