"""The best concepts of every unit, and the best scores of pseudo-units, in one pass over the concepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cmon.progress import Progress, silent
from cmon.scoring.block_scores import LayerUnits, Method, make_scorer
from cmon.scoring.first_epoch import Moments
from cmon.scoring.pseudo_units import shuffled_units
from cmon.scoring.similarity.base import concatenate
from cmon.scoring.similarity.blocks import concept_slices, map_blocks
from cmon.scoring.similarity.products import float32_products
from cmon.top_k import TopK


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


def keep_layer(method: Method, images: Tensor, activations: Tensor | None, top: Tensor) -> LayerUnits:
    """What is kept of a layer's units, K at least 1.

    images: (N,D) unit vectors. activations: (N,K), finite, on any device; None for a function that looks at their order
    alone. top: (K,T) int64, each unit's most activating images in order, T at least what the function looks at (if it
    looks at top images at all).
    """
    function = method.similarity
    if function.order_only:
        unread = images.new_empty(1, 1).expand(len(images), len(top))
        return LayerUnits(function.units(images, unread, lambda _, k: top[:, :k]), None)
    if activations is None:
        raise AssertionError(f"{function.name} looks at activations")
    activations = activations.to(images.device)
    units = function.units(images, activations, lambda _, k: top[:, :k])
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
    with float32_products():
        return _label(method, images, texts, layers, progress, shared, described or [False] * len(layers))


def _label(
    method: Method,
    images: Tensor,
    texts: Tensor,
    layers: Sequence[LayerUnits],
    progress: Progress,
    shared: Shared | None,
    described: Sequence[bool],
) -> list[Labels]:
    shared = Shared() if shared is None else shared
    scorer = make_scorer(method, images, layers, shared.null, described)
    rows = [len(layer) for layer in layers]
    best = TopK.empty(sum(rows), method.kept, device=str(images.device))
    null_best: list[Tensor] = []
    found_null: list[dict[str, Tensor]] = []
    moments: dict[int, list[Moments]] = {number: [] for number, asked in enumerate(described) if asked}
    blocks = method.similarity.blocks(images, texts, shared.products, scorer.room)
    work = map_blocks(scorer.score, blocks, images.device, scorer.room)
    total = len(concept_slices(len(images), len(texts), scorer.room))
    for _, found in progress(work, "scoring concepts", total):
        best = best.join(found.best)
        pairs = zip(null_best or found.null_best, found.null_best, strict=True)
        null_best = [old.maximum(new) for old, new in pairs]
        found_null.append(found.null)
        for number, part in found.moments.items():
            moments[number].append(part)
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
    parts = zip(best.values.split(rows), best.indices.split(rows), null_best, strict=True)
    return [
        Labels(
            values.cpu(),
            indices.cpu(),
            null.cpu(),
            Moments.joined(moments[number]) if number in moments else None,
        )
        for number, (values, indices, null) in enumerate(parts)
    ]
