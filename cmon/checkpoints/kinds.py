"""What kind of values a tensor holds, and whether they can be a network's weights as they are."""

from __future__ import annotations

import torch
from torch import Tensor

_FLOATS = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))
_WHOLE = frozenset((torch.float32, torch.float64))
NUMBERS, INTEGERS, NO_VALUES = "numbers", "integers", "no values (device meta)"
_WAYS = {
    "a sparse": "save tensor.to_dense()",
    "a nested": "save each of its tensors by itself",
    "complex": "save the real weights that the network is built with",
    "a sharded": "save tensor.full_tensor() of each, or the whole state dict by "
    "torch.distributed.checkpoint.state_dict.get_model_state_dict with full_state_dict=True",
    NO_VALUES: "save the state dict after the weights are loaded, from a network that is not on the device meta",
}
_OTHER_WAY = "save the weights as floats, before they are quantized"


def kind_of(tensor: Tensor) -> str:
    """`numbers` for floats that can be converted to each other, `integers`, or in words what else it holds."""
    if type(tensor) not in (Tensor, torch.nn.Parameter, torch.nn.Buffer):
        name = type(tensor).__name__
        return "a sharded tensor (DTensor)" if name == "DTensor" else f"a tensor of the class {name}"
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.is_quantized:
        return "a quantized tensor"
    if tensor.layout != torch.strided:
        return "a sparse tensor"
    if tensor.dtype in _FLOATS:
        return NUMBERS
    if tensor.is_complex():
        return "complex numbers"
    if tensor.is_floating_point():
        return "floats of " + str(tensor.dtype).removeprefix("torch.")
    return INTEGERS if str(tensor.dtype).removeprefix("torch.") in _INTEGERS else f"values of {tensor.dtype}"


_INTEGERS = frozenset(("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bool"))


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """The tensor's shape; that of a nested tensor is left empty."""
    return () if tensor.is_nested else tuple(tensor.shape)


def may_stand_for(stored: Tensor, own: Tensor) -> bool:
    """Whether copying a stored tensor into a network's gives what was trained."""
    kinds = kind_of(stored), kind_of(own)
    if kinds == (NUMBERS, INTEGERS):  # an index that was made a float with all the rest
        return stored.dtype in _WHOLE
    return kinds[0] == kinds[1] and (kinds[0] in (NUMBERS, INTEGERS) or stored.dtype == own.dtype)


def way_out(kind: str) -> str:
    """What to do about weights of a kind that cannot be read."""
    return next((way for start, way in _WAYS.items() if kind.startswith(start)), _OTHER_WAY)
