"""The epoch and step that a training program stored beside the weights."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from cmon.checkpoints.numbers import MOST_EPOCHS, MOST_STEPS

EPOCHS = ("epoch", "ep", "current_epoch")
STEPS = (
    "step",
    "global_step",
    "global_steps",  # DeepSpeed
    "iteration",
    "iter",
    "num_updates",
)


def find_facts(content: Mapping[str, Any]) -> tuple[float | None, int | None]:
    """(epoch, step) as stored; None where there is none.

    A number below 0 or as large as a date is no epoch: Ultralytics writes -1 where training is over.
    """
    facts = _collect(content)
    epoch, step = _first_number(facts, EPOCHS), _first_number(facts, STEPS)
    if epoch is not None and not 0 <= epoch <= MOST_EPOCHS:
        epoch = None
    if step is not None and not (0 <= step <= MOST_STEPS and step.is_integer()):
        step = None
    return epoch, None if step is None else int(step)


def _collect(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """All that may hold an epoch, in one dict."""
    facts = dict(content)
    if isinstance(meta := content.get("meta"), dict):  # OpenMMLab
        facts = {**meta, **facts}
    if time := _composer_time(content):
        facts |= {"epoch": time.get("epoch"), "step": time.get("batch")}
    if engine := _ignite_engine(content):
        facts |= engine
    return facts


def _composer_time(content: Mapping[str, Any]) -> Mapping[str, Any]:
    stamp = content.get("timestamp")
    inner = stamp.get("Timestamp", stamp) if isinstance(stamp, dict) else None
    return inner if isinstance(inner, dict) else {}


def _ignite_engine(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ignite's trainer counts iterations; how many make an epoch stands beside."""
    for value in content.values():
        if isinstance(value, dict) and "epoch_length" in value and {"max_epochs", "max_iters"} & value.keys():
            length, iteration = value["epoch_length"], value.get("iteration")
            if isinstance(iteration, int) and isinstance(length, int) and length > 0:
                return {"epoch": Fraction(iteration, length), "step": iteration}
            return {"epoch": value.get("epoch")}
    return {}


def _first_number(facts: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    return next(_numbers(facts.get(name) for name in names), None)


def _numbers(values: Iterator[Any]) -> Iterator[float]:
    """The finite numbers among values, tensors of one number included, True and False not."""
    for value in values:
        try:
            value = value.item() if isinstance(value, Tensor) and _holds_one(value) else value
            if not isinstance(value, numbers.Real) or isinstance(value, bool):
                continue
            number = float(value)
        except (OverflowError, RuntimeError):  # 10**400; a dtype whose values torch does not give
            continue
        if math.isfinite(number):
            yield number


def _holds_one(tensor: Tensor) -> bool:
    """Whether a tensor is one number that is there."""
    plain = not tensor.is_nested and tensor.layout == torch.strided and not tensor.is_meta
    return plain and tensor.numel() == 1
