"""What a file is that cannot be read as a checkpoint: a git-lfs pointer, a web page, TorchScript, ONNX, ..."""

from __future__ import annotations

import os
from pathlib import Path

from cmon.checkpoints.formats.archive import END, START, BadArchive, list_names
from cmon.errors import CmonError
from cmon.regular_files import open_regular

_STATE_DICT = "save the state dict in PyTorch: torch.save(model.state_dict(), path)"
_STARTS = (
    (
        b"version https://git-lfs",
        "a git-lfs pointer, not the file itself",
        "run `git lfs pull` in its repository",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", _STATE_DICT),
    (b"\x93NUMPY", "a NumPy array", _STATE_DICT),
    (b"GGUF", "a GGUF file, of quantized weights", _STATE_DICT),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"BZh", "a bzip2 archive", "unpack it"),
    (b"\xfd7zXZ", "an xz archive", "unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it"),
)
_DOWNLOAD = "download or copy it again"
_TENSORFLOW = bytes.fromhex("57fb808b247547db")
"""The end of TensorFlow's tables."""


def name_foreign(path: Path, cause: Exception | None = None) -> CmonError | None:
    """The error for a file of a known other kind, or whose end or beginning is missing; None for any other.

    cause: what went wrong when it was read.
    """
    try:
        found = _look(path)
    except OSError:
        return None
    if found is None:
        return None
    what, hint = found
    size = path.stat().st_size
    is_foreign = not hint.startswith((_DOWNLOAD, _STARTS[0][2]))
    problem = f"{path}: not a checkpoint of PyTorch" if is_foreign else f"{path}: damaged"
    error = CmonError(problem, found=f"{what} ({size} bytes)", hint=hint)
    error.__cause__ = cause
    return error


def name_pointer(path: Path) -> CmonError | None:
    """The error for a git-lfs pointer that stands for a file of any kind; None for any other."""
    try:
        found = _look(path)
    except OSError:
        return None
    return name_foreign(path) if found and found[0] == _STARTS[0][1] else None


def is_torchscript(path: Path) -> bool:
    """Whether a zip archive is what torch.jit.save writes: a network with its code."""
    names = _list_zip(path)
    return any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)


def torchscript_error(path: Path) -> CmonError:
    """The error for TorchScript where code is not trusted."""
    return CmonError(
        f"{path}: is TorchScript, a network with its code",
        expected="tensors and plain values",
        hint="save its state dict: torch.save(torch.jit.load(path).state_dict(), new_path); or, only if you trust "
        "whoever made the file, --trust-pickle",
    )


def _look(path: Path) -> tuple[str, str] | None:
    """(what it is, what to do)."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(4096)
        file.seek(-min(size, 8), os.SEEK_END)
        end = file.read(8)
    if not size:
        return "an empty file", _DOWNLOAD
    for mark, what, hint in _STARTS:
        if start.startswith(mark):
            return what, hint
    if not start.strip(b"\0"):
        return "nothing but zeros at its beginning, as of a download that was cut off", _DOWNLOAD
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page", _DOWNLOAD + "; its address leads to a page, or needs a login"
    if text.startswith((b'{"', b"{\n", b"{'")):
        return "a JSON text", _DOWNLOAD + ", or give the folder that it lies in"
    if start.startswith(START):
        return _look_into_zip(path)
    if end == _TENSORFLOW:
        return "a checkpoint of TensorFlow", _STATE_DICT
    if start[:1] == b"\x08" and (b"pytorch" in start[:64] or b"onnx" in start[:200].lower()):
        return "an ONNX network", _STATE_DICT
    if path.suffix != ".safetensors" and start[8:10] == b'{"':
        return "a safetensors file", "let its name end in .safetensors"
    if start[257:262] == b"ustar":
        return "a tar archive", "unpack it"
    return None


def _look_into_zip(path: Path) -> tuple[str, str] | None:
    names = _list_zip(path)
    if not names and _has_end(path):
        return None
    if not names:
        return (
            "the beginning of an archive whose end is missing, as of a download that was cut off",
            _DOWNLOAD,
        )
    if any(name.endswith("data.pkl") for name in names):
        return None
    if any(name.endswith(".npy") for name in names):
        return "an archive of NumPy arrays", _STATE_DICT
    if "config.json" in names and any(name.endswith(".h5") for name in names):
        return "a network of Keras", _STATE_DICT
    if any("archive_format" in name or "serialized_exported_program" in name for name in names):
        return "a program of torch.export", "save its state dict: torch.export.load(path).state_dict"
    return None


def _has_end(path: Path) -> bool:
    """Whether there is an end of an archive, though not one that torch.save writes."""
    with open_regular(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 16)))
        return END in file.read()


def _list_zip(path: Path) -> list[str]:
    """Names in a zip archive; none where it is no whole one."""
    try:
        with open_regular(path) as file:
            return list_names(file)
    except (BadArchive, OSError):
        return []
