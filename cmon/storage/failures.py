"""What a store or the way to it refuses, as an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cmon.errors import CmonError

_RIGHTS = ("permission", "forbidden", "accessdenied", "access denied", "unauthorized")
_CREDENTIALS = ("credential", "token", "signature", "access key", "invalidaccesskeyid")
_NETWORK = ("connect", "timeout", "timed out", "endpoint", "resolve", "network", "ssl", "gaierror", "proxy")


@contextmanager
def explained(url: str, what: str, *but: type[Exception]) -> Iterator[None]:
    """Raise CmonError for whatever goes wrong with a store in the block. what: as 'cannot be read'.

    but: errors that are left as they are, for a caller that knows what they mean.
    """
    try:
        yield
    except CmonError:
        raise
    except but:
        raise
    except FileNotFoundError as error:
        raise CmonError(
            f"{url}: {what}",
            found=_text(error),
            hint="see whether the bucket is there, and spelled so; cmon makes none",
        ) from error
    except Exception as error:  # stores fail in the ways of many libraries
        raise CmonError(f"{url}: {what}", found=_text(error), hint=_hint(error)) from error


def _text(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _hint(error: Exception) -> str:
    said = f"{type(error).__name__} {error}".casefold()
    if any(word in said for word in _CREDENTIALS):
        return "give this machine credentials for the store, in the environment or in the store's own files"
    if isinstance(error, PermissionError) or any(word in said for word in _RIGHTS):
        return "give the right to list, read and write there, or see whether the name is right"
    if isinstance(error, (ConnectionError, TimeoutError)) or any(word in said for word in _NETWORK):
        return (
            "see whether the store can be reached from this machine (for one of your own: AWS_ENDPOINT_URL)"
        )
    return "run the command again: what was finished is kept"
