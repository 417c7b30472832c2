"""One pass over a checkpoint's bytes: their hash, and whether they are still those that torch.save wrote.

torch.save stores the CRC-32 of every member of its archive, and torch.load never looks at it: a bit that fell over on a
disk or in a copy is a weight of another value. A file whose CRCs were not computed
(`torch.serialization.set_crc32_options(False)`) stores 0, and is as good as any other.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cmon.checkpoints.formats.archive import START, BadArchive, Member, list_members
from cmon.errors import CmonError
from cmon.regular_files import open_regular
from cmon.workspace.files import digest

_BLOCK = 1 << 20
_HOLLOW = 1 << 32
"""Bytes of a file from which on it is looked whether it is on the disk at all."""


@dataclass(frozen=True)
class BytesRead:
    """What the bytes of a checkpoint say, before any of it is opened."""

    sha256: str
    """Hex SHA-256: of the file, or of the hashes of all files that are read."""
    damage: CmonError | None
    """Where a CRC is not that of the bytes."""


def read_bytes(path: Path, files: Sequence[Path]) -> BytesRead:
    """Read all files of a checkpoint once. path: the checkpoint itself. Raises CmonError or OSError."""
    found = [(file.name, *_read_file(file)) for file in files]
    damage = next((one for *_, one in found if one is not None), None)
    if list(files) == [path]:
        return BytesRead(found[0][1], damage)
    return BytesRead(digest([(name, sha256) for name, sha256, _ in found]), damage)


def _read_file(path: Path) -> tuple[str, CmonError | None]:
    with open_regular(path) as file:
        at = os.fstat(file.fileno())
        # Zeros that are nowhere: a name on a disk can ask for hours of reading.
        if at.st_size > _HOLLOW and 512 * getattr(at, "st_blocks", at.st_size) < at.st_size // 100:
            raise CmonError(
                f"{path}: damaged", found=f"{at.st_size:,} bytes, nearly all of them a hole in the file"
            )
        waiting: deque[tuple[str, Member]] = deque()
        if file.read(len(START)) == START:
            with suppress(BadArchive):  # whoever reads it says what it is
                waiting.extend(item for item in list_members(file).items() if item[1].crc is not None)
        file.seek(0)
        whole = hashlib.sha256()
        wrong: list[str] = []
        position = crc = 0
        while block := file.read(_BLOCK):
            whole.update(block)
            view = memoryview(block)
            while waiting:
                name, member = waiting[0]
                inside = view[max(0, member.start - position) : max(0, member.start + member.size - position)]
                crc = zlib.crc32(inside, crc)
                if member.start + member.size > position + len(block):
                    break
                if crc != member.crc:
                    wrong.append(name)
                crc = 0
                waiting.popleft()
            position += len(block)
    return whole.hexdigest(), _damaged(path, wrong) if wrong else None


def _damaged(path: Path, names: Sequence[str]) -> CmonError:
    return CmonError(
        f"{path}: damaged",
        expected="the bytes that torch.save wrote, by their CRC-32",
        found=f"others in {names[0]!r}" + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
        hint="download or copy it again",
    )
