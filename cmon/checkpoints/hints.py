"""Why a checkpoint's names are not the network's, and what to do: a hint that fits the cause."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

_PARAMETRIZED = re.compile(r"(?:(?P<layer>.*)\.)?parametrizations\.(?P<weight>\w+)\.(?P<part>.+)")
_OLD_PARTS = re.compile(r"(?:(?P<layer>.*)\.)?(?P<weight>\w+)_(?P<part>orig|u|v|g)")
_OLD_NORMS = {"spectral_norm": {"orig", "u"}, "weight_norm": {"g", "v"}}
"""What torch.nn.utils.spectral_norm and weight_norm, without parametrizations, make of a weight."""


class Cause(NamedTuple):
    """What a checkpoint's names say."""

    problem: str
    hint: str


def find_cause(unknown: Collection[str], matched: int) -> Cause | None:
    """The cause that names of a known form tell; None where they tell nothing.

    unknown: names in the checkpoint that the network does not have. matched: how many names of the network it has.
    """
    if any("lora_" in name or ".base_layer." in name for name in unknown):
        return Cause(
            "its network has adapters (PEFT) that are not merged",
            "in the training program, save model.merge_and_unload().state_dict()",
        )
    if norms := _find_norms(unknown):
        return _parametrized(norms)
    if not matched:
        return Cause("none of its names is the network's", "check --model: this seems to be another network")
    return None


def _parametrized(norms: Mapping[tuple[str, bool], set[str]]) -> Cause:
    said, factories, removals = [], [], []
    for (norm, new), layers in norms.items():
        shown = ", ".join(sorted(layers)[:3]) + (" ..." if len(layers) > 3 else "")
        said.append(f"{norm or 'other parametrizations'} (in {shown})")
        module = "torch.nn.utils.parametrizations" if new else "torch.nn.utils"
        factories.append(f"{module}.{norm}" if norm else "the same parametrizations")
        removals.append(
            "torch.nn.utils.parametrize.remove_parametrizations" if new else f"torch.nn.utils.remove_{norm}"
        )
    return Cause(
        "its weights are kept in parts by " + " and ".join(said),
        f"give --model python:FILE.py:FACTORY with a factory that applies {' and '.join(factories)} to these layers, "
        f"as the training program did; or save the state dict after {' and '.join(dict.fromkeys(removals))}",
    )


def _find_norms(names: Collection[str]) -> dict[tuple[str, bool], set[str]]:
    """Layers by (norm, whether it is a parametrization); the norm is empty where it is another parametrization."""
    found: dict[tuple[str, bool], set[str]] = {}
    new: dict[tuple[str, str], set[str]] = {}
    old: dict[tuple[str, str], set[str]] = {}
    for name in names:
        if match := _PARAMETRIZED.fullmatch(name):
            new.setdefault((match["layer"] or "", match["weight"]), set()).add(match["part"])
        elif match := _OLD_PARTS.fullmatch(name):
            old.setdefault((match["layer"] or "", match["weight"]), set()).add(match["part"])
    for (layer, _), parts in new.items():
        norm = "weight_norm" if "original1" in parts else "spectral_norm" if "0._u" in parts else ""
        found.setdefault((norm, True), set()).add(layer)
    for (layer, _), parts in old.items():
        for norm, needed in _OLD_NORMS.items():
            if needed <= parts:
                found.setdefault((norm, False), set()).add(layer)
    return found
