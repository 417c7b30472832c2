"""Files aside: what is being written, beside the file that it will be, under a name that says whose it is."""

from __future__ import annotations

import hashlib
import os
import re
import socket


def aside_name(name: str) -> str:
    """Hidden, so that readers of a folder pass over it; never too long for a file system."""
    encoded = os.fsencode(name)
    short = name if len(encoded) <= 100 else hashlib.sha256(encoded).hexdigest()[:16]
    return f".{short}.{host()}.{os.getpid()}.part"


def host() -> str:
    """This machine's name, as it stands in the names of files."""
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:64]
