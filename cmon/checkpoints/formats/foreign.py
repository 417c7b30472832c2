"""Files of other programs under their own names, which are no checkpoints: named, so that none is lost silently."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any

from cmon.checkpoints.formats.base import Claim
from cmon.errors import CmonError

_LEARNER = "export.pkl"
SUFFIXES = {
    ".h5": "Keras",
    ".keras": "Keras",
    ".onnx": "ONNX",
    ".tflite": "TensorFlow",
    ".index": "TensorFlow",
    ".pb": "TensorFlow",
    ".msgpack": "Flax",
    ".pdparams": "PaddlePaddle",
    ".npz": "NumPy",
    ".pkl": "pickle",
    ".bin": "weights in a folder without the files of a known program",
    ".tar": "an archive to unpack",
    ".zip": "an archive to unpack",
    ".gz": "an archive to unpack",
}
"""Endings of files that are looked at only to say what was found where there is no checkpoint."""


class ForeignFile:
    """`export.pkl`, a whole Learner of fastai."""

    name = "foreign"
    suffixes: tuple[str, ...] = ()
    description = "fastai's export.pkl, which is refused"
    counts_steps = False
    inner = ""

    def claim(self, folder: Path, files: Set[str]) -> Claim:
        return Claim((folder / _LEARNER,), frozenset((_LEARNER,))) if _LEARNER in files else Claim()

    def content_files(self, path: Path) -> list[Path]:
        return [path]

    def read(self, path: Path, values: bool, trust_pickle: bool) -> dict[str, Any]:
        raise CmonError(
            f"{path}: a Learner that fastai exported, whole and with its code",
            expected="tensors and plain values",
            hint="in the training program, learn.save('model_1') writes the weights alone",
        )


def describe_others(folder: Path) -> str | None:
    """What a folder without a checkpoint holds: `3 files of ONNX`; None where nothing is known of them."""
    counts: dict[str, int] = {}
    for file in folder.iterdir():
        if kind := SUFFIXES.get(file.suffix):
            counts[kind] = counts.get(kind, 0) + 1
    return ", ".join(f"{number} of {kind}" for kind, number in counts.items()) or None
