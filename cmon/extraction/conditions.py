"""Under which conditions a network runs: device, type of its numbers, and order of its maps in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from cmon.errors import CmonError
from cmon.extraction.layers import forward
from cmon.extraction.layers.batch_axis import differ, rounding
from cmon.extraction.layers.observe import Pass, observe
from cmon.extraction.layers.trace import all_layers, match_layers, refuse_input
from cmon.extraction.preprocessing import FoundPreprocess, as_grey
from cmon.images.preprocessing import Preprocess, ResizeCrop
from cmon.images.trial import trial_pictures


@dataclass(frozen=True)
class Conditions:
    """How a network runs; the same when it is looked at and when it is used."""

    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    channels_last: bool = True
    """Whether maps lie channels-last in memory, which is faster; contiguous, as most code expects, otherwise."""
    why_contiguous: str | None = None
    """What happened channels-last where it was tried and given up."""

    def place(self, network: nn.Module) -> nn.Module:
        """The network, changed to these conditions in place. Complex weights keep their type."""

        def arranged(tensor: Tensor) -> Tensor:
            tensor = tensor.to(self.device, self.dtype if tensor.is_floating_point() else None)
            return tensor.contiguous(memory_format=self._format) if tensor.ndim == 4 else tensor

        return network._apply(arranged)

    def batch(self, preprocess: Preprocess, pixels: np.ndarray | Tensor) -> Tensor:
        """Cached arrays (B, ...) as the network's input."""
        return self.arrange(preprocess.batch(pixels).to(self.device, self.dtype))

    def arrange(self, batch: Tensor) -> Tensor:
        return batch.contiguous(memory_format=self._format if batch.ndim == 4 else torch.contiguous_format)

    @property
    def _format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


def find_conditions(
    network: nn.Module, layers: Sequence[str], preprocess: Preprocess, device: str, dtype: torch.dtype
) -> Conditions:
    """Channels-last where the layers give the same so as contiguous, else contiguous; the network is left so.

    layers: names or patterns; none for all.
    Raises CmonError where the network does not run contiguous, on ordinary tensors.
    """
    ordinary = Conditions(device, dtype, channels_last=False)
    names = match_layers(network, layers) if layers else all_layers(network)
    pixels = np.stack([preprocess.pixels(picture) for picture in trial_pictures(2)])
    batch = ordinary.batch(preprocess, pixels)
    plain = observe(ordinary.place(network), batch, set(names))
    if plain.error is not None:
        raise refuse_input(plain.error, batch)
    if batch.ndim != 4:
        return ordinary
    fast = Conditions(device, dtype)
    problem = _compare(plain, observe(fast.place(network), fast.arrange(batch), set(names)), rounding(batch))
    if problem is None:
        return fast
    ordinary.place(network)
    return replace(ordinary, why_contiguous=problem)


def _compare(plain: Pass, fast: Pass, tolerance: float) -> str | None:
    """How a pass channels-last went wrong; None if it gave what the contiguous one gave."""
    if fast.error is not None:
        return "it fails channels-last"
    for name, before in plain.modules.items():
        seen = fast.modules.get(name)
        if seen is None:
            return f"its layer {name} does not run channels-last"
        if (before.calls, before.shape) != (seen.calls, seen.shape):
            return f"its layer {name} gives another shape channels-last"
        for axis, values in before.slices.items():
            if any(
                differ(*pair, tolerance) for pair in zip(values, seen.slices.get(axis, values), strict=True)
            ):
                return f"its layer {name} gives other values channels-last"
    return None


# -- channels ------------------------------------------------------------------------------------------


def fit_channels(
    spec: str, network: nn.Module, found: FoundPreprocess, conditions: Conditions
) -> FoundPreprocess:
    """The preprocessing with as many channels as the network takes: the three of a picture, or one of a grey one.

    Told by running it. Raises CmonError for a network that takes another number.
    """
    if not isinstance(found.preprocess, ResizeCrop):
        return found
    network = conditions.place(network)
    color = _try(network, found.preprocess, conditions)
    if color.error is None and color.rows != 3:
        return found
    if color.wanted is None:  # whether one channel is what a linear layer takes, only a try tells
        own = replace(found.preprocess, mean=found.preprocess.mean[:1], std=found.preprocess.std[:1])
        grey = _try(network, own, conditions)
        return as_grey(found, spec) if grey.error is None and grey.rows == 1 else found
    if color.wanted == 1 and (color.got == 3 or color.rows == 3):
        return as_grey(found, spec)
    if color.wanted not in (1, 3) and color.got == 3:
        raise CmonError(
            f"--model {spec}: the network takes {color.wanted} channels",
            expected="1 channel (pictures are made grey) or 3 (red, green and blue)",
            found=f"{color.wanted} in its first convolution, {color.name}",
            hint="give a factory whose network has an attribute `preprocess`: a function from a PIL image to a "
            f"({color.wanted},H,W) tensor",
        )
    return found  # it fails for another reason, which is told when its layers are traced


@dataclass
class _Attempt:
    """One forward pass, and what the first convolution or linear layer got in it."""

    name: str = ""
    wanted: int | None = None
    """Input channels of the first convolution; None where a linear layer comes first, or neither."""
    got: int | None = None
    rows: float = 1
    """Rows of its input for each picture: 3 where the forward pass takes the three channels for three pictures."""
    error: Exception | None = None


def _try(network: nn.Module, preprocess: Preprocess, conditions: Conditions) -> _Attempt:
    pixels = np.stack([preprocess.pixels(picture) for picture in trial_pictures(2)])
    batch = conditions.batch(preprocess, pixels)
    found = _Attempt()

    def before(module: nn.Module, inputs: tuple[object, ...], _named: Mapping[str, object]) -> None:
        if found.name or not inputs or not isinstance(inputs[0], Tensor) or inputs[0].ndim < 2:
            return
        found.name = names[module]
        found.rows = len(inputs[0]) / len(batch)
        if isinstance(module, nn.Conv2d):
            found.wanted, found.got = module.in_channels, inputs[0].shape[1]

    names: dict[nn.Module, str] = {
        module: name for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))
    }
    with forward.hooked({}, dict.fromkeys(names, before)):
        try:
            forward.run(network, batch)
        except Exception as error:  # a network may refuse its input in any way
            found.error = error
    return found
