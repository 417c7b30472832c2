"""One convolution for a chain of a network: its batch norm is in its weights, and the rest is done as it writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_ACTIVATIONS: dict[str | None, Any] = {
    None: lambda values: values,
    "relu": torch.relu_,
    "relu6": lambda values: values.clamp_(0, 6),
    "silu": lambda values: functional.silu(values, inplace=True),
    "hardswish": lambda values: functional.hardswish(values, inplace=True),
}
_ONEDNN: dict[str | None, tuple[str, list[float], str]] = {
    None: ("none", [], ""),
    "relu": ("relu", [], ""),
    "relu6": ("hardtanh", [0.0, 6.0], ""),
    "silu": ("swish", [], ""),
    "hardswish": ("hardswish", [], ""),
}
"""Names and numbers of the activations in oneDNN's operators."""


def folded(
    name: str, convolution: nn.Conv2d, norm: tuple[str, nn.BatchNorm2d] | None, weights: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor | None]:
    """Weight, float32, and bias, float64, of the convolution with the batch norm behind it.

        weight' = weight s,   bias' = (bias - mean) s + shift,   s = scale / sqrt(variance + eps)

    s is computed in float64. name: of the convolution in the network. norm: the batch norm, and its name. weights: a
    state dict of the network in its own type: the network itself may have been rounded to bf16, and what is rounded
    twice is less exact.
    """

    def find(owner: str, module: nn.Module, key: str, missing: float) -> Tensor:
        own = getattr(module, key)
        if own is None:
            return torch.tensor(missing, dtype=torch.float64, device=convolution.weight.device)
        return weights.get(f"{owner}.{key}", own).detach().to(own.device, torch.float64)

    weight = (
        weights.get(f"{name}.weight", convolution.weight)
        .detach()
        .to(convolution.weight.device, torch.float32)
    )
    bias = None if convolution.bias is None else find(name, convolution, "bias", 0)
    if norm is None:
        return weight, bias
    own, module = norm
    scale = find(own, module, "weight", 1) / (find(own, module, "running_var", 1) + module.eps).sqrt()
    shift = find(own, module, "bias", 0)
    moved = (0 if bias is None else bias) - find(own, module, "running_mean", 0)
    return weight * scale.float().view(-1, 1, 1, 1), moved * scale + shift


class FusedConvolution(nn.Module):
    """activation(convolution(maps) + other), by torch's ordinary functions."""

    def __init__(self, like: nn.Conv2d, weight: Tensor, bias: Tensor | None, activation: str | None) -> None:
        """like: has the type, device and memory format that weight and bias get, and all but them."""
        super().__init__()
        layout = torch.channels_last if _is_channels_last(like.weight) else torch.contiguous_format
        self.weight: Tensor | None = weight.to(like.weight.dtype).contiguous(memory_format=layout)
        self.bias = None if bias is None else bias.to(like.weight.dtype)
        if isinstance(like.padding, str):
            raise AssertionError("a chain's convolution has its padding in numbers")
        self.geometry = (list(like.stride), list(like.padding), list(like.dilation), like.groups)
        self.activation = activation

    def forward(self, maps: Tensor, other: Tensor | None = None) -> Tensor:
        values = functional.conv2d(maps, self.weight, self.bias, *self.geometry)  # type: ignore[arg-type]
        return _ACTIVATIONS[self.activation](_add(values, other))


class OneDnnConvolution(FusedConvolution):
    """The same in one call of oneDNN, by the operators that torch.compile uses; the weight lies as these read it."""

    def __init__(
        self, like: nn.Conv2d, weight: Tensor, bias: Tensor | None, activation: str | None, images: int
    ) -> None:
        """images: at a time, for which the weight is laid out; others are slower."""
        super().__init__(like, weight, bias, activation)
        self.images = images
        self.kernel: tuple[int, ...] = like.kernel_size
        self._packed: Tensor | None = None

    def forward(self, maps: Tensor, other: Tensor | None = None) -> Tensor:
        stride, padding, dilation, groups = self.geometry
        geometry = (padding, stride, dilation, groups)
        if self._packed is None:
            size = [self.images, *maps.shape[1:]]
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *geometry, size)
            self.weight = None
        own = self._packed, self.bias, *geometry
        if other is None:
            return torch.ops.mkldnn._convolution_pointwise(maps, *own, *_ONEDNN[self.activation])
        # Of the activations, only this one can follow an addition there.
        if self.activation in (None, "relu") and self._gives_like(maps, other):
            return torch.ops.mkldnn._convolution_pointwise.binary(
                maps, other, *own, "add", 1.0, self.activation, [], ""
            )
        values = torch.ops.mkldnn._convolution_pointwise(maps, *own, *_ONEDNN[None])
        return _ACTIVATIONS[self.activation](_add(values, other))

    def _gives_like(self, maps: Tensor, other: Any) -> bool:
        """Whether `other` is of the very shape and type that the convolution gives."""
        if (
            not isinstance(other, Tensor)
            or other.ndim != 4
            or other.dtype != maps.dtype
            or self._packed is None
        ):
            return False
        stride, padding, dilation, _ = self.geometry
        sides = [
            (maps.shape[axis + 2] + 2 * padding[axis] - dilation[axis] * (self.kernel[axis] - 1) - 1)
            // stride[axis]
            + 1
            for axis in range(2)
        ]
        return list(other.shape) == [len(maps), self._packed.shape[0], *sides]


def has_onednn(device: str, dtype: torch.dtype) -> bool:
    """Whether oneDNN's operators are there for this device and type, in the processor's own arithmetic."""
    if device != "cpu" or not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return False
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    if not all(hasattr(torch.ops.mkldnn, name) for name in names):
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _add(values: Tensor, other: Any) -> Tensor:
    """The sum, in the memory of `values` where it fits."""
    if other is None:
        return values
    same = isinstance(other, Tensor) and (other.shape, other.dtype) == (values.shape, values.dtype)
    return values.add_(other) if same else values + other


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
