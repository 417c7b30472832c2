"""Averaged weights (EMA, SWA) told from raw ones: by what is in a checkpoint, as the program that wrote it means it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_AVERAGED = re.compile(r"(^|_)(ema|swa|averaged)(_|$)", re.IGNORECASE)
_MOMENTUM = {
    "encoder_k": "encoder_q",  # MoCo
    "momentum_encoder": "base_encoder",  # MoCo v3
    "target_encoder": "online_encoder",  # BYOL
}
"""Part of a network that is an average of another part, by both parts' names."""
_COUNTERS = frozenset(("n_averaged", "steps", "step", "initted", "decay", "num_updates"))
"""What lies beside the averaged weights and is none."""
_LEAST = 0.25
"""An average of a network is at least this part of a state dict that holds both; a layer called `ema_gate` is less."""


def is_averaged(name: str) -> bool:
    """Whether a segment of a dotted name says 'average': `ema_model.conv1.weight`, `model_ema.module.fc.bias`."""
    return any(_AVERAGED.search(part) or part in _MOMENTUM for part in name.split("."))


def is_averaged_model(tensors: Mapping[str, Any]) -> bool:
    """Whether this is the state dict of torch's AveragedModel: `n_averaged`, and all else under `module.`."""
    names = [name for name in tensors if name != "n_averaged"]
    return "n_averaged" in tensors and bool(names) and all(name.startswith("module.") for name in names)


def averaged_part(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The averaged weights within a state dict that holds them beside the raw ones; empty without any.

    A name alone makes no average: there must be other weights that they are an average of, or nearly nothing else.
    """
    if is_averaged_model(tensors):
        return {name: tensor for name, tensor in tensors.items() if name != "n_averaged"}
    groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        parts = name.split(".")
        place = next((i for i, part in enumerate(parts[:-1]) if is_averaged(part)), None)
        if place is not None:
            groups[".".join(parts[: place + 1]) + "."][name] = tensor
    large = {prefix: group for prefix, group in groups.items() if len(group) >= _LEAST * len(tensors)}
    twins = {prefix: group for prefix, group in large.items() if _has_twin(prefix, group, tensors)}
    alone = {prefix: group for prefix, group in large.items() if len(group) > len(tensors) / 2}
    return {name: tensor for group in (twins or alone).values() for name, tensor in group.items()}


def is_swapped(content: Mapping[str, Any]) -> bool:
    """Whether MMEngine's EMAHook wrote this: with the average as `state_dict`, the raw weights as `ema_state_dict`."""
    average = content.get("ema_state_dict")
    if not isinstance(average, dict) or not isinstance(content.get("state_dict"), dict):
        return False
    own = {name for name in average if not str(name).startswith("module.")}
    meta = content.get("meta")
    by_mmengine = (isinstance(meta, dict) and "mmengine_version" in meta) or "message_hub" in content
    return own == {"steps"} or (by_mmengine and own <= {"steps"})


def find_flattened(tensors: Mapping[str, Tensor]) -> list[str]:
    """Averages as MMCV's EMAHook keeps them: `ema_layer1_conv_weight` beside `layer1.conv.weight`."""
    flat = {"ema_" + name.replace(".", "_") for name in tensors}
    return sorted(name for name in tensors if name in flat)


def _has_twin(prefix: str, group: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> bool:
    """Whether the same names are there under another prefix, that of the raw weights."""
    own = {_remove_wrappers(name.removeprefix(prefix)) for name in group}
    own -= _COUNTERS
    if not own:
        return False
    others = {_remove_wrappers(name) for name in tensors if name not in group}
    sample = min(own)
    starts = [name.removesuffix(sample) for name in others if name == sample or name.endswith("." + sample)]
    return any(all(start + name in others for name in own) for start in starts)


def _remove_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in ("module", "_orig_mod"))
