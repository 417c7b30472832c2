"""A layer's output as one number per unit, by forward hooks: which axis holds the units, and pooling over the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cmon.errors import CmonError, nearest_names
from cmon.workspace.layer_patterns import match_all

_CHANNELS_FIRST = (
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
_CHANNELS_LAST = (nn.LayerNorm, nn.Linear)
_CLASS_TOKENS = ("class_token", "cls_token", "class_embedding")


@dataclass(frozen=True)
class LayerOutput:
    """What a layer gives, as traced on one image."""

    name: str
    shape: tuple[int, ...]
    """Of one image's output, without the batch."""
    axes: str
    """'flat' (K,), 'channels first' (K,H,W), 'channels last' (H,W,K) or 'tokens' (T,K)."""
    class_token: bool
    """Whether token 0 is a class token, which `avg` and `max` leave out and `cls` takes."""
    calls: int
    """How often the module runs in one forward pass; the last output counts."""

    @property
    def units(self) -> int:
        return self.shape[0] if self.axes in ("flat", "channels first") else self.shape[-1]


class _Stop(Exception):
    """Ends a forward pass after the deepest wanted layer."""


def match_layers(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The layers that match names or patterns (see `layer_patterns`), each once, in the network's order.

    Raises CmonError for a name or pattern that matches none.
    """
    modules = [name for name, _ in network.named_modules() if name]
    found, without = match_all(patterns, modules)
    for pattern in without:
        raise CmonError(
            f"--layer {pattern}: the network has no such layer", hint=nearest_names(pattern, modules)
        )
    return found


def trace(network: nn.Module, layers: Sequence[str], example: Tensor) -> list[LayerOutput]:
    """Run one image through the network and describe what each layer gives, in order of execution.

    layers: names or globs, see `match_layers`. example: (1, 3, H, W), on the network's device and of its dtype.
    Raises CmonError for a layer that does not exist, never runs, or whose output has no clear unit axis.
    """
    layers = match_layers(network, layers)
    seen = _collect_outputs(network, layers, example)
    for layer in layers:
        if layer not in seen:
            raise CmonError(f"--layer {layer}: exists, but does not run in a forward pass")
    return [_describe_output(name, network, outputs, example) for name, outputs in seen.items()]


def trace_all(network: nn.Module, example: Tensor) -> list[LayerOutput]:
    """As `trace`, for every module whose output can be read; the others are left out."""
    found = []
    for name, outputs in _collect_outputs(network, match_layers(network, ["**"]), example).items():
        with suppress(CmonError):
            found.append(_describe_output(name, network, outputs, example))
    return found


def _collect_outputs(network: nn.Module, layers: Sequence[str], example: Tensor) -> dict[str, list[Any]]:
    """The outputs of each layer, one for each time that it ran, in the order of the layers' last runs.

    Raises CmonError when the network refuses the input.
    """
    modules = dict(network.named_modules())
    seen: dict[str, list[Any]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            # Popped first, so that the order of `seen` is that of the last calls.
            seen[name] = [*seen.pop(name, []), output]

        return hook

    with _registered({modules[layer]: note(layer) for layer in layers}), torch.inference_mode():
        try:
            network(example)
        except Exception as error:  # a network may refuse its input in any way
            raise CmonError(
                f"the network cannot take an input of shape {tuple(example.shape)}",
                found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
                hint="check --image-size",
            ) from error
    return seen


def check_pooling(outputs: Sequence[LayerOutput], pooling: str) -> None:
    """Raise CmonError where a layer's output cannot be pooled in this way."""
    for output in outputs:
        if pooling == "cls" and output.axes != "flat" and not output.class_token:
            raise CmonError(
                f"--pooling cls: layer {output.name} has no class token",
                found=f"{output.axes} output of shape {output.shape}",
                hint="use --pooling avg",
            )


@contextmanager
def record_activations(
    network: nn.Module, outputs: Sequence[LayerOutput], pooling: str
) -> Iterator[Callable[[Tensor], dict[str, Tensor]]]:
    """Context with a function from a batch (B,3,H,W) to every layer's pooled activations, (B,K) float32.

    outputs: of `trace`, in order of execution; the forward pass ends after the last of them.
    pooling: 'avg' (CLIP-Dissect's) or 'max' over positions, or 'cls' for the class token.
    The hooks live only inside the `with` block.
    """
    check_pooling(outputs, pooling)
    modules = dict(network.named_modules())
    pooled: dict[str, Tensor] = {}
    calls: dict[str, int] = {}

    def keep(output: LayerOutput, last: bool) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, value: Any) -> None:
            calls[output.name] = calls.get(output.name, 0) + 1
            if calls[output.name] == output.calls:
                pooled[output.name] = pool(_extract_tensor(output.name, value), output, pooling)
                if last:
                    raise _Stop

        return hook

    def run(batch: Tensor) -> dict[str, Tensor]:
        pooled.clear()
        calls.clear()
        with torch.inference_mode(), suppress(_Stop):
            network(batch)
        return dict(pooled)

    hooks = {modules[output.name]: keep(output, output is outputs[-1]) for output in outputs}
    with _registered(hooks):
        yield run


def pool(value: Tensor, output: LayerOutput, pooling: str) -> Tensor:
    """Reduce a layer's output (B, ...) to (B,K) float32 over its positions."""
    if output.axes == "flat":
        return value.float()
    if output.axes == "tokens":
        if pooling == "cls":
            return value[:, 0].float()
        value = value[:, 1:] if output.class_token else value
        positions: tuple[int, ...] = (1,)
    else:
        positions = (2, 3) if output.axes == "channels first" else (1, 2)
    # Summed in float32 even where the network runs in bf16, whose sums lose small differences.
    return value.float().mean(positions) if pooling == "avg" else value.amax(positions).float()


@contextmanager
def _registered(hooks: dict[nn.Module, Callable[..., None]]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _extract_tensor(name: str, output: Any) -> Tensor:
    """A module's output, or the one tensor in the tuple, list or dict that it gives; CmonError without just one."""
    if isinstance(output, Tensor):
        return output
    parts: dict[Any, Any] = {}
    if isinstance(output, (tuple, list)):
        parts = dict(enumerate(output))
    elif isinstance(output, Mapping):
        parts = dict(output)
    tensors = [part for part in parts.values() if isinstance(part, Tensor)]
    if len(tensors) == 1:
        return tensors[0]
    shown = ", ".join(
        f"{entry}: {tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__}"
        for entry, part in list(parts.items())[:4]
    )
    raise CmonError(
        f"--layer {name}: its output is not one tensor",
        expected="a tensor, or a tuple, list or dict with one in it",
        found=type(output).__name__ + (f" of {shown}" if shown else ""),
        hint="name a layer inside it or after it",
    )


def _describe_output(name: str, network: nn.Module, outputs: Sequence[Any], example: Tensor) -> LayerOutput:
    """outputs: of the layer on the example, one for each time that it ran."""
    output, calls = _extract_tensor(name, outputs[-1]), len(outputs)
    shape = tuple(output.shape[1:])
    square = example.shape[-1] == example.shape[-2]
    if output.ndim == 2:
        return LayerOutput(name, shape, "flat", False, calls)
    if output.ndim == 3:
        return LayerOutput(name, shape, "tokens", _has_class_token(network, shape[0], square), calls)
    if output.ndim == 4:
        return LayerOutput(name, shape, _find_map_axes(name, network, shape, square), False, calls)
    raise CmonError(
        f"--layer {name}: its output has no clear unit axis",
        expected="(units), (tokens, units), (units, height, width) or (height, width, units) per image",
        found=str(shape),
    )


def _find_map_axes(name: str, network: nn.Module, shape: tuple[int, ...], square: bool) -> str:
    """'channels first' or 'channels last', for a layer's output of shape (a, b, c) per image.

    A square image makes square maps, so where just two sides are equal, the third is the units'. Otherwise the last
    submodule decides whose type fixes the axis, and where it has none (ReLU), the network's. The types alone are
    not enough: a block of ConvNeXt ends in linear layers, but its output is permuted back to channels first.
    """
    first, last = shape[1] == shape[2], shape[0] == shape[1]
    if square and first != last:
        return "channels first" if first else "channels last"
    module = network.get_submodule(name)
    for root in (module, network):
        for inner in reversed(list(root.modules())):
            if isinstance(inner, _CHANNELS_FIRST):
                return "channels first"
            # A convolutional network ends in a Linear, too, so for the whole network only norms count.
            if isinstance(inner, _CHANNELS_LAST if root is module else nn.LayerNorm):
                return "channels last"
    raise CmonError(
        f"--layer {name}: cannot tell which axis of its output {shape} holds the units",
        hint="name the layer that contains it",
    )


def _has_class_token(network: nn.Module, tokens: int, square: bool) -> bool:
    named = any(name.split(".")[-1] in _CLASS_TOKENS for name, _ in network.named_parameters())
    # Patches of a square image are a square number; the class token is one more.
    bare = math.isqrt(tokens) ** 2 == tokens if square else tokens == 1
    return named and not bare
