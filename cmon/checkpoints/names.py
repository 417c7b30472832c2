"""The epoch and step in a checkpoint's name, and whether it was saved in the middle of an epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cmon.checkpoints.formats.registry import SUFFIXES

_NUMBER = r"[-_=. ]?(\d+)(?!\d|\.\d)"
_EPOCH = re.compile(rf"(?<![a-z])(?:epochs?|ep|e){_NUMBER}", re.IGNORECASE)
_STEP = re.compile(rf"(?<![a-z])(?:global[-_]?step|steps?|iterations?|iter){_NUMBER}", re.IGNORECASE)
_WITHIN = re.compile(rf"(?<![a-z])it{_NUMBER}", re.IGNORECASE)  # open_lth: model_ep3_it40.pth
_RECOVERY = re.compile(r"recovery-(\d+)-(\d+)$")  # timm: epoch and batch
_SAVED = re.compile(
    rf"(?<![a-z])(?:checkpoint|ckpt|model|net|weights|snapshot|milestone){_NUMBER}", re.IGNORECASE
)
_VERSION = re.compile(r"-v(\d+)$")  # Lightning, where a file of that name existed
_METRIC = re.compile(r"[^-=/ ]+=\s*-?\d+(\.\d+)?|(acc|loss|top|map|lr|seed)[-_ ]?\d+(\.\d+)?|\d+\.\d+", re.I)
_ALONE = re.compile(r"(?<![a-z\d])(\d+)(?![a-z\d])", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedName:
    """What one name says; None where it says nothing."""

    epoch: float | None = None
    step: int | None = None
    """Counted over the whole training."""
    partial: bool = False
    """Saved in the middle of its epoch."""
    version: int = 0
    """Lightning's `-v1`: saved later than the file of the same name without it."""


def parse_name(name: str, counts_steps: bool = False) -> ParsedName:
    """Parse `epoch_3.pt`, `epoch=2-step=300-v1.ckpt`, `recovery-3-500.pth.tar`, `Epoch_4/weights.pth`, ...

    name: path relative to the run's folder, with forward slashes; the last part with an epoch or step counts.
    counts_steps: whether the number in `checkpoint-500` is a step; see `Format.counts_steps`.
    """
    parts = name.split("/")
    for position, part in enumerate(reversed(parts)):
        found = _parse_stem(_remove_suffix(part), counts_steps, is_folder=position > 0)
        if found.epoch is not None or found.step is not None:
            return found
    return ParsedName()


def _remove_suffix(part: str) -> str:
    for suffix in SUFFIXES:
        if part.endswith(suffix):
            return part.removesuffix(suffix)
    return part


def _parse_stem(stem: str, counts_steps: bool, is_folder: bool) -> ParsedName:
    if match := _RECOVERY.search(stem):
        return ParsedName(float(match[1]), partial=True)
    version = 0
    if match := _VERSION.search(stem):
        version, stem = int(match[1]), stem[: match.start()]
    step = int(match[1]) if (match := _STEP.search(stem)) else None
    if match := _EPOCH.search(stem):
        within = _WITHIN.search(stem)
        return ParsedName(float(match[1]), step, within is not None and int(within[1]) > 0, version)
    if step is not None:
        return ParsedName(None, step, version=version)
    if match := _SAVED.search(stem):
        number = int(match[1])
        return ParsedName(step=number) if counts_steps else ParsedName(float(number), version=version)
    # Numbers in a word (resnet18, run2) or a metric (acc=0.9) are no epochs. In a folder's name, only a number
    # that is the whole name is one.
    alone = _ALONE.findall(_METRIC.sub(" ", stem))
    if alone and (not is_folder or stem.isdecimal()):
        return ParsedName(float(alone[-1]), version=version)
    return ParsedName()
