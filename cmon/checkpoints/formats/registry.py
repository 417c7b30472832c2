"""Every checkpoint format. A new one is a class in a file of its own, and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from cmon.checkpoints.formats.base import Format
from cmon.checkpoints.formats.deepspeed import DeepSpeedFolder
from cmon.checkpoints.formats.distributed import METADATA, DistributedFolder
from cmon.checkpoints.formats.foreign import ForeignFile
from cmon.checkpoints.formats.hugging_face import AccelerateFolder, HuggingFaceFolder
from cmon.checkpoints.formats.peft import AdapterFolder
from cmon.checkpoints.formats.safetensors_file import SafetensorsFile
from cmon.checkpoints.formats.torch_file import TorchFile
from cmon.errors import CmonError

FORMATS: tuple[Format, ...] = (
    DistributedFolder(),
    AccelerateFolder(),
    HuggingFaceFolder(),
    AdapterFolder(),
    DeepSpeedFolder(),
    ForeignFile(),
    SafetensorsFile(),
    TorchFile(),
)
"""In the order in which they claim files: folders first, since the files in them are no checkpoints alone."""

SUFFIXES = tuple(suffix for format in FORMATS for suffix in format.suffixes)
"""Endings of the names of checkpoint files, of all formats."""


def claim_checkpoints(folder: Path, files: Set[str]) -> dict[Path, Format]:
    """The checkpoints that the names of the files directly in a folder make, each with its format."""
    found: dict[Path, Format] = {}
    for format in FORMATS:
        claim = format.claim(folder, files)
        found |= dict.fromkeys(claim.checkpoints, format)
        files = files - claim.files
    return found


def find_format(path: Path) -> Format:
    """The format of one checkpoint, a file or a folder, by its name or by the names of the files in it.

    Raises OSError when nothing is there or it may not be looked at, CmonError when it has no known format.
    """
    path.stat()  # the reason why it cannot be read comes before that of its format
    folder, files = (path, list_files(path)) if path.is_dir() else (path.parent, {path.name})
    format = claim_checkpoints(folder, files).get(path)
    if format is None:
        raise CmonError(f"{path}: not a checkpoint", expected=describe_formats())
    return format


def list_files(folder: Path) -> set[str]:
    """The names of all that is no folder directly in a folder: links that lead nowhere too; no hidden files."""
    return {
        entry.name
        for entry in folder.iterdir()
        if not entry.is_dir() and (entry.name == METADATA or not entry.name.startswith("."))
    }


def describe_formats() -> str:
    """What checkpoints look like, for messages."""
    read = [format.description for format in FORMATS if "refused" not in format.description]
    return ", or ".join(reversed(read))
