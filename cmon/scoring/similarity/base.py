"""What a similarity function is: it keeps something of units, and gives evidence block by block of concepts.

Notation: `blocks`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from cmon.scoring.priors import Chance
from cmon.scoring.similarity.blocks import Block
from cmon.scoring.similarity.room import Room
from cmon.top_k import top_k

Units = tuple[Tensor, ...]
"""What a function keeps of units: tensors with a row per unit, so that they can be concatenated and cut."""
Ranking = Callable[[Tensor, int], Tensor]
"""(K,N) activations and k to (K, min(k, N)) int64: the k most activating images, most activating first."""


def stable_ranking(activations: Tensor, k: int) -> Tensor:
    """The k most activating images, of equal ones the first. A `Ranking`."""
    return top_k(activations, k).indices


def unstable_ranking(activations: Tensor, k: int) -> Tensor:
    """The k most activating images, of equal ones whichever torch takes, as CLIP-Dissect does. A `Ranking`."""
    return activations.contiguous().topk(min(k, activations.shape[1]), dim=1).indices


class Similarity(ABC):
    """How well concepts explain units. One pass over the concepts serves any number of units:

        units = function.units(images, activations)          # of one epoch, or of all, concatenated
        for concepts, make_block in function.blocks(images, texts):
            evidence = function.evidence(make_block(), units)     # (K,C'): the larger, the better

    (`map_blocks` makes the blocks on all cores.) A subclass is a frozen dataclass of the function's parameters, and has
    a line in `registry`.
    """

    name: ClassVar[str]
    order_only: ClassVar[bool]
    """Whether only the order of a unit's activations counts: then one set of pseudo-units, random image orders, serves
    all units. Otherwise a unit's chance is that of its own activations, shuffled among the images."""

    @abstractmethod
    def top_images(self, images: int) -> int | None:
        """How many of its N images describe a unit, the most activating ones; None: all, by their activation."""

    @abstractmethod
    def units(self, images: Tensor, activations: Tensor, ranking: Ranking = stable_ranking) -> Units:
        """What is kept of units. activations: (N,K), finite."""

    @abstractmethod
    def blocks(
        self,
        images: Tensor,
        texts: Tensor,
        known: dict[str, Tensor] | None = None,
        room: Room | None = None,
    ) -> Iterator[tuple[slice, Callable[[], Block]]]:
        """Blocks of concepts in order: (the concepts' slice, a call that makes what `evidence` needs of them).

        What all blocks share is computed here, on all cores; what of it took a pass over all concepts is put into
        `known`, from where the next call with the same images and texts takes it. room: for as much as is under way.
        """

    @abstractmethod
    def evidence(self, block: Block, units: Units) -> Tensor:
        """(K,C') float32, finite: how well each concept of the block explains each unit."""

    @abstractmethod
    def chance(self, block: Block, units: Units, pseudo: Tensor) -> Chance:
        """What the block's concepts get from `units` by chance.

        Where `order_only`, that is estimated from `pseudo`, the (M,C') evidence of pseudo-units, and `units` is unused;
        else it has a closed form, and `pseudo` is unused.
        """

    def layer_prior(self, evidence: Tensor) -> Tensor:
        """What CLIP-Dissect takes from the evidence of one layer's units, (K,C') to (C',), K at least 1."""
        return torch.zeros(evidence.shape[1], device=evidence.device)


def concatenate(parts: Sequence[Units]) -> Units:
    """The units of all parts, one part after the other."""
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


def widest_float(device: torch.device) -> torch.dtype:
    """float64, where the device has it: for sums whose terms cancel, and squares and cubes that overflow."""
    return torch.float32 if device.type == "mps" else torch.float64
