"""Folders of the Hugging Face Trainer: weights in one file or in shards with an index, and notes beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats import trainer_state
from cmon.checkpoints.formats.base import Claim, damaged
from cmon.checkpoints.formats.safetensors_file import read_safetensors
from cmon.checkpoints.formats.torch_file import read_torch_file
from cmon.errors import CmonError

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_WEIGHTS = ("model.safetensors.index.json", "model.safetensors", _INDEXES[1], "pytorch_model.bin")
"""Files of weights, the preferred first."""
_MARKS = (trainer_state.NAME, "training_args.bin", "config.json", *_INDEXES, "pytorch_model.bin")
"""Files that tell such a folder from one that happens to hold a `model.safetensors`."""
_OTHER_FILES = re.compile(
    r"(optimizer|scheduler|rng_state|scaler|training_args|random_states|model-\d{5}-of-)"
)
"""Beginnings of the names of files that would look like checkpoints of their own."""


class HuggingFaceFolder:
    """`checkpoint-500/` with `model.safetensors` or `pytorch_model.bin`, whole or in shards."""

    name = "hugging face"
    suffixes: tuple[str, ...] = ()
    description = "folders of the Hugging Face Trainer"
    counts_steps = True

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        if not (files & set(_WEIGHTS) and files & set(_MARKS)):
            return Claim()
        others = (name for name in files if _OTHER_FILES.match(name))
        return Claim((folder,), frozenset([*_WEIGHTS, *others]))

    def content_files(self, path: Path) -> list[Path]:
        return [*_find_weights(path), *trainer_state.find_trainer_state(path)]

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for file in _find_weights(path):
            if file.suffix == ".safetensors":
                content |= read_safetensors(file, values)
            elif file.suffix == ".bin":
                content |= read_torch_file(file, values, trust_pickle)
        return content | trainer_state.read_trainer_state(path)


def _find_weights(folder: Path) -> list[Path]:
    """The files that hold the folder's weights, an index of shards first.

    Raises FileNotFoundError without weights, CmonError for a damaged index or missing shards.
    """
    first = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if first is None:
        raise FileNotFoundError(2, "No such file or directory", str(folder / "model.safetensors"))
    if first.name not in _INDEXES:
        return [first]
    try:
        places = json.loads(first.read_bytes())["weight_map"].values()
        shards = sorted({Path(str(name)).name for name in places})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(first, "an index of shards: {'weight_map': {name: file}}", error) from error
    missing = [name for name in shards if not (folder / name).is_file()]
    if missing:
        raise CmonError(
            f"{folder}: {len(missing)} of its {len(shards)} shards are missing",
            expected=", ".join(missing[:3]) + (" ..." if len(missing) > 3 else ""),
            hint="copy the whole folder",
        )
    return [first, *(folder / name for name in shards)]
