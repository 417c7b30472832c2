"""URLs of stores that fsspec knows (s3://, gs://, memory://, ...), and the file systems that they name.

fsspec and a store's own package are imported only once a URL was given.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeAlias

from cmon.errors import CmonError, OptionError, nearest_names

AnyPath: TypeAlias = "str | os.PathLike[str]"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_CUT = re.compile(r"(s3|s3a|gs|gcs|az|abfs|abfss|memory|https?):/[^/]")
"""What `Path` makes of a URL: two slashes become one."""
_PACKAGES = {
    "s3": "'cmon[urls]'",
    "s3a": "'cmon[urls]'",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
}


def is_url(given: object) -> bool:
    """Whether a text names a store, and no folder of this machine: `file://` does not."""
    found = _URL.match(given) if isinstance(given, str) else None
    return found is not None and found[1].lower() not in ("file", "local")


def local_path(given: AnyPath) -> Path:
    """The path that a text that is no URL means; of `file:///folder`, the folder.

    Raises OptionError for a URL of which `Path` has taken a slash, unless there is such a folder.
    """
    text = os.fspath(given)
    found = _URL.match(text)
    if found:
        return Path(found[2])
    if _CUT.match(text) and not os.path.exists(text.partition("/")[0]):
        raise OptionError(
            f"{text}: is neither a path nor a URL",
            expected="a folder, or a URL with two slashes",
            found=f"one slash after {text.partition('/')[0]}",
            hint="give the URL as text: pathlib.Path takes a slash out of it",
        )
    return Path(text)


def split_url(url: str) -> tuple[str, tuple[str, ...]]:
    """The protocol and the parts between slashes, the first the bucket or host. Raises OptionError for what is none.

    >>> split_url("s3://bucket/runs/a/")
    ('s3', ('bucket', 'runs', 'a'))
    """
    found = _URL.match(url)
    if found is None:
        raise OptionError(f"{without_password(url)}: is no URL", expected="as s3://bucket/folder")
    scheme, rest = found[1].lower(), found[2].rstrip("/")
    parts = tuple(rest.split("/"))
    if "@" in parts[0] and ":" in parts[0].rpartition("@")[0]:
        raise OptionError(
            f"{without_password(url)}: a URL with a password in it",
            expected="one without: it is stored in tables, and shown",
            hint="give credentials in the environment or in the store's own files, as the AWS CLI takes them",
        )
    if any(part in ("", ".", "..") for part in parts):
        raise OptionError(
            f"{url}: is no place in a store",
            expected=f"a bucket and a path, as {scheme}://bucket/folder",
            found="an empty part, '.' or '..' between slashes",
        )
    return scheme, parts


def without_password(url: str) -> str:
    """The URL as it may be shown.

    >>> without_password("sftp://me:secret@host/runs")
    'sftp://host/runs'
    """
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+://)[^/]*:[^/]*@", r"\1", url)


def connect(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it. It keeps no listing: other machines write there, too.

    Raises CmonError for a protocol that is not known, or whose package is not installed.
    """
    scheme, parts = split_url(url)
    key = os.getpid(), scheme, parts[0]
    system = _systems.get(key)
    if system is None:
        system = _systems[key] = _open(url, scheme)
    system.invalidate_cache()
    return system, str(system._strip_protocol(url))


_systems: dict[tuple[int, str, str], Any] = {}
"""By process, protocol, and bucket or host: fsspec itself would connect anew in every thread."""


def _open(url: str, scheme: str) -> Any:
    try:
        import fsspec

        try:
            return fsspec.url_to_fs(url, use_listings_cache=False)[0]
        except TypeError:  # a file system that knows no such option
            return fsspec.url_to_fs(url)[0]
    except ImportError as error:
        raise CmonError(
            f"{url}: a package is missing that reads {scheme}://",
            found=str(error),
            hint=f"pip install {_PACKAGES.get(scheme, 'the package that is named')}",
        ) from error
    except ValueError as error:
        known = [name for name in fsspec.available_protocols() if "::" not in name]
        raise CmonError(
            f"{url}: cannot be used",
            expected="a URL of a store that fsspec knows, as s3://, gs:// or abfs://",
            found=str(error),
            hint=nearest_names(scheme, known) if scheme not in known else None,
        ) from error
