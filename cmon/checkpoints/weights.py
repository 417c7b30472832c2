"""Which weights in a checkpoint's content are meant, raw or averaged, and the epoch and step beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cmon.checkpoints.averaging import (
    averaged_part,
    find_flattened,
    is_averaged,
    is_averaged_model,
    is_swapped,
)
from cmon.checkpoints.facts import EPOCHS, STEPS, find_facts
from cmon.errors import CmonError
from cmon.printable import printable

_RAW = (
    "state_dict",
    "model",
    "model_state_dict",  # open_lth
    "model_state",
    "module",  # DeepSpeed
    "net",
    "network",
    "weights",
    "params",
)
_EMA = (
    "state_dict_ema",  # timm
    "model_ema",  # torchvision's references
    "ema_state_dict",
    "model_ema_state_dict",
    "ema_model",
    "ema_state",
    "ema",
    "params_ema",
    "swa_model",
    "swa_state_dict",
    "avg_model",
    "average_model",
)
_LONGEST_NAME = 1_000
_MOST_SHARED = 4
"""How many times over the bytes of a checkpoint may be used, by tensors that share them in part."""
_NO_NETWORK = re.compile(r"optim|^opt$|sched|scaler|rng|random|sampler|callback|metric|criterion|loss", re.I)
"""Entries that hold tensors and are no network."""


@dataclass(frozen=True)
class Weights:
    """The weights in a checkpoint, with the training program's own notes."""

    tensors: dict[str, Tensor]
    """State dict, names as they were stored."""
    wrapper: str
    """Name of the entry that holds the weights: 'state_dict', 'model', ..., or 'plain' where nothing does."""
    epoch: float | None
    """As the training program stored it, if it did."""
    step: int | None
    averaged: bool = False
    """Whether they are averaged weights; raw ones may have been asked for, and not be there."""


def find_weights(path: Path, content: dict[str, Any], weights: str) -> Weights:
    """The weights in what `Format.read` gave.

    path: of the checkpoint, for messages. weights: 'raw', or 'ema' for averaged weights.
    Raises CmonError when there are none, or several and none of them is known to be meant.
    """
    content = _unwrap(content)
    epoch, step = find_facts(content)
    if weights == "ema":
        return Weights(*_find_averaged(path, content), epoch, step, averaged=True)
    tensors, wrapper = _find_raw(path, content)
    return Weights(tensors, wrapper, epoch, step, averaged=is_averaged_model(tensors))


def check_sizes(path: Path, tensors: Mapping[str, Tensor], size: int) -> None:
    """Raise CmonError for weights that are larger than the checkpoint that they are in, or whose names are no text.

    A tensor may repeat its values (`expand`), so that a few bytes stand for as many as anybody likes.
    size: of the checkpoint, in bytes.
    """
    names = [name for name in tensors if len(name) > _LONGEST_NAME or printable(name) != name]
    if names:
        raise CmonError(
            f"{path}: {len(names)} of its tensors have names that are no text",
            expected=f"printable names of at most {_LONGEST_NAME} letters",
            found=names[0][:60],
        )
    total = 0
    seen = set()
    for name, tensor in tensors.items():
        if tensor.is_nested or tensor.layout != torch.strided or tensor.is_meta:
            continue  # refused by their kind, or compared with the file by their format
        own = tensor.numel() * tensor.element_size()
        view = tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()
        total += 0 if view in seen else own
        seen.add(view)
        if own > size or total > _MOST_SHARED * size:
            raise CmonError(
                f"{path}: its weights are larger than itself",
                expected="tensors whose values are all in the file",
                found=f"{max(own, total):,} bytes up to {name}, in a checkpoint of {size:,}",
                hint="save tensor.clone() of those that were expanded",
            )


def _unwrap(content: dict[str, Any]) -> dict[str, Any]:
    """Composer's `state`, or the content itself."""
    state = content.get("state")
    return state if isinstance(state, dict) and "model" in state and "timestamp" in state else content


def _find_raw(path: Path, content: dict[str, Any]) -> tuple[dict[str, Tensor], str]:
    """(tensors, name of the entry that holds them)."""
    if is_swapped(content):
        inner = {name: value for name, value in content["ema_state_dict"].items() if name != "steps"}
        return _select_tensors(inner), "ema_state_dict"
    if "averaging_state" in content and "current_model_state" in content:
        content = {"current_model_state": content["current_model_state"]}  # Lightning's WeightAveraging
    elif _is_dino(content):
        content = {"student": content["student"]}
    known = {name: state for name in _RAW if (state := _as_state_dict(content.get(name)))}
    raw = {name: state for name, state in known.items() if not is_averaged_model(state)} or known
    plain = _select_tensors(content)
    others = {
        str(name): state
        for name, value in content.items()
        if name not in known and not _NO_NETWORK.search(str(name)) and (state := _as_state_dict(value))
    }
    inner = {
        name: state for name, state in others.items() if not (is_averaged(name) or is_averaged_model(state))
    }
    found = raw or ({} if plain and (any(map(_has_axes, plain.values())) or not inner) else inner)
    if len(found) > 1 and not (raw and _are_one(list(found.values()))):
        raise CmonError(
            f"{path}: holds {len(found)} state dicts",
            expected="one, or one under " + " or ".join(map(repr, _RAW[:3])),
            found=", ".join(map(repr, list(found)[:5])),
            hint="save the one that is meant alone",
        )
    if found:
        name, state = next(iter(found.items()))
    elif plain:
        name, state = "plain", plain
    else:
        raise _no_weights(path, content, others)
    _check_flattened(path, state)
    return state, name


def _find_averaged(path: Path, content: dict[str, Any]) -> tuple[dict[str, Tensor], str]:
    """(tensors, name of the entry that holds them)."""
    if is_swapped(content) or ("averaging_state" in content and _as_state_dict(content.get("state_dict"))):
        return _as_state_dict(content["state_dict"]) or {}, "state_dict"
    if _is_dino(content):
        return _as_state_dict(content["teacher"]) or {}, "teacher"
    found = {}
    for name, value in content.items():
        if (state := _as_state_dict(value)) and not _NO_NETWORK.search(str(name)):
            if name in _EMA or is_averaged(str(name)):
                found[str(name)] = averaged_part(state) or state
            elif is_averaged_model(state):
                found[str(name)] = averaged_part(state)
    if len(found) > 1 and not _are_one(list(found.values())):
        raise CmonError(
            f"{path}: holds {len(found)} averaged state dicts",
            expected="one",
            found=", ".join(map(repr, list(found)[:5])),
            hint="save the one that is meant alone, or use --weights raw",
        )
    if found:
        name, state = next(iter(found.items()))
        return state, name
    tensors, wrapper = _find_raw(path, content)
    if averaged := averaged_part(tensors):
        return averaged, wrapper
    raise CmonError(
        f"{path}: holds no EMA weights",
        expected="averaged weights under "
        + ", ".join(map(repr, _EMA[:3]))
        + " or another name with 'ema' or 'swa'",
        found=_describe_entries(content),
        hint="use --weights raw",
    )


def _is_dino(content: Mapping[str, Any]) -> bool:
    """Whether DINO or iBOT wrote this, whose teacher is the average of the student."""
    both = {"student", "teacher"} <= content.keys()
    return both and any(name in content for name in ("dino_loss", "ibot_loss"))


def _check_flattened(path: Path, tensors: Mapping[str, Tensor]) -> None:
    if names := find_flattened(tensors):
        raise CmonError(
            f"{path}: holds weights and their averages, and not which are which",
            expected="weights alone",
            found=f"{len(names)} pairs such as {names[0]}: MMCV's EMAHook exchanges the two when it saves, or does not",
            hint="save the state dict that is meant alone, without the names that begin with 'ema_'",
        )


def _are_one(states: list[dict[str, Tensor]]) -> bool:
    """Whether these are the same tensors under several names."""
    first = states[0]
    return all(
        state.keys() == first.keys() and all(state[name] is first[name] for name in first) for state in states
    )


def _no_weights(path: Path, content: Mapping[str, Any], averaged: Mapping[str, Any]) -> CmonError:
    if averaged:
        return CmonError(
            f"{path}: holds only averaged weights",
            expected="raw weights, as --weights says",
            found=", ".join(map(repr, averaged)),
            hint="use --weights ema",
        )
    return CmonError(
        f"{path}: holds no state dict",
        expected="a dict of tensors, plain or under " + " or ".join(map(repr, _RAW[:3])),
        found=_describe_entries(content),
    )


def _as_state_dict(value: Any, deeper: bool = True) -> dict[str, Tensor] | None:
    """The state dict that a value is, or, one level deeper, holds; None or empty without one."""
    if isinstance(value, nn.Module):  # only from a trusted pickle
        return dict(value.state_dict())
    if not isinstance(value, dict):
        return None
    if (tensors := _select_tensors(value)) or not deeper:
        return tensors
    return next((state for name in _RAW if (state := _as_state_dict(value.get(name), deeper=False))), None)


def _select_tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """All tensors with a name, but for an epoch or step that was stored as one."""
    facts = (*EPOCHS, *STEPS)
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor) and (name not in facts or _has_axes(value))
    }


def _has_axes(tensor: Tensor) -> bool:
    return tensor.is_nested or tensor.ndim > 0


def _describe_entries(content: Mapping[Any, Any]) -> str:
    if not content:
        return "an empty dict"
    shown = ", ".join(map(repr, list(content)[:5]))
    return f"a dict with {shown}" + (" ..." if len(content) > 5 else "")
