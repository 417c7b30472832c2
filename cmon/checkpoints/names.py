"""What a checkpoint's name tells: its epoch, its step, and whether an epoch was still going on."""

from __future__ import annotations

import re
from dataclasses import dataclass

SUFFIXES = (".pth.tar", ".pt.latest", ".pt.best", ".pt", ".pth", ".ckpt", ".safetensors")
"""Of checkpoint files, longest first. MadryLab's robustness puts `.latest` and `.best` behind `.pt`."""

_NUMBER = r"[-_=. ]?(\d+)(?!\d|\.\d)"
_EPOCH = re.compile(rf"(?<![a-z])(?:epochs?|ep|e){_NUMBER}", re.IGNORECASE)
_STEP = re.compile(rf"(?<![a-z])(?:global[-_]?step|steps?|iterations?|iter){_NUMBER}", re.IGNORECASE)
_WITHIN = re.compile(rf"(?<![a-z])it{_NUMBER}", re.IGNORECASE)  # open_lth: model_ep3_it40.pth
_RECOVERY = re.compile(r"recovery-(\d+)-(\d+)$")  # timm: epoch and batch
_SAVED = re.compile(
    rf"(?<![a-z])(?:checkpoint|ckpt|model|net|weights|snapshot|milestone){_NUMBER}", re.IGNORECASE
)
_VERSION = re.compile(r"-v(\d+)$")  # Lightning, where a file of that name was there already
_METRIC = re.compile(r"[^-=/ ]+=\s*-?\d+(\.\d+)?|(acc|loss|top|map|lr|seed)[-_ ]?\d+(\.\d+)?|\d+\.\d+", re.I)
_ALONE = re.compile(r"(?<![a-z\d])(\d+)(?![a-z\d])", re.IGNORECASE)


@dataclass(frozen=True)
class Told:
    """What one name tells."""

    epoch: float | None = None
    step: int | None = None
    """Counted over the whole training."""
    partial: bool = False
    """Saved in the middle of its epoch."""
    version: int = 0
    """Lightning's `-v1`: a later file that would have had the same name."""


def told(name: str, saved_by_step: bool = False) -> Told:
    """Read `epoch_3.pt`, `epoch=2-step=300-v1.ckpt`, `recovery-3-500.pth.tar`, `Epoch_4/weights.pth`, ...

    name: path relative to the run's folder, with forward slashes; its last part that tells anything counts.
    saved_by_step: whether the number of `checkpoint-500` is a step, as the Hugging Face Trainer names folders.
    """
    parts = name.split("/")
    for position, part in enumerate(reversed(parts)):
        found = _told(_stem(part), saved_by_step, is_folder=position > 0)
        if found.epoch is not None or found.step is not None:
            return found
    return Told()


def _stem(part: str) -> str:
    for suffix in SUFFIXES:
        if part.endswith(suffix):
            return part.removesuffix(suffix)
    return part


def _told(stem: str, saved_by_step: bool, is_folder: bool) -> Told:
    if match := _RECOVERY.search(stem):
        return Told(float(match[1]), partial=True)
    version = 0
    if match := _VERSION.search(stem):
        version, stem = int(match[1]), stem[: match.start()]
    step = int(match[1]) if (match := _STEP.search(stem)) else None
    if match := _EPOCH.search(stem):
        within = _WITHIN.search(stem)
        return Told(float(match[1]), step, within is not None and int(within[1]) > 0, version)
    if step is not None:
        return Told(None, step, version=version)
    if match := _SAVED.search(stem):
        number = int(match[1])
        return Told(step=number) if saved_by_step else Told(float(number), version=version)
    # Numbers that belong to a word (resnet18, run2) or a metric (acc=0.9) are none of an epoch's; in a folder's
    # name only a number that is the whole name is.
    alone = _ALONE.findall(_METRIC.sub(" ", stem))
    if alone and (not is_folder or stem.isdecimal()):
        return Told(float(alone[-1]), version=version)
    return Told()
