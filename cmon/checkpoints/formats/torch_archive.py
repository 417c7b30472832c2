"""What is in an archive of torch.save, no larger than the archive itself.

`torch.load` takes a storage's length from the pickle, and reads beyond the member that it is in; it unpacks compressed
members; and it does not look at the CRCs. So members and storages are found here, and torch puts them together.
"""

from __future__ import annotations

import mmap
import sys
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

from cmon.checkpoints.formats.archive import BadArchive, Member, list_members
from cmon.checkpoints.formats.unpickling import unpickle_bytes

_PICKLE = "data.pkl"
_SMALL = 1024
"""Bytes of a storage that is read in any case: an epoch may be a tensor."""
_MOST_PICKLE = 1 << 26


def read_archive(file: BinaryIO, values: bool, check: bool) -> Any:
    """The object in an archive, as `torch.load` gives it on the CPU with `weights_only`.

    file: the whole archive, at any place; of a real file if not `values`.
    values: whether tensors are read; otherwise all but small ones lie in the file, mapped into memory.
    check: whether what is read is compared with its CRC.
    To be called inside `torch.serialization.safe_globals`. Raises BadArchive, or what `unpickle` does.
    """
    members = list_members(file)
    names = [name for name in members if name.count("/") == 1 and name.endswith("/" + _PICKLE)]
    if len(names) != 1:
        raise BadArchive(f"holds {len(names)} pickles, where torch.save writes one")
    reader = _Reader(file, members, names[0].removesuffix(_PICKLE), values, check)
    return unpickle_bytes(reader.read_bytes(_PICKLE, _MOST_PICKLE), reader.load_storage)


class _Reader:
    """Gives the storages that a pickle asks for, each once."""

    def __init__(
        self, file: BinaryIO, members: Mapping[str, Member], root: str, values: bool, check: bool
    ) -> None:
        self.file, self.members, self.root = file, members, root
        self.values, self.check = values, check
        self.storages: dict[str, Any] = {}
        self.mapped: mmap.mmap | None = None
        order = self.read_bytes("byteorder", 8) if root + "byteorder" in members else b"little"
        if order not in (b"little", b"big"):
            raise BadArchive(f"a byte order that is none: {order!r}")
        self.swapped = order.decode() != sys.byteorder

    def read_bytes(self, name: str, most: int) -> bytes:
        member = self._member(name)
        if member.size > most:
            raise BadArchive(f"its {name} has {member.size:,} bytes, where {most:,} at most are read")
        content = bytearray(member.size)
        self._read_into(member, name, memoryview(content))
        return bytes(content)

    def load_storage(self, saved: Any) -> Any:
        """torch's typed storage for what a pickle says: ('storage', class, key, device, length)."""
        import torch

        _, kind, key, _, length = saved
        dtype = torch.uint8 if kind is torch.UntypedStorage else kind.dtype
        member = self._member(f"data/{key}")
        size = length * torch._utils._element_size(dtype)
        if size != member.size:
            raise BadArchive(f"a tensor's values have {member.size:,} bytes, where {size:,} are said")
        if key not in self.storages:
            self.storages[key] = self._read_storage(member, f"data/{key}", dtype)
        return torch.storage.TypedStorage(wrap_storage=self.storages[key], dtype=dtype, _internal=True)

    def _read_storage(self, member: Member, name: str, dtype: Any) -> Any:
        import torch

        if not member.size:
            return torch.UntypedStorage(0)
        if not self.values and member.size > _SMALL:
            self.mapped = self.mapped or mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)
            return torch.frombuffer(
                self.mapped, dtype=torch.uint8, count=member.size, offset=member.start
            ).untyped_storage()
        values = torch.empty(member.size, dtype=torch.uint8)
        self._read_into(member, name, values.numpy().data)
        storage = values.untyped_storage()
        if self.swapped:
            storage.byteswap(dtype)
        return storage

    def _member(self, name: str) -> Member:
        if self.root + name not in self.members:
            raise BadArchive(f"has no {name!r}")
        return self.members[self.root + name]

    def _read_into(self, member: Member, name: str, target: memoryview) -> None:
        self.file.seek(member.start)
        if self.file.readinto(target) != member.size:  # type: ignore[attr-defined]
            raise BadArchive(f"its {name} is cut off")
        if self.check and member.crc is not None and zlib.crc32(target) != member.crc:
            raise BadArchive(f"its {name} is not what was written: its CRC-32 is another one")
