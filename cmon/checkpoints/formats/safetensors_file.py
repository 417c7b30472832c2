"""Safetensors files: tensors and a table of texts, no code."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.base import Claim, claim_by_suffix
from cmon.errors import CmonError


class SafetensorsFile:
    """`epoch_3.safetensors`."""

    name = "safetensors"
    suffixes: tuple[str, ...] = (".safetensors",)
    description = "files that end in .safetensors"
    counts_steps = False

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
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            numbers = {
                name: float(text)
                for name, text in (file.metadata() or {}).items()
                if text.replace(".", "", 1).isdecimal()
            }
            names = list(file.keys())
            if values:
                return numbers | {name: file.get_tensor(name) for name in names}
            shapes = {name: file.get_slice(name).get_shape() for name in names}
            return numbers | {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    except SafetensorError as error:
        raise CmonError(f"{path}: damaged", expected="a safetensors file", found=str(error)) from error
