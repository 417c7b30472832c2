"""A network's forward pass as a graph of modules and functions, followed once by torch.fx."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from cmon.extraction.fused.turns import TURNS
from cmon.extraction.layers.output import LayerOutput

_NETWORK, _READ = "network", "read"
"""Names in the graph: of the network's modules (`network.layer1.0.conv1`), and of where layers are read (`read.3`)."""


class CannotFollow(Exception):
    """A forward pass that is no fixed graph: its way depends on values, or it goes where torch.fx cannot follow."""


@dataclass
class Followed:
    """A forward pass as a graph; its nodes are in the order in which they ran."""

    graph: fx.Graph
    network: nn.Module
    reads: dict[str, fx.Node]
    """By layer: the node behind its last output, `call_module` of `read.N` with N its position in the outputs."""
    constants: nn.Module
    """Holds the tensors that the forward pass made while it was followed."""

    def module(self, node: fx.Node) -> nn.Module | None:
        """The network's module that a node calls; None of a function, and where a layer is read."""
        target = str(node.target)
        if node.op != "call_module" or not target.startswith(f"{_NETWORK}"):
            return None
        return self.network.get_submodule(self.name(node))

    def name(self, node: fx.Node) -> str:
        """The network's name of the module that a node calls."""
        return str(node.target).removeprefix(_NETWORK).removeprefix(".")


def follow(network: nn.Module, outputs: Sequence[LayerOutput]) -> Followed:
    """Follow the forward pass for one batch of pictures, and note where each of the layers is read.

    A copy is followed, which shares the network's tensors: what a forward pass keeps for its next run stays with it.
    Raises CannotFollow.
    """
    try:
        holder = _Holder(_copy_sharing_tensors(network))
        tracer = _Tracer(holder, outputs)
        with TURNS.alone(), torch.no_grad():
            graph = tracer.trace(holder)
    except Exception as error:  # a network may do anything with what is no tensor
        text = str(error).strip().splitlines()
        raise CannotFollow(f"{type(error).__name__}: {text[0] if text else ''}"[:200]) from error
    for output in outputs:
        if tracer.calls.get(output.name, 0) != output.calls:
            raise CannotFollow(f"its layer {output.name} is not seen to run {output.calls} times")
    return Followed(graph, network, tracer.reads, holder)


def cut(followed: Followed, outputs: Sequence[LayerOutput]) -> None:
    """Leave of the graph what comes before the last of these layers is read, and let it give them in this order."""
    graph, wanted = followed.graph, [followed.reads[output.name] for output in outputs]
    last = max(wanted, key=list(graph.nodes).index)
    for node in reversed(list(graph.nodes)):
        if node is last:
            break
        graph.erase_node(node)
    for node in set(followed.reads.values()) - set(wanted):
        if node.graph is graph and node in graph.nodes:
            graph.erase_node(node)
    with graph.inserting_after(last):
        graph.output(tuple(wanted))


def build(followed: Followed, added: Mapping[str, nn.Module]) -> fx.GraphModule:
    """The graph as a module. added: those of its modules that are not the network's, by their names in the graph."""
    parts: dict[str, Any] = {}
    for node in followed.graph.nodes:
        target = str(node.target)
        if node.op == "call_module":
            parts[target] = added[target] if target in added else followed.module(node)
        elif node.op == "get_attr":
            parts[target] = _find(followed, target)
    return fx.GraphModule(parts, followed.graph)


def is_norm_with_activation(module: nn.Module) -> bool:
    """Whether it is timm's batch norm that has its activation in it, and nothing else that does anything."""
    kind = type(module)
    named = (kind.__module__, kind.__name__) == ("timm.layers.norm_act", "BatchNormAct2d")
    return named and type(module.drop) is nn.Identity and not list(module.drop._forward_hooks)


def read_name(position: int) -> str:
    """In the graph, of where the layer at that position in the outputs is read."""
    return f"{_READ}.{position}"


def _find(followed: Followed, target: str) -> Any:
    """A tensor of the network, or one that was made while it was followed."""
    name, found = target.removeprefix(f"{_NETWORK}."), followed.network
    holds = target.startswith(f"{_NETWORK}.")
    for start, path in (
        ((found, name), (followed.constants, target)) if holds else ((followed.constants, target),)
    ):
        value: Any = start
        for part in path.split("."):
            value = getattr(value, part, None)
        if isinstance(value, Tensor):
            return value
    raise CannotFollow(f"{target} is not there")


class _Holder(nn.Module):
    """The network as a part: so that it is called with the batch alone, and its other arguments keep their defaults."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Any) -> Any:
        return self.network(batch)


class _Tracer(fx.Tracer):
    def __init__(self, holder: _Holder, outputs: Sequence[LayerOutput]) -> None:
        super().__init__()
        self.proxy_buffer_attributes = (
            True  # a way that depends on a buffer is then an error, not kept as it was
        )
        modules = dict(holder.network.named_modules())
        self._wanted = {modules[output.name]: (at, output) for at, output in enumerate(outputs)}
        self.calls: dict[str, int] = {}
        self.reads: dict[str, fx.Node] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = is_norm_with_activation(m) and not any(part in self._wanted for part in m.children())
        return whole or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        value = super().call_module(m, forward, args, kwargs)
        if m in self._wanted:
            at, output = self._wanted[m]
            calls = self.calls[output.name] = self.calls.get(output.name, 0) + 1
            if calls == output.calls:
                self.reads[output.name] = self.create_proxy("call_module", read_name(at), (value,), {}).node
        return value


def _copy_sharing_tensors(network: nn.Module) -> nn.Module:
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared)
