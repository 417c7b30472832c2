"""A checkpoint's tensors under the names that the network gives them.

Training programs put a network inside others: DataParallel (`module.`), torch.compile (`_orig_mod.`), a
LightningModule (any attribute), an attacker. Where the network lies is found by matching names against the
network's own, never guessed from the prefix alone; every name of the network must be there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cmon.errors import CmonError

_WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
_AVERAGED = re.compile(r"(^|_)ema(_|$)", re.IGNORECASE)
_COUNTER = "num_batches_tracked"
"""Buffer that old checkpoints lack, and that changes nothing in eval mode."""


class WeightsMismatch(CmonError):
    """A checkpoint's weights do not fit the network: that checkpoint is skipped, others may fit."""

    matched: int = 0
    wanted: int = 0


@dataclass(frozen=True)
class Match:
    """How a checkpoint's tensors meet a network's names."""

    tensors: dict[str, Tensor]
    """Under the network's names."""
    wanted: int
    """How many names the network has."""
    prefix: str
    """In front of the network's names in the checkpoint: '' or, for example, 'model.'."""
    beside: dict[str, Tensor]
    """What lies outside the prefix: other parts of the training program's module."""
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    """Names inside the prefix that the network does not have."""
    shapes: tuple[str, ...]
    """Names whose tensor has another shape than the network's."""

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unknown or self.shapes)

    @property
    def matched(self) -> int:
        return self.wanted - len(self.missing) - len(self.shapes)

    @property
    def averaged(self) -> bool:
        """Whether the prefix says that these are averaged (EMA) weights."""
        return is_averaged(self.prefix)

    @property
    def normaliser(self) -> tuple[list[float], list[float]] | None:
        """Mean and standard deviation per channel of a normaliser that lies in front of the network."""
        for name, mean in self.beside.items():
            std = self.beside.get(name.removesuffix("mean") + "std")
            if name.endswith("mean") and std is not None and mean.numel() == std.numel() == 3:
                return mean.flatten().tolist(), std.flatten().tolist()
        return None


def match(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], spec: str) -> Match:
    """Find the network's names among a checkpoint's.

    tensors: as stored. wanted: the network's state dict. spec: what to call the network in messages.
    The names are tried as they are, then without wrapper segments, then with pruned weights multiplied out; the
    first way that fits wins, else the one that matches most names, which then says what does not fit.
    Raises WeightsMismatch when the network is there more than once, with different weights.
    """
    best: Match | None = None
    for named in _readings(tensors):
        found = [_under(prefix, named, wanted, spec) for prefix in _prefixes(named, wanted)]
        fitting = [one for one in found if one.fits]
        if fitting:
            return _only(fitting, spec)
        for one in found:
            if best is None or (one.matched, -len(one.unknown)) > (best.matched, -len(best.unknown)):
                best = one
    return best or _under("", tensors, wanted, spec)


def checked(found: Match, spec: str) -> Match:
    """The match, if it fits. Raises WeightsMismatch with the first names that do not, and how many."""
    problems = [
        f"{len(names)} {what}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
        for what, names in (
            ("missing", found.missing),
            ("unknown", found.unknown),
            ("of another shape", found.shapes),
        )
        if names
    ]
    if not problems:
        return found
    where = f" under {found.prefix!r}" if found.prefix else ""
    error = WeightsMismatch(
        f"the weights do not fit {spec}",
        expected=f"the {found.wanted} keys of its state dict",
        found=f"{found.matched} that match{where}; " + "; ".join(problems),
        hint="check --model and --model-arg (for example --model-arg num_classes=10)",
    )
    error.matched, error.wanted = found.matched, found.wanted
    raise error


def is_averaged(name: str) -> bool:
    """Whether a segment of a dotted name says 'EMA': `ema_model.conv1.weight`, `model_ema.module.fc.bias`."""
    return any(_AVERAGED.search(part) for part in name.split("."))


def _readings(tensors: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """The ways in which the names can be meant, the most literal first."""
    yield tensors
    ways: list[frozenset[str]] = [frozenset(), _WRAPPERS, _WRAPPERS | {"module"}]
    for segments in ways:
        named = {_without(name, segments): tensor for name, tensor in tensors.items()}
        if len(named) < len(tensors):
            continue  # two names fell together, so a segment was no wrapper
        if named.keys() != tensors.keys():
            yield named
        multiplied = _multiplied(named)
        if multiplied.keys() != named.keys():
            yield multiplied


def _without(name: str, segments: frozenset[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in segments)


def _multiplied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With torch.nn.utils.prune's pairs `weight_orig`, `weight_mask` as the `weight` that they make."""
    named = dict(tensors)
    for name in tensors:
        stem = name.removesuffix("_mask")
        if stem != name and f"{stem}_orig" in tensors and stem not in tensors:
            named[stem] = named.pop(f"{stem}_orig") * named.pop(name)
    return named


def _prefixes(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Prefixes under which the most names of the network lie, shortest first."""
    counts: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in wanted:
                counts[".".join(parts[:start]) + ("." if start else "")] += 1
    most = max(counts.values(), default=0)
    needed = sum(not name.endswith(_COUNTER) for name in wanted)
    return sorted((one for one, count in counts.items() if count >= min(most, needed)), key=len)


def _under(prefix: str, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], spec: str) -> Match:
    inside = {
        name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }
    shared = {name: inside[name] for name in wanted if name in inside}
    return Match(
        shared,
        len(wanted),
        prefix,
        {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)},
        tuple(name for name in wanted if name not in inside and not name.endswith(_COUNTER)),
        tuple(name for name in inside if name not in wanted),
        tuple(
            f"{name} {tuple(tensor.shape)} where {spec} has {tuple(wanted[name].shape)}"
            for name, tensor in shared.items()
            if tensor.shape != wanted[name].shape
        ),
    )


def _only(fitting: list[Match], spec: str) -> Match:
    """The one that is meant: the network itself, not an average of it, and the shortest of equal ones."""
    raw = [one for one in fitting if not one.averaged] or fitting
    first = raw[0]
    if not first.prefix:
        return first
    others = [
        one.prefix
        for one in raw[1:]
        if any(not torch.equal(tensor, first.tensors[name]) for name, tensor in one.tensors.items())
    ]
    if others:
        prefixes = [first.prefix, *others]
        raise WeightsMismatch(
            f"{len(prefixes)} networks in the checkpoint fit {spec}, and their weights differ",
            expected="one",
            found="weights under " + ", ".join(map(repr, prefixes[:5])),
            hint="save the one that is meant, or give a --model python:... that holds all of them",
        )
    return first
