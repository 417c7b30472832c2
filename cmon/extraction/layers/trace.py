"""What each layer of a network gives, found out by running a few pictures through it before any extraction.

three pictures --[C, A], [A, B, C], [C, A] twice as large--> `Pass` of each --> the axis of pictures, of units, and
the tokens that are no patches; or the reason why a layer cannot be read
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cmon.errors import CmonError, nearest_names
from cmon.extraction.layers.batch_axis import find_batch_axis, rounding
from cmon.extraction.layers.observe import Observed, Pass, observe
from cmon.extraction.layers.output import LayerOutput
from cmon.extraction.layers.tokens import find_special
from cmon.extraction.layers.unit_axis import documented_axis, find_axes, has_own_axis, keeps_axes
from cmon.workspace.layer_patterns import match_all


def match_layers(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The layers that match names or patterns (see `layer_patterns`), each once, in the network's order.

    Raises CmonError for a name or pattern that matches none.
    """
    modules = {name: module for name, module in network.named_modules() if name}
    found, without = match_all(patterns, modules)
    for pattern in without:
        again = dict(network.named_modules(remove_duplicate=False)).get(pattern)
        first = next((name for name, module in modules.items() if module is again), None)
        raise CmonError(
            f"--layer {pattern}: " + ("the network has no such layer" if again is None or first is None
                                      else f"is the same module as {first}, under a second name"),
            hint=nearest_names(pattern, modules) if first is None else f"use --layer {first}",
        )  # fmt: skip
    return found


def all_layers(network: nn.Module) -> list[str]:
    """Every module's name, those of one module once."""
    return [name for name, _ in network.named_modules() if name]


def trace(network: nn.Module, layers: Sequence[str], pictures: Tensor) -> list[LayerOutput]:
    """Describe what each layer gives, in order of execution.

    layers: names or patterns, see `match_layers`.
    pictures: (3, ...) three different ones, as the network takes them in the run: same device, type and memory format.
    Raises CmonError for a layer that does not exist, never runs, or cannot be read.
    """
    names = match_layers(network, layers)
    traced = _Trace(network, names, pictures)
    for name in names:
        if name not in traced.two.modules:
            raise _never_runs(name, network.get_submodule(name))
    return [traced.describe(name) for name in traced.two.modules if name in set(names)]


def trace_all(network: nn.Module, pictures: Tensor) -> tuple[list[LayerOutput], dict[str, CmonError]]:
    """As `trace`, for every module that runs; and why the others of these cannot be read, by name."""
    traced = _Trace(network, all_layers(network), pictures)
    outputs, refused = [], {}
    for name in traced.two.modules:
        try:
            outputs.append(traced.describe(name))
        except CmonError as error:
            refused[name] = error
    return outputs, refused


class _Trace:
    """The passes, and what follows from them for each layer."""

    def __init__(self, network: nn.Module, names: Sequence[str], pictures: Tensor) -> None:
        if len(pictures) != 3:
            raise ValueError(f"a trace needs three pictures, not {len(pictures)}")
        self.network, self.names, self.pictures = network, names, pictures
        pair = pictures[[2, 0]]
        self.two = self._observe(pair)
        if self.two.error is not None:
            raise refuse_input(self.two.error, pair)
        self.three = self._observe(pictures)
        if self.three.error is not None:
            raise refuse_input(self.three.error, pictures)
        self.larger = self._observe(_enlarged(pair)) if pictures.ndim == 4 else Pass()
        self._again: Pass | None = None
        self.square = pictures.ndim == 4 and pictures.shape[-1] == pictures.shape[-2]
        self.grids = self._find_grids()
        self.lengths = self._find_lengths()

    def describe(self, name: str) -> LayerOutput:
        """Raises CmonError where the layer cannot be read."""
        two, three = self.two.modules[name], self.three.modules.get(name, Observed())
        tolerance = rounding(self.pictures)
        try:
            axis = find_batch_axis(name, two, three, None, tolerance)
        except CmonError:
            # Whether it is randomness or the other pictures that changes a value, another pass tells.
            axis = find_batch_axis(name, two, three, self._repeat().modules.get(name), tolerance)
        shape = _without(two.shape, axis)
        if not shape:
            raise CmonError(
                f"--layer {name}: its output has no axis of units, one number for each picture",
                hint="name the layer that contains it, or one before it",
            )
        module = self.network.get_submodule(self._find_origin(name, shape))
        axes = find_axes(
            name, module, shape, self._larger_shape(name, axis), self.square, self.grids, self.lengths
        )
        output = LayerOutput(name, shape, axes, axis, calls=two.calls)
        if axes == "tokens":
            special = find_special(self.network, name, shape[0], self.three.constant, self.grids, self.square)
            output = LayerOutput(name, shape, axes, axis, special, two.calls)
        return output

    def _observe(self, batch: Tensor) -> Pass:
        return observe(self.network, batch, set(self.names))

    def _repeat(self) -> Pass:
        if self._again is None:
            self._again = self._observe(self.pictures[[2, 0]])
        return self._again

    def _find_origin(self, name: str, shape: tuple[int, ...]) -> str:
        """The module that fixes which axis holds the units: the one before, where a layer changes values alone.

        The same name where that is not so, or nothing before it fixes the axis.
        """
        found = name
        while not has_own_axis(module := self.network.get_submodule(found), len(shape)):
            seen = self.two.modules[found]
            before = self.two.modules.get(seen.source or "")
            if before is None or before.shape != seen.shape or not keeps_axes(module, shape):
                return name
            found = str(seen.source)
        return found

    def _larger_shape(self, name: str, axis: int) -> tuple[int, ...] | None:
        """Of a layer's output for one picture twice as large; None where it did not come so far."""
        found = self.larger.modules.get(name)
        if found is None or found.problem or found.calls != self.two.modules[name].calls:
            return None
        return _without(found.shape, axis) if len(found.shape) > axis and found.shape[axis] == 2 else None

    def _find_grids(self) -> set[int]:
        """Numbers of positions of the maps that convolutions give."""
        grids = set()
        for name, seen in self.three.modules.items():
            if len(seen.shape) == 4 and isinstance(self.network.get_submodule(name), nn.Conv2d):
                grids.add(seen.shape[2] * seen.shape[3])
        return grids - {1}

    def _find_lengths(self) -> set[int]:
        """Lengths of sequences whose axes are known: from the module that gives them, or as long as a map."""
        found = set(self.grids)
        for name, seen in self.three.modules.items():
            module = self.network.get_submodule(name)
            if len(seen.shape) == 3 and has_own_axis(module, 2) and documented_axis(module, 2) == 1:
                found.add(seen.shape[1] if seen.shape[0] == 3 else seen.shape[0])
        return found


def refuse_input(error: Exception, batch: Tensor) -> CmonError:
    """What a user is told of a network that raises an error for a batch: the way out fits the cause."""
    text = str(error)
    found = f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"
    channels = re.search(r"to have (\d+) channels, but got (\d+)", text)
    if isinstance(error, NotImplementedError):
        return CmonError(
            "the network has no forward pass of its own",
            found=found,
            hint="give a factory of the network that is run, not of a list of its layers",
        )
    if isinstance(error, TypeError) and "argument" in text:
        return CmonError(
            "the network cannot be run on pictures alone",
            expected="a forward pass of one argument, the batch of pictures",
            found=found,
            hint="give a factory of a network that takes pictures alone",
        )
    if isinstance(error, torch.OutOfMemoryError):
        return CmonError(
            f"the network does not fit into the device's memory with {len(batch)} pictures",
            found=found,
            hint="use a smaller --image-size, --precision bf16, or --device cpu",
        )
    if channels and int(channels[2]) == batch.shape[1]:
        return CmonError(
            f"the network takes {channels[1]} channels, and its preprocessing gives {channels[2]}",
            found=found,
            hint="change the network's attribute `preprocess`",
        )
    if any(
        word in text for word in ("dtype", "scalar type", "data type", "HalfTensor", "BFloat16", "Input type")
    ):
        return CmonError(
            f"the network cannot take an input of type {str(batch.dtype).removeprefix('torch.')}",
            found=found,
            hint="use --precision fp32, and leave conversions of type out of its forward pass",
        )
    return CmonError(
        f"the network cannot take an input of shape {tuple(batch.shape[1:])}",
        found=found,
        hint="check --image-size" if batch.ndim == 4 else "check the network's attribute `preprocess`",
    )


def _never_runs(name: str, module: nn.Module) -> CmonError:
    problem = f"--layer {name}: exists, but does not run in a forward pass"
    if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        inner = next((f"{name}.{key}" for key, _ in module.named_children()), None)
        return CmonError(
            f"{problem}: it is a list of layers",
            hint=f"name a layer in it, such as {inner}" if inner else None,
        )
    if isinstance(module, torch.jit.ScriptModule):
        return CmonError(
            f"{problem} that can be followed: it is TorchScript", hint="give a --model in Python"
        )
    return CmonError(
        f"{problem} in evaluation mode", hint="name a layer that runs; --dry-run without --layer shows them"
    )


def _enlarged(pictures: Tensor) -> Tensor:
    larger = nn.functional.interpolate(pictures.float(), scale_factor=2, mode="nearest").to(pictures.dtype)
    return larger.contiguous(memory_format=_format(pictures))


def _format(pictures: Tensor) -> torch.memory_format:
    last = pictures.is_contiguous(memory_format=torch.channels_last) and not pictures.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
