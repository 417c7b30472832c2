"""Copies of inputs that lie in a store: what reads checkpoints and images is hardened, and reads real files.

The copy of `s3://bucket/runs/a/epoch_1.pt` is `copies/s3/bucket/runs/a/epoch_1.pt` in the cache's folder, so each
names the other. Beside the copies lies what the store said of a file when it was fetched (its tag, or size and times):
a file of which it says the same is not fetched again, one of which it says something else is, and one that is gone is
removed. A copy is never used without asking the store, but where a hash says what is wanted.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmon.errors import CmonError
from cmon.progress import Progress, silent
from cmon.storage.aside import aside_name
from cmon.storage.failures import explained
from cmon.storage.key_names import require_apart, require_names
from cmon.storage.urls import connect, split_url

_THREADS = 8
_TRIES = 3
"""How often a file is fetched that changes meanwhile."""
_ASKED_TWICE = 8 << 20
"""Bytes from which on a file may be fetched in several requests, which may be of two versions of it."""
_LEFT_SECONDS = 24 * 3600.0
"""Age from which on a file that was begun counts as left by a process that was killed."""
_TAGS = ("ETag", "etag", "md5Hash", "content_md5", "crc32c", "generation", "checksum")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")


class NothingThere(CmonError):
    """There is nothing at a URL, says its store."""


def cache_folder() -> Path:
    """Where copies lie: $CMON_CACHE, or `cmon` in the platform's folder of caches."""
    if given := os.environ.get("CMON_CACHE"):
        return Path(os.path.abspath(given))
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base.absolute() / "cmon"


def path_of(url: str) -> Path:
    """Where the copy of a file or folder lies, once `refresh` was called. Raises CmonError."""
    scheme, parts = split_url(url)
    require_names(url, [("/".join(parts), parts)])
    return cache_folder().joinpath("copies", scheme, *parts)


def url_of(path: Path) -> str | None:
    """The URL that a path is the copy of; None if it is none."""
    copies = cache_folder() / "copies"
    if not path.is_relative_to(copies) or len(parts := path.relative_to(copies).parts) < 2:
        return None
    return f"{parts[0]}://{'/'.join(parts[1:])}"


def refresh(path: Path, progress: Progress = silent) -> None:
    """Make a copy, a file or all of a folder, what the store has now; nothing to do for a path that is no copy.

    What lies in folders whose names begin with a dot is not fetched: nothing reads it. Raises NothingThere when there
    is nothing at the URL, CmonError when it cannot be fetched, or a folder cannot hold a name.
    """
    url = url_of(path)
    if url is None:
        return
    began = time.time()
    there = _list(url, path)
    _remove_others(path, set(there), began)
    if not there:
        raise NothingThere(
            f"{url}: there is nothing",
            expected="a file or a folder in a store",
            hint="see whether the URL is right, and whether you may list what is there",
        )
    _fetch_all(url, [one for one in there.values() if not _is_fresh(one)], progress)


def refresh_files(paths: Iterable[Path], progress: Progress = silent) -> None:
    """`refresh` of single files, many at a time; one that is gone at its store is removed."""
    found = [(url, path) for path in dict.fromkeys(paths) if (url := url_of(path)) is not None]
    if not found:
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        entries = list(pool.map(lambda one: (one[1], _of_file(*one)), found))
    for path, entry in entries:
        if entry is None:
            path.unlink(missing_ok=True)
    there = [entry for _, entry in entries if entry is not None]
    _fetch_all(found[0][0], [one for one in there if not _is_fresh(one)], progress)


def list_files(path: Path) -> list[Path]:
    """The paths that a folder's copy will have, in order of their names, without fetching any. Raises CmonError."""
    url = url_of(path)
    return sorted(path.rglob("*")) if url is None else sorted(_list(url, path))


@dataclass(frozen=True)
class _File:
    """A file in a store."""

    url: str
    key: str
    """Its path in the store's file system."""
    copy: Path
    size: int
    says: Mapping[str, str] | None
    """What tells it from another version of it; None if the store says nothing of the kind."""


def _of_info(url: str, copy: Path, info: Mapping[str, Any]) -> _File:
    return _File(url, str(info["name"]), copy, int(info.get("size") or 0), _says(info))


def _of_file(url: str, path: Path) -> _File | None:
    system, key = connect(url)
    try:
        with explained(url, "cannot be looked at", FileNotFoundError):
            info = system.info(key)
    except FileNotFoundError:
        return None
    return _of_info(url, path, {**info, "name": key}) if info["type"] == "file" else None


def _list(url: str, path: Path) -> dict[Path, _File]:
    """All files at a URL by the paths of their copies. Raises CmonError."""
    single = _of_file(url, path)
    if single is not None:
        return {path: single}
    system, root = connect(url)
    try:
        with explained(url, "cannot be listed", FileNotFoundError):
            found = system.find(root, detail=True)
    except FileNotFoundError:
        return {}
    names: dict[str, Mapping[str, Any]] = {}
    for key, info in found.items():
        name = str(key)[len(root.rstrip("/")) + 1 :]
        hidden = any(part.startswith(".") and part not in (".", "..") for part in name.split("/")[:-1])
        if name and not name.endswith("/") and info.get("type") != "directory" and not hidden:
            names[name] = {**info, "name": key}
    require_names(url, [(name, name.split("/")) for name in names])
    require_apart(url, names)
    return {path / name: _of_info(f"{url}/{name}", path / name, info) for name, info in names.items()}


def _says(info: Mapping[str, Any]) -> dict[str, str] | None:
    for kinds in (_TAGS, _TIMES):
        found = {name: str(info[name]) for name in kinds if info.get(name)}
        if found:
            return {**found, "size": str(info.get("size"))}
    return None


def _mark(url: str) -> Path:
    name = _digest(url)
    return cache_folder() / "fetched" / name[:2] / f"{name}.json"


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()


def _is_fresh(file: _File) -> bool:
    """Whether the copy is what the store has, and as it was fetched."""
    if file.says is None:
        return False
    try:
        at = file.copy.stat()
        kept = json.loads(_mark(file.url).read_bytes())
        return bool(kept == {"says": file.says, "copy": [at.st_size, at.st_mtime_ns]})
    except (OSError, ValueError):
        return False


def _fetch_all(url: str, files: Sequence[_File], progress: Progress) -> None:
    if not files:
        return
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for _ in progress(_done(pool, files), f"fetching from {url}", len(files)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def _done(pool: ThreadPoolExecutor, files: Sequence[_File]) -> Iterator[None]:
    yield from pool.map(_fetch, files)


def _fetch(file: _File) -> None:
    """One thread of all processes of this machine fetches a file: what another reads is not moved away under it."""
    from filelock import FileLock

    lock = cache_folder() / "locks" / f"{_digest(file.url)[:2]}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if not _is_fresh(file):
            _fetch_alone(file)


def _fetch_alone(file: _File) -> None:
    system, _ = connect(file.url)
    aside = file.copy.with_name(aside_name(file.copy.name))
    wanted = file
    try:
        file.copy.parent.mkdir(parents=True, exist_ok=True)
        _mark(file.url).unlink(missing_ok=True)
        for _ in range(_TRIES):
            with explained(file.url, "cannot be fetched", FileNotFoundError):
                system.get_file(file.key, str(aside))
            if aside.stat().st_size == wanted.size and wanted.size < _ASKED_TWICE:
                break
            after = _of_file(file.url, file.copy)
            if after is None:
                raise FileNotFoundError(file.url)
            if (after.size, after.says) == (wanted.size, wanted.says) and aside.stat().st_size == after.size:
                break
            wanted = after
        else:
            raise CmonError(
                f"{file.url}: changes while it is fetched",
                expected="a file that nobody writes to",
                found=f"{_TRIES} times another",
                hint="run the command again when it is written",
            )
        os.replace(aside, file.copy)
        at = file.copy.stat()
        _write(_mark(file.url), {"says": wanted.says, "copy": [at.st_size, at.st_mtime_ns]})
    except FileNotFoundError:  # gone since it was listed
        file.copy.unlink(missing_ok=True)
    except OSError as error:
        raise CmonError(
            f"{file.url}: its copy {file.copy} cannot be written",
            found=error.strerror or str(error),
            hint="make room there, or name another folder in CMON_CACHE",
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(aside_name(path.name))
    aside.write_text(json.dumps(content), encoding="utf-8")
    os.replace(aside, path)


def _remove_others(path: Path, kept: set[Path], began: float) -> None:
    """Remove what is not in the store any more, and folders that this leaves empty.

    What was written since the store was listed stays: another process may have found more there.
    """
    if path.is_file() and path not in kept:
        path.unlink()
    for folder, folders, files in os.walk(path, topdown=False):
        here = Path(folder)
        for name in files:
            file = here / name
            age = _LEFT_SECONDS if name.startswith(".") and name.endswith(".part") else 0.0
            with suppress(FileNotFoundError):
                if file not in kept and file.stat().st_mtime < began - age:
                    file.unlink()
        for name in folders:
            with suppress(OSError):  # it is not empty
                (here / name).rmdir()
    if path in kept and path.is_dir():
        path.rmdir()
