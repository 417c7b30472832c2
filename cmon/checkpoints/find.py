"""What in a folder is a checkpoint, and the hash of its bytes: all that is known without opening one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cmon.checkpoints.names import SUFFIXES
from cmon.errors import CmonError
from cmon.workspace.files import digest, file_digest, natural_key

METADATA = ".metadata"
"""What makes a folder one checkpoint of torch.distributed.checkpoint."""
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_HUGGING_FACE = ("model.safetensors.index.json", "model.safetensors", _INDEXES[1], "pytorch_model.bin")
"""Weights in a Hugging Face folder, the preferred first."""
_STATE = "trainer_state.json"
_MARKS = (_STATE, "training_args.bin", "config.json", *_INDEXES, "pytorch_model.bin")
"""What makes `model.safetensors` one of a Hugging Face folder."""
_BESIDE = re.compile(r"(optimizer|scheduler|rng_state|scaler|training_args|random_states|model-\d{5}-of-)")
"""Beginnings of the names of the other files of such a folder."""


def find(folder: Path) -> list[Path]:
    """All checkpoints below a folder, files or folders, in natural order (epoch 2 before epoch 10).

    Raises CmonError when the folder is missing, unreadable, or holds none.
    """
    if not folder.is_dir():
        raise CmonError(
            f"{folder}: no such folder" if not folder.exists() else f"{folder}: not a folder",
            expected="a folder with one checkpoint per epoch",
            hint="give the folder that the training program saves to: --run NAME=FOLDER",
        )
    try:
        found = _below(folder)
        others = sum(1 for _ in folder.iterdir())
    except OSError as error:
        raise CmonError(f"{folder}: cannot be read", found=error.strerror or str(error)) from error
    if not found:
        raise CmonError(
            f"{folder}: holds no checkpoint",
            expected="files that end in " + ", ".join(SUFFIXES) + ", or folders of the Hugging Face "
            "Trainer or torch.distributed.checkpoint",
            found=f"{others} other entries" if others else "an empty folder",
        )
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def kind(path: Path) -> str:
    """'torch', 'safetensors', 'hugging face' or 'distributed': how a checkpoint is stored."""
    if path.is_dir():
        return "distributed" if (path / METADATA).exists() else "hugging face"
    return "safetensors" if path.suffix == ".safetensors" else "torch"


def fingerprint(path: Path) -> str:
    """Hex SHA-256 of a checkpoint's bytes: of the file, or of all files of the folder that are read."""
    if not path.is_dir():
        return file_digest(path)
    files = _distributed_files(path) if kind(path) == "distributed" else hugging_face_files(path)
    if (state := state_file(path)) is not None:
        files = [*files, state]
    return digest([(file.name, file_digest(file)) for file in files])


def hugging_face_files(folder: Path) -> list[Path]:
    """The files that hold a Hugging Face folder's weights, an index of shards first."""
    entry = next((folder / name for name in _HUGGING_FACE if (folder / name).is_file()), None)
    if entry is None:
        raise FileNotFoundError(2, "No such file or directory", str(folder / _HUGGING_FACE[1]))
    if entry.name not in _INDEXES:
        return [entry]
    try:
        shards = sorted(
            {Path(str(name)).name for name in json.loads(entry.read_bytes())["weight_map"].values()}
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(entry, "an index of shards: {'weight_map': {name: file}}", error) from error
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise CmonError(
            f"{folder}: {len(missing)} of its {len(shards)} shards are missing",
            expected=", ".join(missing[:3]) + (" ..." if len(missing) > 3 else ""),
            hint="copy the whole folder",
        )
    return [entry, *(folder / name for name in shards)]


def state_file(folder: Path) -> Path | None:
    """Where the Hugging Face Trainer wrote the epoch and step, if it did."""
    # Above: accelerate puts a distributed checkpoint into a folder of its own, pytorch_model_fsdp_0.
    places = (folder, folder.parent) if kind(folder) == "distributed" else (folder,)
    return next((place / _STATE for place in places if (place / _STATE).is_file()), None)


def _distributed_files(folder: Path) -> list[Path]:
    """All files of a distributed checkpoint."""
    return [folder / METADATA, *sorted(folder.glob("*.distcp")), *sorted(folder.glob("meta.pt"))]


def _below(folder: Path) -> list[Path]:
    """Files and folders that are one checkpoint each, in no particular order."""
    found: list[Path] = []
    places = [folder]
    while places:
        place = places.pop()
        # A link to a file counts as the file; a link to a folder may lead round in circles.
        entries = sorted(place.iterdir())
        places += [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
        names = {entry.name for entry in entries}
        if METADATA in names:
            found.append(place)
            continue
        own: tuple[str, ...] = ()
        if names & set(_HUGGING_FACE) and names & set(_MARKS):
            found.append(place)
            own = (*_HUGGING_FACE, *(entry.name for entry in entries if _BESIDE.match(entry.name)))
        found += [
            entry
            for entry in entries
            if entry.name.endswith(SUFFIXES) and entry.name not in own and entry.is_file()
        ]
    return found


def damaged(path: Path, expected: str, error: Exception) -> CmonError:
    """What is said of a file or folder that cannot be read as what it should be."""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    size = f"{path.stat().st_size} bytes; " if path.is_file() else ""
    return CmonError(f"{path}: damaged", expected=expected, found=size + said)
