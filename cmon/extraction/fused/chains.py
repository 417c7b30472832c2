"""Chains of a graph that become one convolution: convolution, batch norm, addition, activation."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from cmon.extraction.fused.follow import Followed, is_norm_with_activation

_MODULES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.SiLU: "silu",
    nn.Hardswish: "hardswish",
}
_FUNCTIONS: dict[Any, str] = {
    functional.relu: "relu",
    torch.relu: "relu",
    functional.relu6: "relu6",
    functional.silu: "silu",
    functional.hardswish: "hardswish",
}
_METHODS = {"relu": "relu", "relu_": "relu"}
_INPLACE_OPERATORS = {
    getattr(operator, name)
    for name in (
        "iadd",
        "isub",
        "imul",
        "itruediv",
        "ifloordiv",
        "imod",
        "ipow",
        "iand",
        "ior",
        "ixor",
        "setitem",
    )
}


@dataclass(frozen=True)
class Chain:
    """Nodes that follow each other, each of them the only one that reads what the one before gives."""

    convolution: fx.Node
    norm: fx.Node | None = None
    """A batch norm in evaluation mode."""
    addition: fx.Node | None = None
    activation: fx.Node | None = None
    kind: str | None = None
    """'relu', 'relu6', 'silu' or 'hardswish'; of the activation, or inside of timm's batch norm."""

    @property
    def nodes(self) -> list[fx.Node]:
        found = (self.convolution, self.norm, self.addition, self.activation)
        return [node for node in found if node is not None]

    @property
    def inputs(self) -> list[fx.Node]:
        """What the convolution reads, and what is added to it, as the graph has it now."""
        own = [self.convolution, self.norm]
        nodes = (*self.convolution.args, *(self.addition.args if self.addition is not None else ()))
        return [node for node in nodes if isinstance(node, fx.Node) and node not in own]


def find_chains(followed: Followed) -> list[Chain]:
    """The chains of two nodes or more. What a layer that is read gives is read by two, and so ends its chain."""
    nodes = list(followed.graph.nodes)
    calls = Counter(node.target for node in nodes if node.op == "call_module")
    found: list[Chain] = []
    taken: set[fx.Node] = set()
    for node in nodes:
        if calls[node.target] == 1 and _is_convolution(followed, node):
            chain = _extend(followed, node, nodes, calls, taken)
            if len(chain.nodes) > 1:
                found.append(chain)
                taken.update(chain.nodes)
    return found


def _extend(
    followed: Followed,
    convolution: fx.Node,
    nodes: list[fx.Node],
    calls: Counter[object],
    taken: Collection[fx.Node],
) -> Chain:
    norm = addition = None
    last = convolution
    following = _only_user(last)
    if following is not None and calls[following.target] == 1 and _is_norm(followed, convolution, following):
        norm = last = following
        following = _only_user(last)
    inside = followed.module(norm) if norm is not None else None
    if inside is not None and is_norm_with_activation(inside):
        return Chain(convolution, norm, kind=_MODULES.get(type(inside.get_submodule("act"))))
    if following is not None and following not in taken and _adds(following, last):
        # The convolution then runs as late as the addition, so what it reads must still be there unchanged.
        between = nodes[nodes.index(convolution) + 1 : nodes.index(following)]
        if not any(_may_write(followed, node) for node in between if node is not norm):
            addition = last = following
            following = _only_user(last)
    kind = None if following is None else _kind(followed, following)
    return Chain(convolution, norm, addition, following if kind else None, kind)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_plain(module: nn.Module | None, kind: type[nn.Module]) -> bool:
    """Of this very class, and without hooks: those of others could change what it reads, holds or gives."""
    return type(module) is kind and not (module._forward_hooks or module._forward_pre_hooks)


def _is_plain_with_activation(module: nn.Module) -> bool:
    """A batch norm with an activation that is known here, or none, in it; nothing in it is hooked."""
    if not is_norm_with_activation(module) or not _is_plain(module, type(module)):
        return False
    act = module.act
    return isinstance(act, nn.Module) and type(act) in (nn.Identity, *_MODULES) and _is_plain(act, type(act))


def _is_convolution(followed: Followed, node: fx.Node) -> bool:
    module = followed.module(node)
    return (
        isinstance(module, nn.Conv2d)
        and _is_plain(module, nn.Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and _takes_one(node)
    )


def _is_norm(followed: Followed, convolution: fx.Node, node: fx.Node) -> bool:
    before, module = followed.module(convolution), followed.module(node)
    return (
        isinstance(before, nn.Conv2d)
        and isinstance(module, nn.BatchNorm2d)
        and (_is_plain(module, nn.BatchNorm2d) or _is_plain_with_activation(module))
        and not module.training
        and module.running_mean is not None
        and module.running_var is not None
        and module.num_features == before.out_channels
        and _takes_one(node)
    )


def _takes_one(node: fx.Node) -> bool:
    return len(node.args) == 1 and isinstance(node.args[0], fx.Node) and not node.kwargs


def _adds(node: fx.Node, value: fx.Node) -> bool:
    """Whether a node adds something to a value, and does not write into what it adds."""
    of_two = (node.op == "call_function" and node.target in (operator.add, torch.add, operator.iadd)) or (
        node.op == "call_method" and node.target in ("add", "add_")
    )
    if not of_two or len(node.args) != 2 or node.kwargs or node.args[0] is node.args[1]:
        return False
    if not all(isinstance(one, fx.Node) for one in node.args):
        return False
    return node.args[0] is value or node.target not in (operator.iadd, "add_")


def _kind(followed: Followed, node: fx.Node) -> str | None:
    """Which activation a node is."""
    if node.op == "call_module":
        module = followed.module(node)
        if module is None or not _is_plain(module, type(module)) or not _takes_one(node):
            return None
        return _MODULES.get(type(module))
    if node.op == "call_function":
        return _FUNCTIONS.get(node.target)
    return _METHODS.get(str(node.target)) if node.op == "call_method" else None


def _may_write(followed: Followed, node: fx.Node) -> bool:
    """Whether a node may change a tensor that it reads."""
    arguments = (*node.args, *node.kwargs.values())
    if node.op == "call_module":
        module = followed.module(node)
        return module is not None and (
            bool(getattr(module, "inplace", False))
            or bool(module._forward_hooks or module._forward_pre_hooks)
        )
    if node.op == "call_method":
        return str(node.target).endswith("_") or "out" in node.kwargs
    if node.op != "call_function":
        return False
    name, home = getattr(node.target, "__name__", ""), str(getattr(node.target, "__module__", ""))
    known = home.split(".")[0] in ("torch", "_operator", "operator", "builtins", "math") or not home
    return (
        not known
        or name.endswith("_")
        or node.target in _INPLACE_OPERATORS
        or "out" in node.kwargs
        or any(value is True for value in arguments)  # inplace=True
    )
