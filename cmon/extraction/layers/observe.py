"""What modules give in one forward pass: shapes of all, and a few values of those that are looked at closely.

Outputs are never kept, only copies of some of their values: a later in-place operation cannot change them, and a
large network with all its layers fits in memory.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cmon.errors import CmonError
from cmon.extraction.layers import forward
from cmon.extraction.layers.tensors import read_tensor

_VALUES = 2**16
"""Values of one picture's output that are compared; of larger ones, as many spread over it evenly."""


Rows = tuple[Tensor, ...]


@dataclass
class Observed:
    """A module in one forward pass."""

    calls: int = 0
    shape: tuple[int, ...] = ()
    """Of its last output, batch included."""
    slices: dict[int, Rows] = field(default_factory=dict)
    """By axis that is as long as the batch: values of each of the output's entries along it, float32."""
    source: str | None = None
    """The module whose output, the very tensor, is its first input; None where something was done to it between."""
    problem: CmonError | None = None
    """Why its last output cannot be read."""


@dataclass
class Pass:
    """All modules that ran in one forward pass."""

    modules: dict[str, Observed] = field(default_factory=dict)
    """In the order of their last runs."""
    constant: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """By length of a sequence, when one of that length is first given to a module: its positions that are the same
    for all pictures, and so no patches of them."""
    error: Exception | None = None
    """What the network raised."""


def observe(network: nn.Module, batch: Tensor, close: Collection[str]) -> Pass:
    """Run a batch of two pictures or more, and note what each module gives.

    close: modules whose values are noted, too.
    """
    seen = Pass()
    names = {module: name for name, module in network.named_modules() if name}
    makers: dict[int, tuple[weakref.ref[Tensor], str]] = {}

    def after(module: nn.Module, inputs: tuple[Any, ...], _named: Any, output: Any) -> None:
        name = names[module]
        # Popped first, so that the order is that of the last calls.
        found = seen.modules[name] = seen.modules.pop(name, Observed())
        found.calls += 1
        found.shape, found.slices, found.problem = (), {}, None
        found.source = _find_maker(inputs, makers)
        try:
            value = read_tensor(name, module, output)
        except CmonError as error:
            found.problem = error
        else:
            found.shape = tuple(value.shape)
            if _find_maker((value,), makers) is None:  # else a part of this module made it, or it came in
                makers[id(value)] = weakref.ref(value), name
            if name in close:
                found.slices = _slices(value, len(batch))

    def before(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        for value in (*inputs, *named.values()):
            if isinstance(value, Tensor) and value.is_floating_point() and value.ndim == 3:
                _note_constants(value, len(batch), seen.constant)

    with forward.hooked(dict.fromkeys(names, after), dict.fromkeys(names, before)):
        try:
            forward.run(network, batch)
        except Exception as error:  # a network may refuse its input in any way
            seen.error = error
    return seen


def _find_maker(inputs: tuple[Any, ...], makers: dict[int, tuple[weakref.ref[Tensor], str]]) -> str | None:
    """The module that gave the first of the inputs."""
    if not inputs or not isinstance(inputs[0], Tensor):
        return None
    made = makers.get(id(inputs[0]))
    return made[1] if made and made[0]() is inputs[0] else None


def _slices(value: Tensor, batch: int) -> dict[int, Rows]:
    axes = [axis for axis, size in enumerate(value.shape) if size == batch]
    return {axis: tuple(spread_values(row) for row in value.unbind(axis)) for axis in axes}


def spread_values(value: Tensor) -> Tensor:
    """Values of one picture's output, float32: all, or as many as are compared, spread over it evenly."""
    flat = value.detach().flatten()
    step = -(-flat.numel() // _VALUES)
    return flat[::step].to("cpu", torch.float32, copy=True)


def _note_constants(value: Tensor, batch: int, constant: dict[int, tuple[int, ...]]) -> None:
    """value: (B,T,K), or (T,B,K)."""
    axes = [axis for axis in (0, 1) if value.shape[axis] == batch]
    if len(axes) != 1:
        return
    tokens = value.detach().movedim(axes[0], 0)
    if tokens.shape[1] not in constant:
        same = (tokens == tokens[:1]).all(-1).all(0)
        constant[tokens.shape[1]] = tuple(same.nonzero().flatten().tolist())
