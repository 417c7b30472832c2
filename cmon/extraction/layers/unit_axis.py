"""Which axis of a layer's output counts units: what the picture's size changes are positions, the rest is units."""

from __future__ import annotations

import math
from collections.abc import Collection

from torch import nn

from cmon.errors import CmonError

_FIRST_OF_SEQUENCES: tuple[type[nn.Module], ...] = (
    nn.Conv1d,
    nn.ConvTranspose1d,
    nn.BatchNorm1d,
    nn.InstanceNorm1d,
    nn.GroupNorm,
    nn.MaxPool1d,
    nn.AvgPool1d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveMaxPool1d,
)
"""Modules whose documented output, of three axes, is (batch, units, positions)."""
_FIRST_OF_MAPS: tuple[type[nn.Module], ...] = (
    nn.Conv2d,
    nn.ConvTranspose2d,
    nn.BatchNorm2d,
    nn.InstanceNorm2d,
    nn.GroupNorm,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)
"""Modules whose documented output, of four axes, is (batch, units, height, width)."""
_LAST: tuple[type[nn.Module], ...] = (
    nn.LayerNorm,
    nn.Linear,
    nn.MultiheadAttention,
    nn.RNN,
    nn.LSTM,
    nn.GRU,
)
"""Modules whose documented output has the units in its last axis. Classes made from them may turn it: torchvision's
and timm's LayerNorm2d are LayerNorms of (batch, units, height, width)."""


def find_axes(
    name: str,
    module: nn.Module,
    shape: tuple[int, ...],
    larger: tuple[int, ...] | None,
    square: bool,
    grids: Collection[int] = (),
    lengths: Collection[int] = (),
) -> str:
    """'flat', 'channels first', 'channels last' or 'tokens'; see `LayerOutput.axes`.

    shape: of one picture's output. larger: the same for a picture twice as high and wide; None where the network does
    not take one. square: whether pictures are square. grids: numbers of positions of the network's maps.
    lengths: of sequences whose axes are known.
    Raises CmonError where this is not clear.
    """
    if len(shape) == 1:
        return "flat"
    if len(shape) not in (2, 3):
        raise _unclear(name, shape, None)
    unit = _find_fixed(name, shape, larger)
    if unit is None:
        unit = (
            _in_sequence(module, shape, grids, lengths) if len(shape) == 2 else _in_map(module, shape, square)
        )
    if unit is None:
        raise _unclear(name, shape, larger)
    if unit == 0:
        return "channels first"
    return "tokens" if len(shape) == 2 else "channels last"


def _find_fixed(name: str, shape: tuple[int, ...], larger: tuple[int, ...] | None) -> int | None:
    """The one axis that does not grow with the picture while another does; None where none does."""
    if larger is None or len(larger) != len(shape) or larger == shape:
        return None
    fixed = [axis for axis, size in enumerate(shape) if larger[axis] == size]
    if len(fixed) > 1:  # an axis of 1 may be a position that was pooled to one
        fixed = [axis for axis in fixed if shape[axis] > 1]
    if len(fixed) != 1 or fixed[0] not in (0, len(shape) - 1):
        raise _unclear(name, shape, larger)
    return fixed[0]


def _in_sequence(
    module: nn.Module, shape: tuple[int, ...], grids: Collection[int], lengths: Collection[int]
) -> int | None:
    unit = documented_axis(module, 2)
    # A number of units may be that of a map's positions by chance; then the other axis must be as likely.
    first, second = ((size in grids) + (size in lengths) for size in shape)
    by_length = None if first == second else 1 if first > second else 0
    if unit is None:
        return by_length
    # What a module holds does not say whether it turns its output, but its own type does.
    return unit if _is_leaf(module) or by_length in (None, unit) else None


def _in_map(module: nn.Module, shape: tuple[int, ...], square: bool) -> int | None:
    """Maps of a square picture are square, unless a convolution's own form says otherwise."""
    unit = documented_axis(module, 3)
    if any(isinstance(inner, nn.LayerNorm) and type(inner) is not nn.LayerNorm for inner in module.modules()):
        unit = None
    first, last = shape[1] == shape[2], shape[0] == shape[1]
    if not square or (first and last) or (_is_leaf(module) and unit == 0):
        return unit
    by_form = 0 if first else 2 if last else None
    if _is_leaf(module) and unit == 2 and by_form != 2:
        return None  # such as (heads, tokens, units)
    return by_form


def documented_axis(module: nn.Module, axes: int) -> int | None:
    """The axis of units of one picture's output of so many axes, where the types of all modules inside agree."""
    own, other = (_FIRST_OF_SEQUENCES, _FIRST_OF_MAPS) if axes == 2 else (_FIRST_OF_MAPS, _FIRST_OF_SEQUENCES)
    found: set[int | None] = set()
    for inner in module.modules():
        if isinstance(inner, own):
            found.add(0)
        elif isinstance(inner, _LAST):
            found.add(axes - 1)
        elif isinstance(inner, other):
            found.add(None)
    return found.pop() if len(found) == 1 else None


def has_own_axis(module: nn.Module, axes: int) -> bool:
    """Whether the module's own type says which axis of an output of so many axes holds the units."""
    return _is_leaf(module) and documented_axis(module, axes) is not None


def keeps_axes(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a module that gives the shape that it takes has the units in the same axis."""
    if not _is_leaf(module):
        return False
    own = type(module).__module__ in ("torch.nn.modules.activation", "torch.nn.modules.dropout")
    return own or isinstance(module, nn.Identity) or len(set(shape)) == len(shape)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None or isinstance(module, nn.MultiheadAttention)


def is_grid(tokens: int, square: bool, grids: Collection[int]) -> bool:
    """Whether a number of tokens is that of a picture's patches: as a map has positions, or else a square number."""
    return tokens in grids or (square and math.isqrt(tokens) ** 2 == tokens)


def _unclear(name: str, shape: tuple[int, ...], larger: tuple[int, ...] | None) -> CmonError:
    seen = f"{shape}" + (f", and {larger} for a picture of twice the size" if larger else "")
    return CmonError(
        f"--layer {name}: cannot tell which axis of its output holds the units",
        expected="(units), (tokens, units), (units, height, width) or (height, width, units) for each picture",
        found=seen,
        hint="name the layer that contains it, or one before or after it",
    )
