"""How well each concept explains each unit: CLIP-Dissect's similarity functions and the priors.

Oikarinen & Weng, *CLIP-Dissect*, ICLR 2023 (arXiv 2204.10965). Notation: N probe images, C concepts, K
units, D dimensions of CLIP's space. The score of concept c for unit k is its *evidence* L[k,c] less what
the concept gets anyway, its *prior*.

Everything here works on blocks of concepts, so that the (N,C) matrix of image-concept similarities is
never held.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

PRIORS = ("null", "standardized", "layer")
BLOCK = 256
"""Concepts at a time: the gathered rows of a few units then stay in the processor's cache."""
_SMALLEST_PRODUCT = 1e-30
"""Products of factors may fall this low in float32 (its smallest normal number is 1.2e-38)."""


@dataclass(frozen=True)
class SoftWPMI:
    """soft-WPMI (CLIP-Dissect, section 3.3 and its published parameters).

    P[i,c] = softmax over concepts of a * cosine(image i, text c).
    Of unit k take the `top_k` most activating images i_0, i_1, ...; image i_r belongs to the unit's set with
    probability p_r = p_start - (r / top_k) (p_start - p_end). The evidence is

        L[k,c] = sum over r of log(1 + p_r (P[i_r,c] - 1) + 1e-7)
    """

    a: float = 10.0
    top_k: int = 100
    p_start: float = 0.998
    p_end: float = 0.97
    epsilon: float = 1e-7

    def ranks(self, images: int) -> Tensor:
        """p_r for r = 0.., (min(top_k, N),) float32. The slope is top_k's, also where N is smaller."""
        rank = torch.arange(min(self.top_k, images), dtype=torch.float64)
        return (self.p_start - rank / self.top_k * (self.p_start - self.p_end)).float()

    def evidence(self, probabilities: Tensor, top_images: Tensor) -> Tensor:
        """L of a block of concepts.

        probabilities: (N,C') float32, rows of P for the block's concepts.
        top_images: (K, min(top_k, N)) int64, most activating first.
        Returns (K,C') float32, each at most 0.
        """
        belongs = self.ranks(probabilities.shape[0]).to(probabilities.device)
        rest = 1 - belongs + self.epsilon  # 1 + p (P - 1) + epsilon = p P + rest, without cancellation
        evidence = torch.empty(len(top_images), probabilities.shape[1], device=probabilities.device)
        # The logarithm of a product instead of a sum of logarithms, in runs that cannot underflow.
        run = max(1, int(math.log(_SMALLEST_PRODUCT) / math.log(max(float(rest.min()), _SMALLEST_PRODUCT))))
        units = max(1, 2**22 // (top_images.shape[1] * probabilities.shape[1]))
        for start in range(0, len(top_images), units):
            images = top_images[start : start + units]
            factors = probabilities[images]
            factors.mul_(belongs[:, None]).add_(rest[:, None])
            parts = [part.prod(dim=1).log_() for part in factors.split(run, dim=1)]
            evidence[start : start + units] = torch.stack(parts).sum(dim=0)
        return evidence


def soft_wpmi(
    image_features: Tensor,
    text_features: Tensor,
    activations: Tensor,
    *,
    a: float = 10.0,
    top_k: int = 100,
    p_start: float = 0.998,
    p_end: float = 0.97,
    lam: float = 1.0,
) -> Tensor:
    """soft-WPMI exactly as CLIP-Dissect computes it, with the prior over the units given.

    image_features (N,D), text_features (C,D): any scale; they are L2-normalised here.
    activations: (N,K), pooled; only their order within a unit matters.
    Returns (K,C) float32: L - lam * prior, with prior[c] = log of the mean over units of exp(L[k,c]).
    """
    function = SoftWPMI(a, top_k, p_start, p_end)
    top = activations.T.topk(min(top_k, len(activations)), dim=1).indices
    images, texts = normalize(image_features.float(), dim=1), normalize(text_features.float(), dim=1)
    normalizer = log_normalizer(images, texts, a)
    scores = torch.empty(activations.shape[1], len(texts), device=images.device)
    for block, probabilities in probability_blocks(images, texts, normalizer, a):
        evidence = function.evidence(probabilities, top)
        scores[:, block] = evidence - lam * layer_prior(evidence)
    return scores


def log_normalizer(images: Tensor, texts: Tensor, a: float) -> Tensor:
    """log of the softmax's denominator: logsumexp over concepts of a * cosine; (N,D), (C,D) unit vectors to (N,)."""
    total = torch.full((len(images),), -math.inf, device=images.device)
    for start in range(0, len(texts), BLOCK):
        logits = a * (images @ texts[start : start + BLOCK].T)
        total = torch.logaddexp(total, logits.logsumexp(dim=1))
    return total


def probability_blocks(
    images: Tensor, texts: Tensor, normalizer: Tensor, a: float
) -> Iterator[tuple[slice, Tensor]]:
    """P in blocks of concepts: (concepts' slice, (N,C') float32)."""
    for start in range(0, len(texts), BLOCK):
        block = slice(start, min(start + BLOCK, len(texts)))
        yield block, (a * (images @ texts[block].T) - normalizer[:, None]).exp_()


def layer_prior(evidence: Tensor) -> Tensor:
    """CLIP-Dissect's prior: log of the mean over the layer's own units of exp(L). (K,C) to (C,).

    It differs from layer to layer and epoch to epoch, so that scores of two epochs cannot be compared, and a
    concept that most units detect is hidden by being common.
    """
    return evidence.logsumexp(dim=0) - math.log(len(evidence))


@dataclass(frozen=True)
class NullPrior:
    """What a concept gets from units that mean nothing: over pseudo-units with random image orders.

    Depends on the probing set, the concepts and CLIP alone, so it is the same for all epochs, layers, runs.
    """

    location: Tensor
    """(C,): taken from the evidence."""
    scale: Tensor
    """(C,): the difference is divided by it; 1 for the prior 'null'."""

    @classmethod
    def of(cls, evidence: Tensor, kind: str) -> NullPrior:
        """evidence: (M,C), L of the pseudo-units. kind: 'null' (log mean exp) or 'standardized' (mean, std)."""
        if kind == "null":
            return cls(layer_prior(evidence), torch.ones(evidence.shape[1], device=evidence.device))
        scale = evidence.std(dim=0, correction=0)
        # A concept that scores the same for every image order tells nothing; it must not divide by nothing.
        return cls(evidence.mean(dim=0), torch.where(scale > 1e-6, scale, torch.inf))

    def score(self, evidence: Tensor) -> Tensor:
        """(K,C) evidence to (K,C) scores."""
        return (evidence - self.location) / self.scale


def pseudo_units(images: int, count: int, top_k: int, seed: int) -> Tensor:
    """Top images of units that mean nothing: (count, min(top_k, images)) int64, random orders from the seed."""
    generator = torch.Generator().manual_seed(seed)
    kept = min(top_k, images)
    parts = []
    for start in range(0, count, 256):  # random keys of a few pseudo-units at a time
        keys = torch.rand(min(256, count - start), images, generator=generator)
        parts.append(keys.topk(kept, dim=1).indices)
    return torch.cat(parts)
