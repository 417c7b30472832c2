"""Which axis of a layer's output counts pictures, and whether each picture's part is its own: found, not assumed."""

from __future__ import annotations

import torch
from torch import Tensor

from cmon.errors import CmonError
from cmon.extraction.layers.observe import Observed

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""Of two computations of the same values, as the norm of their difference over their own: rounding stays far below,
and a picture that sees others lies far above."""


def find_batch_axis(
    name: str, twice: Observed, three: Observed, again: Observed | None, dtype: torch.dtype
) -> int:
    """The axis of a layer's output that counts pictures.

    twice: from a batch with one picture twice, [A, A]; three: from [A, B, C]; again: from [A, A] once more.
    Raises CmonError where no axis is as long as the batch, or more than one is, or the first picture's values are not
    the same in all of them.
    """
    for seen in (twice, three):
        if seen.problem:
            raise seen.problem
    if twice.calls != three.calls:
        raise CmonError(
            f"--layer {name}: runs {twice.calls} times for 2 pictures and {three.calls} times for 3, so that its last "
            "output is not that of all pictures",
            hint="name the layer that contains it",
        )
    if len(twice.shape) != len(three.shape):
        raise _no_axis(name, twice, three)
    axes = [axis for axis in twice.slices if three.shape[axis] == 3]
    if not axes:
        raise _no_axis(name, twice, three)
    axis = axes[0]
    if len(axes) > 1 or _without(twice.shape, axis) != _without(three.shape, axis):
        problem = (
            "more than one axis of its output is as long as the batch, so that which counts pictures cannot be told"
            if len(axes) > 1
            else "the shape of its output changes with the pictures"
        )
        raise CmonError(
            f"--layer {name}: {problem}",
            found=f"{twice.shape} for 2 pictures, {three.shape} for 3",
            hint="name a layer before or after it",
        )
    _check_values(name, axis, twice, three, again, TOLERANCE.get(dtype, 1e-3))
    return axis


def differ(first: Tensor, second: Tensor, tolerance: float) -> bool:
    """Whether two computations of the same values differ by more than rounding; NaN is like NaN."""
    if first.shape != second.shape:
        return True
    finite = first.isfinite() & second.isfinite()
    if not torch.equal(first[~finite].nan_to_num(), second[~finite].nan_to_num()):
        return True
    first, second = first[finite].double(), second[finite].double()
    return bool((first - second).norm() > tolerance * torch.maximum(first.norm(), second.norm()))


def _check_values(
    name: str, axis: int, twice: Observed, three: Observed, again: Observed | None, tolerance: float
) -> None:
    first, second = twice.slices[axis]
    repeated = again.slices.get(axis) if again else None
    if differ(first, second, tolerance) or (repeated and differ(first, repeated[0], tolerance)):
        raise CmonError(
            f"--layer {name}: gives the same picture other values each time, though the network is in evaluation mode",
            hint="look for randomness in its forward pass, such as functional.dropout without training=self.training",
        )
    if differ(first, three.slices[axis][0], tolerance):
        raise CmonError(
            f"--layer {name}: a picture's values change with the other pictures of its batch",
            hint="look for statistics of the batch, as of a BatchNorm without running ones, or pictures that are mixed",
        )


def _no_axis(name: str, twice: Observed, three: Observed) -> CmonError:
    problem = f"--layer {name}: no axis of its output counts pictures"
    folds = [
        axis
        for axis, (two, more) in enumerate(zip(twice.shape, three.shape, strict=False))
        if two and two * 3 == more * 2
    ]
    if len(twice.shape) == len(three.shape) and folds:
        rows = twice.shape[folds[0]] / 2
        problem += f": axis {folds[0]} has {rows:g} entries for each, such as windows or patches"
    return CmonError(
        problem,
        found=f"{twice.shape} for 2 pictures, {three.shape} for 3",
        hint="name the layer that contains it",
    )


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
