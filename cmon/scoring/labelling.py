"""The best concepts of every unit, and the best scores of pseudo-units, in one pass over the concepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from cmon.progress import Progress, silent
from cmon.scoring.priors import Baseline, Prior, PriorInputs
from cmon.scoring.pseudo_units import random_orders, shuffled_units
from cmon.scoring.similarity.base import Similarity, Units, concatenate
from cmon.scoring.similarity.blocks import Block, concept_slices, map_blocks
from cmon.scoring.similarity.top_k import TopK


@dataclass(frozen=True)
class Method:
    """How units are scored."""

    similarity: Similarity
    prior: Prior
    pseudo_units: int
    """How many; for each layer, where layers do not share them."""
    seed: int = 0
    """Of the pseudo-units."""
    kept: int = 10
    """Best concepts kept of each unit."""


@dataclass(frozen=True)
class LayerUnits:
    """The units of one run, layer and epoch that are to be scored: at least one."""

    units: Units
    """What the similarity function keeps of them."""
    pseudo: Units | None
    """The layer's own pseudo-units; None where the function sees only orders, and all layers share them."""

    @property
    def nbytes(self) -> int:
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


def keep_layer(method: Method, images: Tensor, activations: Tensor, top: Tensor) -> LayerUnits:
    """What is kept of a layer's units, K at least 1.

    images: (N,D) unit vectors. activations: (N,K), finite, on the same device. top: (K,T) int64, each unit's most
    activating images in order, T at least what the function looks at (if it looks at top images at all).
    """
    function = method.similarity
    units = function.units(images, activations, lambda _, k: top[:, :k])
    if function.order_only:
        return LayerUnits(units, None)
    blocks = shuffled_units(activations, method.pseudo_units, method.seed)
    return LayerUnits(units, concatenate([function.units(images, block) for block in blocks]))


def label(
    method: Method, images: Tensor, texts: Tensor, layers: Sequence[LayerUnits], progress: Progress = silent
) -> list[Labels]:
    """Score all units of the layers against all concepts, and keep the best concepts of each.

    images (N,D), texts (C,D): unit vectors on one device, the units' too. A layer's labels do not depend on the other
    layers.
    """
    scorer = _Scorer.of(method, images, layers)
    rows = [len(layer.units[0]) for layer in layers]
    best = TopK.empty(sum(rows), method.kept, device=str(images.device))
    null_best: list[Tensor] = []
    blocks = map_blocks(scorer.score, method.similarity.blocks(images, texts), images.device)
    total = len(concept_slices(len(images), len(texts)))
    for concepts, found in progress(blocks, "scoring concepts", total):
        best = best.update(found.scores, concepts.start)
        pairs = zip(null_best or found.null_best, found.null_best, strict=True)
        null_best = [old.maximum(new) for old, new in pairs]
    if len(null_best) < len(layers):  # one for all
        null_best = null_best * len(layers)
    parts = zip(best.values.split(rows), best.indices.split(rows), null_best, strict=True)
    return [Labels(values.cpu(), indices.cpu(), null.cpu()) for values, indices, null in parts]


@dataclass(frozen=True)
class _Group:
    """Units that share a baseline: those of all layers, or those of one."""

    rows: slice
    """Their rows among all."""
    pseudo_rows: slice
    """The rows of their pseudo-units."""
    units: Units = ()
    """What is kept of them, where their chance is asked for from that."""
    pseudo: Units = ()


@dataclass(frozen=True)
class _BlockScores:
    scores: Tensor
    """(K,C') of all layers' units."""
    null_best: list[Tensor]
    """Of each group, (M,): its pseudo-units' best scores over the block's concepts."""


@dataclass(frozen=True)
class _Scorer:
    """All units and pseudo-units, ready to be scored against one block of concepts after the other."""

    method: Method
    everything: Units
    """The layers' units, and then the pseudo-units."""
    groups: list[_Group]

    @classmethod
    def of(cls, method: Method, images: Tensor, layers: Sequence[LayerUnits]) -> _Scorer:
        function = method.similarity
        pseudo = [layer.pseudo for layer in layers if layer.pseudo is not None]
        if function.order_only:
            top_images = function.top_images(len(images)) or len(images)
            orders = random_orders(len(images), method.pseudo_units, top_images, method.seed)
            pseudo = [(orders.to(images.device),)]
        parts = [*(layer.units for layer in layers), *pseudo]
        edges = accumulate((len(part[0]) for part in parts), initial=0)
        slices = [slice(start, stop) for start, stop in pairwise(edges)]
        rows, pseudo_rows = slices[: len(layers)], slices[len(layers) :]
        if not function.order_only:
            groups = [
                _Group(own, null, layer.units, layer.pseudo or ())
                for own, null, layer in zip(rows, pseudo_rows, layers, strict=True)
            ]
        elif method.prior.from_layer:
            groups = [_Group(own, pseudo_rows[0]) for own in rows]
        else:
            groups = [_Group(slice(0, rows[-1].stop), pseudo_rows[0])]
        return cls(method, concatenate(parts), groups)

    def score(self, block: Block) -> _BlockScores:
        evidence = self.method.similarity.evidence(block, self.everything)
        scores, null_best = zip(
            *(self._score_group(block, evidence, group) for group in self.groups), strict=True
        )
        return _BlockScores(scores[0] if len(scores) == 1 else torch.cat(scores), list(null_best))

    def _score_group(self, block: Block, evidence: Tensor, group: _Group) -> tuple[Tensor, Tensor]:
        """The group's scores, (K,C'), and its pseudo-units' best, (M,)."""
        function, prior = self.method.similarity, self.method.prior
        units, pseudo = evidence[group.rows], evidence[group.pseudo_rows]

        def baseline(kept: Units) -> Baseline:
            return prior.baseline(
                PriorInputs(
                    chance=lambda: function.chance(block, kept, pseudo),
                    layer_prior=lambda: function.layer_prior(units),
                )
            )

        own = baseline(group.units)
        null = own if function.order_only or prior.from_layer else baseline(group.pseudo)
        return own.score(units), null.score(pseudo).amax(dim=1)
