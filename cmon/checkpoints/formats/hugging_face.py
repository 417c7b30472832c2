"""Folders of the Hugging Face Trainer: weights in one file or in shards with an index, and notes beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats import trainer_state
from cmon.checkpoints.formats.base import Claim, damaged
from cmon.checkpoints.formats.notes import read_notes
from cmon.checkpoints.formats.recognise import name_pointer
from cmon.checkpoints.formats.safetensors_file import read_safetensors
from cmon.checkpoints.formats.torch_file import read_torch_file
from cmon.errors import CmonError

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WEIGHTS = ("model.safetensors.index.json", "model.safetensors", _INDEXES[1], "pytorch_model.bin")
"""Files of weights, the preferred first."""
_SHARD = re.compile(
    r"(?P<base>model|pytorch_model)-(?P<number>\d{5})-of-(?P<all>\d{5})\.(?P<suffix>safetensors|bin)"
)
_MOST_INDEX = 4 << 20
"""Bytes of an index: about 50,000 tensors."""
_MARKS = (trainer_state.NAME, "training_args.bin", "config.json", *_INDEXES, "pytorch_model.bin")
"""Files that tell such a folder from one that happens to hold a `model.safetensors`."""
OTHER_FILES = re.compile(
    r"(optimizer|scheduler|rng_state|scaler|training_args|random_states|sampler|custom_checkpoint|dl_state_dict)"
)
"""Beginnings of the names of files that would look like checkpoints of their own."""


class HuggingFaceFolder:
    """`checkpoint-500/` with `model.safetensors` or `pytorch_model.bin`, whole or in shards."""

    name = "hugging face"
    suffixes: tuple[str, ...] = ()
    description = "folders of the Hugging Face Trainer"
    counts_steps = True
    inner = r"global_step\d+"
    """DeepSpeed's own folder within one of the Trainer's."""

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        shards = {name for name in files if _SHARD.fullmatch(name)}
        if not (files & set(_WEIGHTS) and files & set(_MARKS)) and not shards:
            return Claim()
        others = (name for name in files if OTHER_FILES.match(name))
        return Claim((folder,), frozenset([*_WEIGHTS, *shards, *others]))

    def content_files(self, path: Path) -> list[Path]:
        return [*_find_weights(path), *trainer_state.find_trainer_state(path)]

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for file in _find_weights(path):
            content |= _read_file(file, values, trust_pickle)
        return content | trainer_state.read_trainer_state(path)


class AccelerateFolder:
    """`checkpoint_3/` as Accelerate's save_state leaves it: weights beside `random_states_0.pkl`.

    The number in its name counts what was saved, epochs where it was saved once in each.
    """

    name = "accelerate"
    suffixes: tuple[str, ...] = ()
    description = "folders of Accelerate"
    counts_steps = False
    inner = ""

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        is_state = any(name.startswith("random_states_") for name in files)
        if trainer_state.NAME in files or not is_state or not (files & set(_WEIGHTS) or _list_shards(files)):
            return Claim()
        own = {
            name
            for name in files
            if _NETWORK.fullmatch(name) or OTHER_FILES.match(name) or _SHARD.fullmatch(name)
        }
        return Claim((folder,), frozenset([*own, *_WEIGHTS]))

    def content_files(self, path: Path) -> list[Path]:
        return [*_find_weights(path), *_list_networks(path)]

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        """Of several networks in one folder, each has its file's name in front of its tensors' names."""
        content: dict[str, Any] = {}
        for file in _find_weights(path):
            content |= _read_file(file, values, trust_pickle)
        if others := _list_networks(path):
            content = {f"model_0.{name}": value for name, value in content.items()}
            for file in others:
                number = file.stem.rpartition("_")[2]
                own = _read_file(file, values, trust_pickle)
                content |= {f"model_{number}.{name}": value for name, value in own.items()}
        return content


_NETWORK = re.compile(r"(model|pytorch_model)_\d+\.(safetensors|bin)")
"""The second network of a training, and those after it."""


def _list_networks(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if _NETWORK.fullmatch(file.name))


def _list_shards(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if _SHARD.fullmatch(name))


def _read_file(file: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
    if file.suffix == ".safetensors":
        return read_safetensors(file, values)
    return read_torch_file(file, values, trust_pickle) if file.suffix == ".bin" else {}


def _find_weights(folder: Path) -> list[Path]:
    """The files that hold the folder's weights, an index of shards first.

    Raises FileNotFoundError without weights, CmonError for a damaged index or missing shards.
    """
    first = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if first is None and (shards := _list_shards(file.name for file in folder.iterdir())):
        return [folder / name for name in _check_shards(folder, shards)]
    if first is None:
        raise FileNotFoundError(2, "No such file or directory", str(folder / "model.safetensors"))
    if first.name not in _INDEXES:
        return [first]
    expected = "an index of shards: {'weight_map': {name: file}}"
    try:
        places = read_notes(first, expected, _MOST_INDEX).get("weight_map")
    except CmonError as error:
        raise (name_pointer(first) or error) from error
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise damaged(first, expected, ValueError("no weight_map of names"))
    shards = sorted({Path(name).name for name in places.values()})
    return [first, *(folder / name for name in _require(folder, shards))]


def _check_shards(folder: Path, shards: list[str]) -> list[str]:
    """Shards without an index: all that their names count must be there."""
    match = _SHARD.fullmatch(shards[0])
    assert match is not None
    base, suffix, number = match["base"], match["suffix"], int(match["all"])
    return _require(folder, [f"{base}-{i:05}-of-{number:05}.{suffix}" for i in range(1, number + 1)])


def _require(folder: Path, shards: list[str]) -> list[str]:
    """The shards. Raises CmonError where one is not there."""
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise CmonError(
            f"{folder}: {len(missing)} of its {len(shards)} shards are missing",
            expected=", ".join(missing[:3]) + (" ..." if len(missing) > 3 else ""),
            hint="copy the whole folder",
        )
    return shards
