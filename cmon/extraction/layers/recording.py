"""Every wanted layer's pooled activations on a batch of pictures, by forward hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from cmon.errors import CmonError
from cmon.extraction.layers import forward
from cmon.extraction.layers.output import LayerOutput, pool
from cmon.extraction.layers.tensors import read_tensor

Record = Callable[[Tensor], dict[str, Tensor]]
"""From a batch (B, ...) to every layer's pooled activations (B,K) float32, by the layer's name."""
_Recorder = TypeVar("_Recorder", bound=Callable[..., dict[str, Tensor]])


def check_pooling(outputs: Sequence[LayerOutput], pooling: str) -> None:
    """Raise CmonError where a layer's output cannot be pooled in this way."""
    for output in outputs:
        if not can_be_pooled(output, pooling):
            raise CmonError(
                f"--pooling cls: layer {output.name} has no class token",
                found=f"{output.axes} output of shape {output.shape}",
                hint="use --pooling avg",
            )


def can_be_pooled(output: LayerOutput, pooling: str) -> bool:
    return pooling != "cls" or output.axes == "flat" or output.special.class_token is not None


@contextmanager
def record_activations(network: nn.Module, outputs: Sequence[LayerOutput], pooling: str) -> Iterator[Record]:
    """Context with a function from a batch to every layer's pooled activations.

    outputs: of `trace`; the forward pass ends as soon as all of them were seen.
    pooling: 'avg', 'max' or 'cls', see `pool`.
    The hooks live only inside the `with` block. The function raises CmonError where a layer does not give what was
    traced, and whatever the network raises.
    """
    check_pooling(outputs, pooling)
    modules = dict(network.named_modules())
    pooled: dict[str, Tensor] = {}
    calls: dict[str, int] = {}
    problems: list[CmonError] = []
    size = 0

    def keep(output: LayerOutput) -> forward.Hook:
        def hook(module: nn.Module, _inputs: Any, _named: Any, value: Any) -> None:
            calls[output.name] = calls.get(output.name, 0) + 1
            if calls[output.name] != output.calls:
                return
            try:
                tensor = read_tensor(output.name, module, value)
                check_shape(output, tuple(tensor.shape), size)
            except CmonError as error:  # kept, since the network may catch what is raised inside it
                problems.append(error)
                raise forward.Stop from error
            pooled[output.name] = pool(tensor, output, pooling)
            if len(pooled) == len(outputs):
                raise forward.Stop

        return hook

    @with_two_pictures
    def record(batch: Tensor) -> dict[str, Tensor]:
        nonlocal size
        size = len(batch)
        for kept in (pooled, calls, problems):
            kept.clear()
        forward.run(network, batch)
        for problem in problems:
            raise problem
        for output in outputs:
            if output.name not in pooled:
                raise CmonError(
                    f"--layer {output.name}: ran {calls.get(output.name, 0)} times on these pictures, where it ran "
                    f"{output.calls} times when the network was looked at",
                    hint="name a layer that always runs as often",
                )
        return dict(pooled)

    with forward.hooked({modules[output.name]: keep(output) for output in outputs}):
        yield record


def with_two_pictures(record: _Recorder) -> _Recorder:
    """The same for a batch of one picture, too, which is given twice.

    Never one picture alone: `squeeze` in a forward pass would take its axis away.
    """

    @wraps(record)
    def call(*arguments: Any) -> dict[str, Tensor]:
        *before, batch = arguments
        if len(batch) > 1:
            return record(*arguments)
        found = record(*before, torch.cat([batch, batch]))
        return {name: values[:1] for name, values in found.items()}

    return cast(_Recorder, call)


def check_shape(output: LayerOutput, shape: tuple[int, ...], batch: int) -> None:
    """Raise CmonError where a layer's output is not of the shape that was traced, for a batch of so many pictures."""
    axis = output.batch_axis
    wanted = (*output.shape[:axis], batch, *output.shape[axis:])
    if shape != wanted:
        raise CmonError(
            f"--layer {output.name}: its output has another shape than when the network was looked at",
            expected=str(wanted),
            found=str(shape),
            hint="name a layer whose output is of one shape",
        )
