"""Files that torch.save wrote before torch 1.6: pickles, with the values of all storages behind them.

`torch.load` makes room for whatever length the pickle says, before it looks whether the file has as many values.
"""

from __future__ import annotations

import os
import pickle
from typing import Any, BinaryIO

from cmon.checkpoints.formats.unpickling import require_known, unpickle

_MAGIC = 0x1950A86A20F9469CFC6C


def read_before_archives(file: BinaryIO) -> Any:
    """The object in a file, as `torch.load` gives it on the CPU with `weights_only`.

    To be called inside `torch.serialization.safe_globals`. Raises ValueError where storages are longer than the
    file, or what `unpickle` does.
    """
    import torch

    size = os.fstat(file.fileno()).st_size
    lengths: dict[Any, int] = {}
    total = 0

    def load_storage(saved: Any) -> Any:
        nonlocal total
        _, kind, key, _, length, _ = saved
        own = length * torch._utils._element_size(kind.dtype)
        if key not in lengths:
            lengths[key] = own
            total += own
        if own != lengths[key] or not 0 <= total <= size:
            raise ValueError(f"tensors of {total:,} bytes, where the file has {size:,}")
        storage = torch.UntypedStorage(own, device="meta")
        return torch.storage.TypedStorage(wrap_storage=storage, dtype=kind.dtype, _internal=True)

    if unpickle(file, _refuse) != _MAGIC:
        raise pickle.UnpicklingError("a pickle that torch.save did not write")
    for _ in ("version of the form", "sizes of C's types"):
        unpickle(file, _refuse)
    start = file.tell()
    unpickle(file, load_storage)
    end = file.tell()
    file.seek(start)
    require_known(file.read(end - start))
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)


def _refuse(_: Any) -> Any:
    raise pickle.UnpicklingError("tensors in front of the pickle that holds them")
