"""Safetensors files: tensors and a table of texts, no code."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.base import Claim, claim_by_suffix
from cmon.checkpoints.formats.recognise import name_foreign
from cmon.errors import CmonError
from cmon.regular_files import open_regular

_MOST_HEADER = 4 << 20
"""Bytes: about 40,000 tensors."""


class SafetensorsFile:
    """`epoch_3.safetensors`."""

    name = "safetensors"
    suffixes: tuple[str, ...] = (".safetensors",)
    description = "files that end in .safetensors"
    counts_steps = False
    inner = ""

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        return claim_by_suffix(folder, files, self.suffixes)

    def content_files(self, path: Path) -> list[Path]:
        return [path]

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        return read_safetensors(path, values)


def read_safetensors(path: Path, values: bool) -> dict[str, Any]:
    """The tensors of one file by name, with the numbers in its metadata as floats.

    Without `values`, the tensors are on the device `meta`, with their shape only. Raises CmonError when it is
    damaged.
    """
    import torch
    from safetensors import safe_open

    try:
        with _open_named(path) as name, safe_open(name, framework="pt") as file:
            numbers = {
                name: float(text)
                for name, text in (file.metadata() or {}).items()
                if len(text) < 20 and text.replace(".", "", 1).isdecimal()
            }
            names = list(file.keys())
            if values:
                return numbers | {name: file.get_tensor(name) for name in names}
            pieces = {name: file.get_slice(name) for name in names}
            return numbers | {
                name: torch.empty(piece.get_shape(), dtype=_find_dtype(piece.get_dtype()), device="meta")
                for name, piece in pieces.items()
            }
    except OSError:
        raise
    except Exception as error:  # SafetensorError; OverflowError and others for shapes that torch cannot have
        raise name_foreign(path) or CmonError(
            f"{path}: damaged",
            expected="a safetensors file",
            found=str(error) or type(error).__name__,
            hint="download or copy it again",
        ) from error


@contextmanager
def _open_named(path: Path) -> Iterator[str]:
    """A name of the file, whose header has a size that weights need, by which safetensors can open it.

    Where the system has such names, it is one of the opened file: another file may lie at the path by then, and
    safetensors takes no name that is not UTF-8. Raises ValueError for a header that is too large.
    """
    with open_regular(path) as file:
        (length,) = struct.unpack("<Q", file.read(8).rjust(8, b"\0"))
        if length > _MOST_HEADER:
            raise ValueError(f"a header of {length:,} bytes, where {_MOST_HEADER:,} at most are read")
        opened = Path(f"/dev/fd/{file.fileno()}")
        yield str(opened if opened.exists() else path)


def _find_dtype(name: str) -> Any:
    """torch's dtype for safetensors' name of it; bytes for one that torch does not have."""
    import torch

    if name == "BOOL":
        return torch.bool
    words = {"BF": "bfloat", "F": "float", "I": "int", "U": "uint", "C": "complex"}
    kind, bits = name.rstrip("0123456789"), name.lstrip("BFIUC")
    found = getattr(torch, words[kind] + bits, None) if kind in words else None
    if name.startswith("F8"):
        found = getattr(torch, "float" + name[1:].lower() + ("fn" if name == "F8_E4M3" else ""), None)
    return found or torch.uint8
