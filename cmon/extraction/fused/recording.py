"""The pooled activations of `record_activations`, from a network whose batch norms lie in its convolutions.

network --torch.fx--> graph --chains--> fused convolutions --> one call that gives every layer's pooled activations

Values are those of the network as it is written, to rounding. A layer that is read is never part of a fused chain, and
so which layers are read decides what is fused: `wanted` are all of a run, also those that are there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cmon.extraction.fused.chains import Chain, find_chains
from cmon.extraction.fused.convolution import FusedConvolution, OneDnnConvolution, folded, has_onednn
from cmon.extraction.fused.follow import CannotFollow, Followed, build, cut, follow, read_name
from cmon.extraction.layers import forward
from cmon.extraction.layers.batch_axis import differ, rounding
from cmon.extraction.layers.observe import observe, spread_values
from cmon.extraction.layers.output import LayerOutput, pool
from cmon.extraction.layers.recording import check_shape, with_two_pictures
from cmon.extraction.layers.tensors import read_tensor


def find_fused(network: nn.Module, outputs: Sequence[LayerOutput], device: str) -> tuple[bool, str | None]:
    """Whether `FusedNetwork` has something to offer for these layers, and why not, where torch.fx cannot follow."""
    try:
        followed = follow(network, outputs)
    except CannotFollow as problem:
        return False, str(problem)
    # On a GPU, the graph is also what can be captured and run again without Python.
    return device == "cuda" or bool(find_chains(followed)), None


class FusedNetwork:
    """A network with a checkpoint's weights, rewritten to give its layers' pooled activations."""

    def __init__(
        self,
        network: nn.Module,
        wanted: Sequence[LayerOutput],
        outputs: Sequence[LayerOutput],
        pooling: str,
        weights: Mapping[str, Tensor],
        images: int,
    ) -> None:
        """wanted: layers that no chain may swallow; outputs: those of them that are read.

        weights: the checkpoint's, by the network's names, before they were rounded to its type.
        images: at a time, for which the convolutions are laid out.
        Raises CannotFollow.
        """
        followed = follow(network, wanted)
        fused = _fuse(followed, weights, images)
        self._outputs = list(outputs)
        self._reads = {
            output.name: _Read(network.get_submodule(output.name), output, pooling) for output in outputs
        }
        cut(followed, outputs)
        places = {output.name: read_name(at) for at, output in enumerate(wanted)}
        self._graph = build(followed, {**fused, **{places[name]: read for name, read in self._reads.items()}})

    @property
    def layers(self) -> list[str]:
        """Names, in the order of the outputs."""
        return list(self._reads)

    @with_two_pictures
    def record(self, batch: Tensor) -> dict[str, Tensor]:
        """As `Record` says."""
        return dict(zip(self._reads, self.run(batch), strict=True))

    def run(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Of a batch of two pictures or more: the activations (B,K) float32, in the order of the outputs."""
        for read in self._reads.values():
            read.size = len(batch)
        return forward.give(self._graph, batch)

    def agrees(self, network: nn.Module, batch: Tensor) -> str | None:
        """Why the layers give on a batch something else than in the network as it is written; None if they agree."""
        for read in self._reads.values():
            read.looks = True
        try:
            values = self.run(batch)
        except Exception as error:  # torch's operators may refuse what they are given in any way
            return f"it fails with {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        finally:
            for read in self._reads.values():
                read.looks = False
        plain = observe(network, batch, set(self._reads))
        # A batch norm in its convolution is rounded elsewhere, and in bf16 a deep network adds that up.
        tolerance = rounding(batch) * (4 if batch.dtype == torch.bfloat16 else 1)
        for output, rows in zip(self._outputs, values, strict=True):
            expected = plain.modules[output.name].slices[output.batch_axis]
            if any(differ(*pair, tolerance) for pair in zip(rows, expected, strict=True)):
                return f"layer {output.name} gives other values"
        return None


class _Read(nn.Module):
    """Where a layer is read: its pooled activations, or, where it `looks`, some of its values as `observe` has them."""

    def __init__(self, module: nn.Module, output: LayerOutput, pooling: str) -> None:
        super().__init__()
        self._module = [module]  # in a list: no part of this one
        self._output, self._pooling = output, pooling
        self.size, self.looks = 0, False

    def forward(self, value: object) -> Tensor:
        tensor = read_tensor(self._output.name, self._module[0], value)
        check_shape(self._output, tuple(tensor.shape), self.size)
        if self.looks:
            return torch.stack([spread_values(row) for row in tensor.unbind(self._output.batch_axis)])
        return pool(tensor, self._output, self._pooling)


def _fuse(followed: Followed, weights: Mapping[str, Tensor], images: int) -> dict[str, nn.Module]:
    """Put one convolution in the place of every chain of the graph; gives these by their names in it."""
    added: dict[str, nn.Module] = {}
    for number, chain in enumerate(find_chains(followed)):
        target = f"fused.{number}"
        added[target] = _convolution(followed, chain, weights, images)
        with followed.graph.inserting_before(chain.addition or chain.convolution):
            node = followed.graph.create_node("call_module", target, tuple(chain.inputs))
        chain.nodes[-1].replace_all_uses_with(node)
        for old in reversed(chain.nodes):
            followed.graph.erase_node(old)
    return added


def _convolution(
    followed: Followed, chain: Chain, weights: Mapping[str, Tensor], images: int
) -> FusedConvolution:
    module = followed.module(chain.convolution)
    norm = followed.module(chain.norm) if chain.norm is not None else None
    if not isinstance(module, nn.Conv2d):
        raise AssertionError("a chain begins with a convolution")
    own = (
        (followed.name(chain.norm), norm)
        if chain.norm is not None and isinstance(norm, nn.BatchNorm2d)
        else None
    )
    weight, bias = folded(followed.name(chain.convolution), module, own, weights)
    if has_onednn(module.weight.device.type, module.weight.dtype):
        return OneDnnConvolution(module, weight, bias, chain.kind, images)
    return FusedConvolution(module, weight, bias, chain.kind)
