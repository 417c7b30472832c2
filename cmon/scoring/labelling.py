"""The best concepts of every unit, and the best scores of pseudo-units, in one pass over the concepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from cmon.progress import Progress, silent
from cmon.scoring.first_epoch import Moments
from cmon.scoring.priors import Baseline, Chance, Prior, PriorInputs
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
    moments: Moments | None = None
    """Of the scores of all units for each concept, where they were asked for."""


@dataclass
class Shared:
    """What the first pass over some images and concepts finds for all passes over them, now or later.

    Each of the two is empty until then, or where there is nothing to share.
    """

    products: dict[str, Tensor] = field(default_factory=dict)
    """What the similarity function makes of all images and concepts."""
    null: dict[str, Tensor] = field(default_factory=dict)
    """Of the M pseudo-units that all layers share, if they do: 'mean' and 'deviation' of their evidence, (C,), and
    'best', (M,), their best scores; or, for a prior that differs from layer to layer, 'evidence', (M,C)."""


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
    method: Method,
    images: Tensor,
    texts: Tensor,
    layers: Sequence[LayerUnits],
    progress: Progress = silent,
    shared: Shared | None = None,
    described: Sequence[bool] = (),
) -> list[Labels]:
    """Score all units of the layers against all concepts, and keep the best concepts of each.

    images (N,D), texts (C,D): unit vectors on one device, the units' too. shared: of the same method, images and
    texts; what is not in it yet is put there. described: of which layers the labels tell `moments`; none if it is
    empty. A layer's labels do not depend on the other layers, nor on what is shared already, to the last bit.
    """
    described = described or [False] * len(layers)
    shared = Shared() if shared is None else shared
    scorer = _Scorer.of(method, images, layers, shared.null)
    rows = [len(layer.units[0]) for layer in layers]
    best = TopK.empty(sum(rows), method.kept, device=str(images.device))
    null_best: list[Tensor] = []
    found_null: list[dict[str, Tensor]] = []
    moments: list[list[Moments]] = [[] for _ in layers]
    blocks = method.similarity.blocks(images, texts, shared.products)
    work = map_blocks(scorer.score, blocks, images.device)
    total = len(concept_slices(len(images), len(texts)))
    for concepts, found in progress(work, "scoring concepts", total):
        best = best.update(found.scores, concepts.start)
        pairs = zip(null_best or found.null_best, found.null_best, strict=True)
        null_best = [old.maximum(new) for old, new in pairs]
        found_null.append(found.null)
        for own, part, asked in zip(moments, found.scores.split(rows), described, strict=True):
            if asked:
                own.append(Moments.of(part.cpu().numpy()))
    if not null_best:
        null_best = [shared.null["best"].to(images.device)]
    if not shared.null and found_null[0]:
        shared.null |= {
            name: torch.cat([one[name] for one in found_null], dim=-1).cpu() for name in found_null[0]
        }
        if not method.prior.from_layer:
            shared.null["best"] = null_best[0].cpu()
    if len(null_best) < len(layers):  # one for all
        null_best = null_best * len(layers)
    parts = zip(best.values.split(rows), best.indices.split(rows), null_best, moments, strict=True)
    return [
        Labels(values.cpu(), indices.cpu(), null.cpu(), Moments.joined(own) if own else None)
        for values, indices, null, own in parts
    ]


@dataclass(frozen=True)
class _BlockScores:
    scores: Tensor
    """(K,C') of all layers' units."""
    null_best: list[Tensor]
    """(M,), pseudo-units' best scores over the block's concepts: of each layer, one for all, or none if known."""
    null: dict[str, Tensor]
    """What `Shared.null` is made of, for the block's concepts; empty if known."""


class _Scorer:
    """All units and pseudo-units, ready to be scored against one block of concepts after the other."""

    score: Callable[[slice, Block], _BlockScores]

    def __init__(self, method: Method, layers: Sequence[LayerUnits]) -> None:
        self.function, self.prior = method.similarity, method.prior
        self.layers = layers
        edges = accumulate((len(layer.units[0]) for layer in layers), initial=0)
        self.rows = [slice(start, stop) for start, stop in pairwise(edges)]

    @classmethod
    def of(
        cls, method: Method, images: Tensor, layers: Sequence[LayerUnits], null: dict[str, Tensor]
    ) -> _Scorer:
        if not method.similarity.order_only:
            return _OwnNullScorer(method, layers)
        top_images = method.similarity.top_images(len(images)) or len(images)
        orders = None
        if not null:
            orders = random_orders(len(images), method.pseudo_units, top_images, method.seed)
        device = images.device
        return _SharedNullScorer(
            method,
            layers,
            {name: tensor.to(device) for name, tensor in null.items()},
            None if orders is None else orders.to(device),
        )

    def baseline(self, chance: Callable[[], Chance], evidence: Tensor) -> Baseline:
        """evidence: (K,C') of a layer's units."""
        return self.prior.baseline(
            PriorInputs(chance=chance, layer_prior=lambda: self.function.layer_prior(evidence))
        )


class _SharedNullScorer(_Scorer):
    """Where only orders count: all units at once, and pseudo-units that all layers share, unless they are known."""

    def __init__(
        self, method: Method, layers: Sequence[LayerUnits], null: dict[str, Tensor], orders: Tensor | None
    ) -> None:
        super().__init__(method, layers)
        self.null = null
        parts = [layer.units for layer in layers]
        self.everything = concatenate(parts if orders is None else [*parts, (orders,)])

    def score(self, concepts: slice, block: Block) -> _BlockScores:
        evidence = self.function.evidence(block, self.everything)
        units, pseudo = evidence.split([self.rows[-1].stop, len(evidence) - self.rows[-1].stop])
        if self.prior.from_layer:
            if self.null:
                pseudo = self.null["evidence"][:, concepts]
            own = [units[rows] for rows in self.rows]
            baselines = [self.baseline(lambda: Chance.estimate(pseudo), part) for part in own]
            return _BlockScores(
                torch.cat([one.score(part) for one, part in zip(baselines, own, strict=True)]),
                [one.score(pseudo).amax(dim=1) for one in baselines],
                {} if self.null else {"evidence": pseudo.clone()},
            )
        if self.null:
            chance = Chance(self.null["mean"][concepts], self.null["deviation"][concepts], sampled=True)
            return _BlockScores(self.baseline(lambda: chance, units).score(units), [], {})
        chance = self.function.chance(block, (), pseudo)
        baseline = self.baseline(lambda: chance, units)
        return _BlockScores(
            baseline.score(units),
            [baseline.score(pseudo).amax(dim=1)],
            {"mean": chance.mean, "deviation": chance.deviation},
        )


class _OwnNullScorer(_Scorer):
    """Where activations count: each layer with its own pseudo-units, whose chance has a closed form."""

    def score(self, concepts: slice, block: Block) -> _BlockScores:
        scores, null_best = [], []
        for layer in self.layers:
            pseudo_units = layer.pseudo or ()
            evidence = self.function.evidence(block, layer.units)
            pseudo = self.function.evidence(block, pseudo_units)
            own = self._of(block, layer.units, evidence, pseudo)
            null = own if self.prior.from_layer else self._of(block, pseudo_units, evidence, pseudo)
            scores.append(own.score(evidence))
            null_best.append(null.score(pseudo).amax(dim=1))
        return _BlockScores(torch.cat(scores), null_best, {})

    def _of(self, block: Block, kept: Units, evidence: Tensor, pseudo: Tensor) -> Baseline:
        return self.baseline(lambda: self.function.chance(block, kept, pseudo), evidence)
