"""A checkpoint's tensors under the names that the network gives them.

Training programs put a network inside others: DataParallel (`module.`), torch.compile (`_orig_mod.`), a
LightningModule (any attribute), an attacker. The network's prefix is found by matching names with the network's
own, never guessed from the prefix alone. Every name of the network must be there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cmon.checkpoints.averaging import is_averaged
from cmon.checkpoints.hints import find_cause
from cmon.checkpoints.kinds import INTEGERS, NUMBERS, kind_of, may_stand_for, shape_of, way_out
from cmon.errors import CmonError

_WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
_HEAD = re.compile(r"(^|\.)(fc|heads?|classifier|last_linear|output|linear)(\.|$)")
"""Last layer of most networks, which has a row for each class."""
_COUNTER = "num_batches_tracked"
"""Buffer that old checkpoints lack, and that changes nothing in eval mode."""


_MOST_PREFIXES = 16
"""A checkpoint that holds more networks than that was not made by training one."""


class WeightsMismatch(CmonError):
    """A checkpoint's weights do not fit the network: that checkpoint is skipped, others may fit."""

    matched: int = 0
    """Names of the network that the checkpoint has, in the right shape,"""
    total: int = 0
    """of all that the network has; 0 where they were not compared."""


@dataclass(frozen=True)
class Match:
    """Which of a checkpoint's tensors are the network's."""

    tensors: dict[str, Tensor]
    """By the network's names."""
    total: int
    """How many names the network has."""
    prefix: str
    """In front of the network's names in the checkpoint: '' or, for example, 'model.'."""
    outside: dict[str, Tensor]
    """Tensors without the prefix: other parts of the training program's module."""
    missing: tuple[str, ...]
    """Names of the network that the checkpoint does not have."""
    unknown: tuple[str, ...]
    """Names with the prefix that the network does not have."""
    wrong_shapes: tuple[str, ...]
    """Names whose tensor has another shape than the network's, with both shapes."""
    unreadable: dict[str, str]
    """Names whose values cannot be the network's weights, with what they hold instead: `a sparse tensor`."""

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unknown or self.wrong_shapes or self.unreadable)

    @property
    def matched(self) -> int:
        """How many of the network's names the checkpoint has, in the right shape."""
        return self.total - len(self.missing) - len(self.wrong_shapes)

    @property
    def averaged(self) -> bool:
        """Whether the prefix says that these are averaged (EMA) weights."""
        return is_averaged(self.prefix)

    @property
    def normaliser(self) -> tuple[list[float], list[float]] | None:
        """Mean and standard deviation of three channels, of a normaliser in front of the network if there is one."""
        for name, mean in self.outside.items():
            std = self.outside.get(name.removesuffix("mean") + "std")
            if name.endswith("mean") and std is not None and _are_three(mean) and _are_three(std):
                return mean.flatten().tolist(), std.flatten().tolist()
        return None


def match(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], spec: str) -> Match:
    """Find the network's names among a checkpoint's.

    tensors: as stored. own: the network's state dict. spec: what to call the network in messages.
    The names are tried as they are, then without wrapper segments, then with pruning masks applied. The first
    way that fits is taken, else the one that matches most names, so that messages tell what does not fit.
    Raises WeightsMismatch when the network is there more than once, with different weights.
    """
    best: Match | None = None
    for renamed in _renamings(tensors):
        found = [_match_prefix(prefix, renamed, own, spec) for prefix in _likely_prefixes(renamed, own)]
        fitting = [one for one in found if one.fits]
        if fitting:
            return _choose(fitting, spec)
        for one in found:
            if best is None or (one.matched, -len(one.unknown)) > (best.matched, -len(best.unknown)):
                best = one
    return best or _match_prefix("", tensors, own, spec)


def check_match(found: Match, spec: str) -> None:
    """Raise WeightsMismatch, with the first names that do not fit and how many, unless all do."""
    if found.unreadable:
        name, kind = next(iter(found.unreadable.items()))
        raise WeightsMismatch(
            f"{len(found.unreadable)} of its weights cannot be read as numbers of {spec}",
            expected="floats of 16 bits or more, where the network has such",
            found=f"{kind} in {name}",
            hint=way_out(kind),
        )
    problems = [
        f"{len(names)} {what}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
        for what, names in (
            ("missing", found.missing),
            ("unknown", found.unknown),
            ("of another shape", found.wrong_shapes),
        )
        if names
    ]
    if not problems:
        return
    where = f" under {found.prefix!r}" if found.prefix else ""
    cause = find_cause(found.unknown, found.matched)
    error = WeightsMismatch(
        f"the weights do not fit {spec}" + (f": {cause.problem}" if cause else ""),
        expected=f"the {found.total} tensors of its state dict",
        found=f"{found.matched} that match{where}; " + "; ".join(problems),
        hint=cause.hint if cause else _other_hint(found),
    )
    error.matched, error.total = found.matched, found.total
    raise error


def _other_hint(found: Match) -> str:
    shapes = [text.split(" ")[0] for text in found.wrong_shapes]
    if not found.missing and not found.unknown and all(_HEAD.search(name) for name in shapes):
        return "check --model-arg (for example --model-arg num_classes=10)"
    return "check --model and --model-arg"


def _renamings(tensors: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """The tensors as they are, without wrapper segments in their names, and with pruning masks applied."""
    yield tensors
    ways: list[frozenset[str]] = [frozenset(), _WRAPPERS, _WRAPPERS | {"module"}]
    for segments in ways:
        renamed = {_remove_segments(name, segments): tensor for name, tensor in tensors.items()}
        if len(renamed) < len(tensors):
            continue  # two names became one, so a segment was no wrapper
        if renamed.keys() != tensors.keys():
            yield renamed
        pruned = _apply_masks(renamed)
        if pruned.keys() != renamed.keys():
            yield pruned


def _remove_segments(name: str, segments: frozenset[str]) -> str:
    return ".".join(part for part in name.split(".") if part not in segments)


def _apply_masks(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With torch.nn.utils.prune's pairs `weight_orig`, `weight_mask` multiplied to the `weight` that they make."""
    pruned = dict(tensors)
    for name in tensors:
        stem = name.removesuffix("_mask")
        if stem == name or f"{stem}_orig" not in tensors or stem in tensors:
            continue
        whole, mask = tensors[f"{stem}_orig"], tensors[name]
        plain = kind_of(whole) == NUMBERS and kind_of(mask) in (NUMBERS, INTEGERS)
        if plain and whole.shape == mask.shape:  # of others, the product would be larger than both
            del pruned[f"{stem}_orig"], pruned[name]
            pruned[stem] = whole * mask
    return pruned


def _are_three(tensor: Tensor) -> bool:
    return kind_of(tensor) == NUMBERS and tensor.numel() == 3


def _likely_prefixes(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Prefixes that the most names of the network have in the checkpoint, shortest first."""
    counts: Counter[str] = Counter()
    for name in tensors:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in own:
                counts[".".join(parts[:start]) + ("." if start else "")] += 1
    most = max(counts.values(), default=0)
    needed = sum(not name.endswith(_COUNTER) for name in own)
    likely = sorted((prefix for prefix, count in counts.items() if count >= min(most, needed)), key=len)
    return likely[:_MOST_PREFIXES]


def _match_prefix(prefix: str, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], spec: str) -> Match:
    """The match of the names that have a prefix, whether or not it fits."""
    inside = {
        name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }
    shared = {name: inside[name] for name in own if name in inside}
    unreadable = {
        name: kind_of(tensor)
        for name, tensor in shared.items()
        if not may_stand_for(tensor, own[name]) and not name.endswith(_COUNTER)
    }
    return Match(
        tensors=shared,
        total=len(own),
        prefix=prefix,
        outside={name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)},
        missing=tuple(name for name in own if name not in inside and not name.endswith(_COUNTER)),
        unknown=tuple(name for name in inside if name not in own),
        wrong_shapes=tuple(
            f"{name} {shape_of(tensor)} where {spec} has {tuple(own[name].shape)}"
            for name, tensor in shared.items()
            if name not in unreadable and tensor.shape != own[name].shape
        ),
        unreadable=unreadable,
    )


def _choose(fitting: list[Match], spec: str) -> Match:
    """The match of the network itself, not of an average of it; of equal ones that with the shortest prefix.

    Raises WeightsMismatch when several fit and their weights differ.
    """
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
