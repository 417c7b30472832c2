"""The one tensor of real numbers in whatever a module gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cmon.errors import CmonError


def read_tensor(name: str, module: nn.Module, output: Any) -> Tensor:
    """A module's output, or the tensor in the tuple, list or dict that it gives.

    With several tensors, only what is documented is taken: the attention's output and not its weights from
    nn.MultiheadAttention, the sequence and not the state from nn.LSTM, nn.GRU and nn.RNN, and `last_hidden_state`
    from the outputs of Hugging Face.
    Raises CmonError where there is no such tensor, or it does not hold real numbers.
    """
    found = output if isinstance(output, Tensor) else _inside(module, output)
    if found is None:
        raise CmonError(
            f"--layer {name}: its output is not one tensor",
            expected="a tensor, or a tuple, list or dict with one in it",
            found=_shown(output),
            hint="name a layer inside it or after it",
        )
    problem = _problem(found)
    if problem:
        raise CmonError(
            f"--layer {name}: {problem}",
            expected="real numbers, one for each unit and position",
            hint="name a layer before or after it",
        )
    return found


def _inside(module: nn.Module, output: Any) -> Tensor | None:
    if isinstance(output, nn.utils.rnn.PackedSequence):
        return None
    parts: dict[Any, Any] = {}
    if isinstance(output, (tuple, list)):
        parts = dict(enumerate(output))
    elif isinstance(output, Mapping):
        parts = dict(output)
    tensors = [part for part in parts.values() if isinstance(part, Tensor)]
    if len(tensors) == 1 and not isinstance(module, nn.RNNBase):
        return tensors[0]
    documented: Any = None
    if isinstance(module, (nn.MultiheadAttention, nn.RNNBase)):
        documented = parts.get(0)
    elif isinstance(output, Mapping):
        documented = parts.get("last_hidden_state")
    return documented if isinstance(documented, Tensor) else None


def _problem(tensor: Tensor) -> str | None:
    if tensor.is_nested or tensor.layout != torch.strided:
        return f"its output is {'nested' if tensor.is_nested else 'sparse'}, not one block of numbers"
    if tensor.is_quantized or not tensor.dtype.is_floating_point:
        return f"its output is of type {str(tensor.dtype).removeprefix('torch.')}"
    if tensor.numel() == 0:
        return f"its output is empty, of shape {tuple(tensor.shape)}"
    return None


def _shown(output: Any) -> str:
    parts: list[tuple[Any, Any]] = []
    if isinstance(output, (tuple, list)):
        parts = list(enumerate(output))
    elif isinstance(output, Mapping):
        parts = list(output.items())
    shown = ", ".join(
        f"{entry}: {tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__}"
        for entry, part in parts[:4]
    )
    return type(output).__name__ + (f" of {shown}" if shown else "")
