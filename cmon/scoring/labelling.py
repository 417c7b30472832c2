"""The best concepts of every unit, and of units that mean nothing, in one pass over the concepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmon.progress import Progress, silent
from cmon.scoring.priors import Chance, random_orders, shuffled
from cmon.scoring.similarity.base import Similarity, Units, concatenate
from cmon.scoring.similarity.blocks import Block, concept_slices, map_blocks
from cmon.scoring.similarity.top_k import TopK


@dataclass(frozen=True)
class Layer:
    """The units of one run, layer and epoch that are to be scored: at least one."""

    units: Units
    """What the similarity function keeps of them."""
    pseudo: Units | None
    """The layer's own pseudo-units; None where the function sees only orders, and all layers share them."""

    @property
    def kept_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.units, *(self.pseudo or ())))


@dataclass(frozen=True)
class Labels:
    """A layer's units and their best concepts, on the CPU."""

    scores: Tensor
    """(K, min(kept, C)) float32, best first; of equal scores the concept that comes first in the list."""
    concepts: Tensor
    """The same shape, int64: positions in the list."""
    null_best: Tensor
    """(M,) float32: each pseudo-unit's best score over all concepts."""


def layer_of(
    function: Similarity,
    images: Tensor,
    activations: Tensor,
    top: Tensor,
    count: int,
    seed: int,
) -> Layer:
    """What is kept of a layer's units, K at least 1.

    images: (N,D) unit vectors. activations: (N,K), finite, on the same device. top: (K,T) int64, each unit's most
    activating images in order, T at least what the function looks at (if it looks at top images at all).
    count, seed: of the pseudo-units.
    """
    units = function.units(images, activations, lambda _, k: top[:, :k])
    if function.order_only:
        return Layer(units, None)
    pseudo = [function.units(images, some) for some in shuffled(activations, count, seed)]
    return Layer(units, concatenate(pseudo))


def label(
    function: Similarity,
    prior: str,
    images: Tensor,
    texts: Tensor,
    layers: Sequence[Layer],
    count: int,
    seed: int,
    kept: int = 10,
    progress: Progress = silent,
) -> list[Labels]:
    """Score all units of the layers against all concepts; keep the `kept` best concepts of each.

    prior: see `priors`. images (N,D), texts (C,D): unit vectors on one device, the units' too. count: pseudo-units,
    if the layers share them. A layer's labels do not depend on the other layers.
    """
    shared: list[Units] = []
    if function.order_only:
        orders = random_orders(len(images), count, function.top_images(len(images)) or len(images), seed)
        shared = [(orders.to(images.device),)]
    own = [layer.pseudo for layer in layers if layer.pseudo is not None]
    parts = [*(layer.units for layer in layers), *shared, *own]
    sizes = [len(part[0]) for part in parts]
    everything = concatenate(parts)

    rows = sizes[: len(layers)]
    best = TopK.empty(sum(rows), kept, device=str(images.device))
    null_best: list[Tensor] = []

    def work(block: Block) -> tuple[Tensor, list[Tensor]]:
        evidence = function.evidence(block, everything).split(sizes)
        scores, nulls = _scored(
            function, prior, block, layers, evidence[: len(layers)], evidence[len(layers) :]
        )
        return torch.cat(scores), nulls

    total = len(concept_slices(len(images), len(texts)))
    blocks = map_blocks(work, function.blocks(images, texts), images.device)
    for concepts, (scores, nulls) in progress(blocks, "scoring concepts", total):
        best = best.update(scores, concepts.start)
        pairs = zip(null_best or nulls, nulls, strict=True)
        null_best = [old.maximum(new) for old, new in pairs]
    if len(null_best) < len(layers):
        null_best = null_best * len(layers)
    cut = zip(best.values.split(rows), best.indices.split(rows), null_best, strict=True)
    return [Labels(values.cpu(), indices.cpu(), null.cpu()) for values, indices, null in cut]


def _scored(
    function: Similarity,
    prior: str,
    block: Block,
    layers: Sequence[Layer],
    evidence: Sequence[Tensor],
    null_evidence: Sequence[Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Each layer's scores, (K,C'), and its pseudo-units' best, (M,): one for all layers where it is the same."""
    shared = null_evidence[0] if function.order_only else None
    if shared is not None and prior != "layer":
        chance = function.chance(prior, block, (), shared)
        return [chance.score(found) for found in evidence], [chance.score(shared).amax(dim=1)]
    scores, nulls = [], []
    for number, (layer, found) in enumerate(zip(layers, evidence, strict=True)):
        if prior == "layer":
            chance = null_chance = Chance(function.layer_prior(found), torch.ones(1, device=found.device))
        else:
            chance = function.chance(prior, block, layer.units, None)
            null_chance = function.chance(prior, block, layer.pseudo or (), None)
        null = null_evidence[number] if shared is None else shared
        scores.append(chance.score(found))
        nulls.append(null_chance.score(null).amax(dim=1))
    return scores, nulls
