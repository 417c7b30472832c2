"""The archive that torch.save writes, a zip file of stored members: listed so that no member can be larger than it is.

Members are never compressed, do not overlap, and lie in the file with the length that they are said to have: so what
they hold together is no more than the file.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from typing import BinaryIO

START = b"PK\x03\x04"
END = b"PK\x05\x06"
_END_64, _LOCATOR_64 = b"PK\x06\x06", b"PK\x06\x07"
_END_SIZE, _END_64_SIZE, _LOCATOR_64_SIZE, _HEADER_SIZE = 22, 56, 20, 30
_MOST_DIRECTORY = 8 << 20
"""Bytes of a table of members, about 100,000 of them: Python makes fifty times as much of it."""
_ENCRYPTED = 1


class BadArchive(ValueError):
    """Not an archive of torch.save's, or one that would become larger than it is."""


@dataclass(frozen=True)
class Member:
    """What lies under one name."""

    start: int
    """Where its bytes begin in the file."""
    size: int
    crc: int | None
    """CRC-32 of its bytes; None where none was written (`torch.serialization.set_crc32_options(False)`)."""


def list_names(file: BinaryIO) -> list[str]:
    """Names in any zip file. Raises BadArchive where it is none, or has far too many."""
    return [info.filename for info in _read_directory(file).infolist()]


def list_members(file: BinaryIO) -> dict[str, Member]:
    """The members by name, in the order in which they lie in the file. Raises BadArchive."""
    archive = _read_directory(file)
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    ends = [info.header_offset for info in infos[1:]] + [archive.start_dir]
    found: dict[str, Member] = {}
    for info, end in zip(infos, ends, strict=True):
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
            raise BadArchive(
                f"{info.filename!r} in it is compressed or encrypted, which torch.save never does"
            )
        file.seek(info.header_offset)
        header = file.read(_HEADER_SIZE)
        if len(header) < _HEADER_SIZE or header[:4] != START:
            raise BadArchive(f"{info.filename!r} does not lie where the archive's table says")
        start = info.header_offset + _HEADER_SIZE + sum(struct.unpack("<HH", header[26:30]))
        if info.compress_size != info.file_size or start + info.file_size > end or info.filename in found:
            raise BadArchive(
                f"{info.filename!r} in it overlaps with another member, or lies outside the file"
            )
        found[info.filename] = Member(start, info.file_size, info.CRC or None)
    return found


def _read_directory(file: BinaryIO) -> zipfile.ZipFile:
    """The table of members, which is looked at only if its size is one that an archive of weights has."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_64_SIZE - _LOCATOR_64_SIZE - _END_SIZE))
    tail = file.read()
    end = tail[-_END_SIZE:]
    if len(end) < _END_SIZE or not end.startswith(END) or end[20:] != b"\0\0":
        raise BadArchive("the end of the archive is missing, or something follows it")
    directory = struct.unpack("<I", end[12:16])[0]
    directory = 0 if directory == 0xFFFFFFFF else directory
    locator = tail[-_END_SIZE - _LOCATOR_64_SIZE : -_END_SIZE]
    if locator.startswith(_LOCATOR_64):
        place = size - _END_SIZE - _LOCATOR_64_SIZE - _END_64_SIZE
        if not tail.startswith(_END_64) or struct.unpack("<Q", locator[8:16])[0] != place:
            raise BadArchive("the archive's two ends do not agree")
        directory = max(directory, struct.unpack("<Q", tail[40:48])[0])
    if directory > min(_MOST_DIRECTORY, size):
        raise BadArchive(
            f"its table of members has {directory:,} bytes, where {_MOST_DIRECTORY:,} at most are read"
        )
    try:
        return zipfile.ZipFile(file)
    except (
        Exception
    ) as error:  # a broken table fails in many types: BadZipFile, struct.error, UnicodeDecodeError, ...
        raise BadArchive(str(error) or type(error).__name__) from error
