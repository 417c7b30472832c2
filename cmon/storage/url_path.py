"""A path in a store, with what of `pathlib.Path` a workspace uses.

A file is read and written whole: an object is visible once it is there altogether. Folders are what names have in
common: none is made, and none removed. That a file is not there is told from that the store does not answer: the first
is an answer or a FileNotFoundError, the second a CmonError, so that a bad line is never taken for an empty workspace.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import total_ordering
from pathlib import Path, PurePosixPath
from typing import IO, Any

from cmon.storage.failures import explained
from cmon.storage.urls import connect, split_url


@dataclass(frozen=True)
class Stat:
    """As of `os.stat`."""

    st_size: int
    """Bytes."""


@total_ordering
class UrlPath:
    """`guard`: called before anything is written or removed, of this path and of all that are made from it."""

    __slots__ = ("guard", "parts", "scheme")

    def __init__(self, url: str, guard: Callable[[], None] | None = None) -> None:
        """Raises OptionError for what is no URL."""
        self.scheme, self.parts = split_url(url)
        self.guard = guard

    # -- names ------------------------------------------------------------------------------------
    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(self.parts)}"

    def __repr__(self) -> str:
        return f"UrlPath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return UrlPath, (str(self),)

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UrlPath) and str(self) == str(other)

    def __lt__(self, other: UrlPath) -> bool:
        return self.parts < other.parts

    def __truediv__(self, other: str | PurePosixPath) -> UrlPath:
        return self.joinpath(other)

    def joinpath(self, *others: str | PurePosixPath) -> UrlPath:
        return UrlPath("/".join([str(self), *map(str, others)]), self.guard)

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> UrlPath:
        parts = self.parts[:-1] or self.parts
        return UrlPath(f"{self.scheme}://{'/'.join(parts)}", self.guard)

    def with_name(self, name: str) -> UrlPath:
        return self.parent / name

    def with_suffix(self, suffix: str) -> UrlPath:
        return self.with_name(self.stem + suffix)

    def relative_to(self, other: UrlPath) -> PurePosixPath:
        if self.scheme != other.scheme or self.parts[: len(other.parts)] != other.parts:
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(*self.parts[len(other.parts) :])

    def as_posix(self) -> str:
        return str(self)

    def absolute(self) -> UrlPath:
        return self

    # -- reading ----------------------------------------------------------------------------------
    def info(self) -> dict[str, Any] | None:
        """What the store says of it; None if there is nothing. Raises CmonError."""
        system, path = connect(str(self))
        try:
            with explained(str(self), "cannot be looked at", FileNotFoundError):
                return dict(system.info(path))
        except FileNotFoundError:
            return None

    def is_file(self) -> bool:
        return (self.info() or {}).get("type") == "file"

    def is_dir(self) -> bool:
        return (self.info() or {}).get("type") == "directory"

    def exists(self) -> bool:
        return self.info() is not None

    def stat(self) -> Stat:
        """Raises FileNotFoundError where there is no file."""
        found = self.info()
        if found is None or found.get("type") != "file":
            raise FileNotFoundError(str(self))
        return Stat(int(found["size"]))

    def read_bytes(self) -> bytes:
        """Raises FileNotFoundError where there is no file."""
        system, path = connect(str(self))
        with explained(str(self), "cannot be read", FileNotFoundError):
            return bytes(system.cat_file(path))

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def read_tail(self, most: int) -> bytes:
        """The last bytes, or all if there are fewer. Raises FileNotFoundError where there is no file."""
        system, path = connect(str(self))
        with explained(str(self), "cannot be read", FileNotFoundError):
            return bytes(system.cat_file(path, start=-most))

    def open(self, mode: str = "r", encoding: str = "utf-8") -> IO[Any]:
        """For reading alone."""
        if mode not in ("r", "rb"):
            raise ValueError(f"a file of a store is not opened in mode {mode!r}: see `put`")
        return io.BytesIO(self.read_bytes()) if mode == "rb" else io.StringIO(self.read_text(encoding))

    def get(self, target: Path) -> None:
        """Copy it to a file. Raises FileNotFoundError where there is none."""
        system, path = connect(str(self))
        with explained(str(self), "cannot be read", FileNotFoundError):
            system.get_file(path, str(target))

    def iterdir(self) -> Iterator[UrlPath]:
        """Files and folders directly in it; none if it is not there."""
        system, path = connect(str(self))
        try:
            with explained(str(self), "cannot be listed", FileNotFoundError):
                found = system.ls(path, detail=True)
        except FileNotFoundError:
            return
        for one in found:
            name = self._below(path, one["name"])
            if name is not None and "/" not in name:
                yield self / name

    def glob(self, pattern: str) -> Iterator[UrlPath]:
        """Those whose path below this one fits the pattern, part by part; of several parts, files alone."""
        parts = pattern.split("/")
        if len(parts) == 1:
            yield from (one for one in self.iterdir() if fnmatchcase(one.name, pattern))
            return
        system, path = connect(str(self))
        try:
            with explained(str(self), "cannot be listed", FileNotFoundError):
                found = system.find(path)
        except FileNotFoundError:
            return
        for one in found:
            own = (self._below(path, one) or "").split("/")
            if len(own) == len(parts) and all(map(fnmatchcase, own, parts)):
                yield self / "/".join(own)

    def _below(self, path: str, found: str) -> str | None:
        """The name of what was found relative to this one; None of what is no name, as a folder's own mark."""
        name = found.rstrip("/").removeprefix(path.rstrip("/")).removeprefix("/")
        return name if name and all(part not in ("", ".", "..") for part in name.split("/")) else None

    # -- writing ----------------------------------------------------------------------------------
    def put(self, source: Path) -> None:
        """Make it the content of a file of this machine, at once. Raises CmonError."""
        system, path = self._to_write()
        with explained(str(self), "cannot be written"):
            system.put_file(str(source), path)

    def write_bytes(self, content: bytes) -> None:
        system, path = self._to_write()
        with explained(str(self), "cannot be written"):
            system.pipe_file(path, content)

    def unlink(self, missing_ok: bool = False) -> None:
        system, path = self._to_write()
        try:
            with explained(str(self), "cannot be removed", FileNotFoundError):
                system.rm_file(path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def _to_write(self) -> tuple[Any, str]:
        if self.guard is not None:
            self.guard()
        return connect(str(self))
