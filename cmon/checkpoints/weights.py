"""Which weights in a checkpoint's content are meant, raw or averaged, and the epoch and step beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cmon.checkpoints.state_dict import is_averaged
from cmon.errors import CmonError

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
)
_EPOCHS = ("epoch", "ep", "current_epoch")
_STEPS = ("step", "global_step", "iteration", "iter")


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


def find_weights(path: Path, content: dict[str, Any], weights: str) -> Weights:
    """The weights in what `Format.read` gave.

    path: of the checkpoint, for messages. weights: 'raw', or 'ema' for averaged weights.
    Raises CmonError when there are none, or several and none of them is known to be meant.
    """
    tensors, wrapper = _find_averaged(path, content) if weights == "ema" else _find_raw(path, content)
    meta = content.get("meta")  # where OpenMMLab's programs put epoch and step
    facts = {**meta, **content} if isinstance(meta, dict) else content
    step = _first_number(facts, _STEPS)
    return Weights(tensors, wrapper, _first_number(facts, _EPOCHS), None if step is None else int(step))


def _find_raw(path: Path, content: dict[str, Any]) -> tuple[dict[str, Tensor], str]:
    """(tensors, name of the entry that holds them)."""
    names: tuple[str, ...] = _RAW
    if "averaging_state" in content and "current_model_state" in content:
        names = ("current_model_state",)  # Lightning's WeightAveraging keeps the averaged ones in state_dict
    for name in names:
        if state := _as_state_dict(content.get(name)):
            return state, name
    plain = _select_tensors(content)
    inner = {
        str(name): state
        for name, value in content.items()
        if not is_averaged(str(name)) and "optim" not in str(name) and (state := _as_state_dict(value))
    }
    if plain and (any(tensor.ndim for tensor in plain.values()) or not inner):
        return plain, "plain"
    if len(inner) == 1:
        return next((state, name) for name, state in inner.items())
    if inner:
        raise CmonError(
            f"{path}: holds {len(inner)} state dicts",
            expected="one, or one under " + " or ".join(map(repr, _RAW[:3])),
            found=", ".join(map(repr, list(inner)[:5])),
            hint="save the one that is meant alone",
        )
    raise CmonError(
        f"{path}: holds no state dict",
        expected="a dict of tensors, plain or under " + " or ".join(map(repr, _RAW[:3])),
        found=_describe_entries(content),
    )


def _find_averaged(path: Path, content: dict[str, Any]) -> tuple[dict[str, Tensor], str]:
    """(tensors, name of the entry that holds them)."""
    if "averaging_state" in content and (state := _as_state_dict(content.get("state_dict"))):
        return state, "state_dict"
    others = (str(name) for name in content if is_averaged(str(name)))
    for name in (*_EMA, *others):
        if state := _as_state_dict(content.get(name)):
            return state, name
    tensors, wrapper = _find_raw(path, content)
    averaged = {name: tensor for name, tensor in tensors.items() if is_averaged(name)}
    if not averaged:
        raise CmonError(
            f"{path}: holds no EMA weights",
            expected="averaged weights under "
            + ", ".join(map(repr, _EMA[:3]))
            + " or another name with 'ema'",
            found=_describe_entries(content),
            hint="use --weights raw",
        )
    return averaged, wrapper


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
    facts = (*_EPOCHS, *_STEPS)
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor) and (name not in facts or value.ndim)
    }


def _describe_entries(content: Mapping[Any, Any]) -> str:
    if not content:
        return "an empty dict"
    shown = ", ".join(map(repr, list(content)[:5]))
    return f"a dict with {shown}" + (" ..." if len(content) > 5 else "")


def _first_number(facts: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    return next(_numbers(facts.get(name) for name in names), None)


def _numbers(values: Iterator[Any]) -> Iterator[float]:
    """The finite numbers among values, tensors of one number included, True and False not."""
    for value in values:
        if isinstance(value, Tensor) and value.numel() == 1 and not value.is_meta:
            value = value.item()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            yield float(value)
