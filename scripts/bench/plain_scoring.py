"""CLIP-Dissect's way of scoring in plain torch: what users of its published code run, without its files.

Each way has two parts: what is made of all images and concepts, which its code makes again for each layer and epoch,
and what is made of it for one epoch's units. Who makes the first part once gets the second baseline.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True)
class PlainWay:
    """One similarity function."""

    prepare: Callable[[Tensor, Tensor], Tensor]
    """Images (N,D) and texts (C,D) to what the function needs of both, (N,C)."""
    score: Callable[[Tensor, Tensor], Tensor]
    """That and the activations (N,K) of one epoch to scores (K,C)."""


def probabilities(images: Tensor, texts: Tensor, a: float) -> Tensor:
    return torch.softmax(a * (images @ texts.T), dim=1)


def wpmi(probabilities: Tensor, activations: Tensor, top_k: int, lam: float, soft: bool) -> Tensor:
    concepts = probabilities.shape[1]
    top = activations.topk(top_k, dim=0).indices
    belongs = (0.998 - torch.arange(top_k, device=top.device) / top_k * (0.998 - 0.97))[:, None]
    evidence = []
    for unit in range(activations.shape[1]):
        rows = probabilities.gather(0, top[:, unit, None].expand(-1, concepts))
        if soft:
            rows = 1 + belongs * (rows - 1)
        evidence.append(torch.log(rows + 1e-7).sum(dim=0))
    found = torch.stack(evidence)
    return found - lam * (torch.logsumexp(found, dim=0) - math.log(len(found)))


def cosines(images: Tensor, texts: Tensor) -> Tensor:
    return images @ texts.T


def rank_reorder(cosines: Tensor, activations: Tensor) -> Tensor:
    images, concepts = cosines.shape
    values, top = activations.topk(int(images * 0.05), dim=0)
    scores = []
    for unit in range(activations.shape[1]):
        seen = cosines.gather(0, top[:, unit, None].expand(-1, concepts))
        ranks = seen.argsort(dim=0).argsort(dim=0)
        activation = values[:, unit, None]
        rising = activation.flip(0)
        chance = (rising - rising.T).abs().pow(3).mean()  # exact, so that results can be compared
        error = (activation - rising.expand(-1, concepts).gather(0, ranks)).abs().pow(3).mean(dim=0)
        scores.append(-error / chance / seen.mean(dim=0).sqrt())
    return torch.stack(scores)


def unit_columns(columns: Tensor, cubed: bool) -> Tensor:
    if cubed:
        columns = (columns - columns.mean(dim=0)) ** 3
    return columns / columns.norm(dim=0).clip(1e-3 if cubed else 0)


def cosine(cubed: bool) -> PlainWay:
    return PlainWay(
        lambda images, texts: unit_columns(images @ texts.T, cubed),
        lambda of_concepts, activations: unit_columns(activations, cubed).T @ of_concepts,
    )


PLAIN_WAYS = {
    "soft_wpmi": PlainWay(partial(probabilities, a=10), partial(wpmi, top_k=100, lam=1, soft=True)),
    "wpmi": PlainWay(partial(probabilities, a=2), partial(wpmi, top_k=28, lam=0.6, soft=False)),
    "rank_reorder": PlainWay(cosines, rank_reorder),
    "cos_similarity": cosine(cubed=False),
    "cos_similarity_cubed": cosine(cubed=True),
}
