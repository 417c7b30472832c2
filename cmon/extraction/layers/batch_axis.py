"""Which axis of a layer's output counts pictures, and whether each picture's part is its own: found, not assumed."""

from __future__ import annotations

import torch
from torch import Tensor

from cmon.errors import CmonError
from cmon.extraction.layers.observe import Observed, Rows


def rounding(pictures: Tensor) -> float:
    """How far two computations of the same values may lie apart, as the norm of their difference over their own.

    Rounding stays below, and a picture that sees others lies far above. Devices other than CPUs multiply with fewer
    digits than float32 has (TF32).
    """
    if pictures.dtype == torch.bfloat16:
        return 5e-2
    return 1e-3 if pictures.device.type == "cpu" else 1e-2


def find_batch_axis(
    name: str, two: Observed, three: Observed, again: Observed | None, tolerance: float
) -> int:
    """The axis of a layer's output that counts pictures.

    two: from the batch [C, A]; three: from [A, B, C]; again: from [C, A] once more. tolerance: see `rounding`.
    Raises CmonError where no axis is as long as the batch, or more than one is, or the values of A and C are not the
    same in all of them.
    """
    for seen in (two, three):
        if seen.problem:
            raise seen.problem
    if two.calls != three.calls:
        raise CmonError(
            f"--layer {name}: runs {two.calls} times for 2 pictures and {three.calls} times for 3, so that its last "
            "output is not that of all pictures",
            hint="name the layer that contains it",
        )
    if len(two.shape) != len(three.shape):
        raise _no_axis(name, two, three)
    axes = [axis for axis in two.slices if three.shape[axis] == 3]
    if not axes:
        raise _no_axis(name, two, three)
    axis = axes[0]
    if len(axes) > 1 or _without(two.shape, axis) != _without(three.shape, axis):
        problem = (
            "more than one axis of its output is as long as the batch, so that which counts pictures cannot be told"
            if len(axes) > 1
            else "the shape of its output changes with the pictures"
        )
        raise CmonError(
            f"--layer {name}: {problem}",
            found=f"{two.shape} for 2 pictures, {three.shape} for 3",
            hint="name a layer before or after it",
        )
    _check_values(
        name, two.slices[axis], three.slices[axis], again.slices.get(axis) if again else None, tolerance
    )
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


def _check_values(name: str, two: Rows, three: Rows, again: Rows | None, tolerance: float) -> None:
    if not any(differ(*pair, tolerance) for pair in ((two[0], three[2]), (two[1], three[0]))):
        return
    if again and any(differ(*pair, tolerance) for pair in zip(two, again, strict=True)):
        raise CmonError(
            f"--layer {name}: gives the same picture other values each time, though the network is in evaluation mode",
            hint="look for randomness in its forward pass, such as functional.dropout without training=self.training",
        )
    raise CmonError(
        f"--layer {name}: a picture's values change with the other pictures of its batch",
        hint="look for statistics of the batch, as of a BatchNorm without running ones, or pictures that are mixed",
    )


def _no_axis(name: str, two: Observed, three: Observed) -> CmonError:
    problem = f"--layer {name}: no axis of its output counts pictures"
    folds = [
        axis
        for axis, (less, more) in enumerate(zip(two.shape, three.shape, strict=False))
        if less and less * 3 == more * 2
    ]
    if len(two.shape) == len(three.shape) and folds:
        rows = two.shape[folds[0]] / 2
        problem += f": axis {folds[0]} has {rows:g} entries for each, such as windows or patches"
    return CmonError(
        problem,
        found=f"{two.shape} for 2 pictures, {three.shape} for 3",
        hint="name the layer that contains it",
    )


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
