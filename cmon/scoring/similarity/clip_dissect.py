"""CLIP-Dissect's five similarity functions: how well each concept explains each unit.

Oikarinen & Weng, *CLIP-Dissect*, ICLR 2023 (arXiv 2204.10965), section 3.2 and appendix; parameters as in the
authors' published code. Each function takes

    image_features (N,D), text_features (C,D)   CLIP's, of any length: they are L2-normalised here
    activations (N,K)                           pooled, finite, any floating type

on one device, and returns (K,C) float32 there: the larger, the better the concept explains the unit. With
s[i,c] the cosine of image i and text c, and A[i,k] unit k's activation. The result is finite, also where the
authors' code gives NaN. It is (K,C) in size, but nothing of size (N,C) is held on the way.

A unit of constant activation has no meaning: the cosines and rank_reorder give it 0 for every concept (the authors'
code NaN; cos_similarity only where that constant is 0), soft_wpmi and wpmi a score from arbitrary top images. `cmon
score` gives such a unit a status instead of a label.

`cmon score` uses the same functions block by block (`registry`), with a prior of its choice (`priors`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from cmon.scoring.similarity.base import Similarity, unstable_ranking
from cmon.scoring.similarity.blocks import map_blocks
from cmon.scoring.similarity.cosine import CosSimilarity, CosSimilarityCubed
from cmon.scoring.similarity.products import float32_products
from cmon.scoring.similarity.rank_reorder import RankReorder
from cmon.scoring.similarity.wpmi import WPMI, SoftWPMI


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
    """Soft weighted pointwise mutual information, the paper's choice (its section 3.2).

        P[i,c] = softmax over c of a * s[i,c]
        i_0, i_1, ... = images by falling A[:,k];  p_r = p_start - (r / top_k) (p_start - p_end)
        L[k,c] = sum over r < top_k of log(1 + p_r (P[i_r,c] - 1) + 1e-7)
        score = L - lam * log of the mean over units of exp(L)

    Image i_r belongs to the unit's set with probability p_r. About 0 for a concept that explains the unit as well
    as the units on average, and down to -600.

    Traps: P depends on all concepts, so a score depends on the whole list. The prior is over the units given, so a
    score depends on them, too (`priors`). In float32, 1 + p (P - 1) loses half its digits where P is small. With fewer
    images than top_k, all are taken, and p_r falls no faster.
    """
    return _score(SoftWPMI(a, top_k, p_start, p_end, lam), image_features, text_features, activations)


def wpmi(
    image_features: Tensor,
    text_features: Tensor,
    activations: Tensor,
    *,
    a: float = 2.0,
    top_k: int = 28,
    lam: float = 0.6,
) -> Tensor:
    """Weighted pointwise mutual information (the paper's appendix): soft_wpmi, with all top images in the unit's set.

        L[k,c] = sum over the top_k most activating images i of log(P[i,c] + 1e-7)
        score = L - lam * log of the mean over units of exp(L)

    Negative, about -28 log C (1 - lam) for a concept that is as likely as any. Traps: those of soft_wpmi; and with
    lam below 1 a concept that is likely for every image stays ahead for every unit.
    """
    return _score(WPMI(a, top_k, lam), image_features, text_features, activations)


def rank_reorder(
    image_features: Tensor,
    text_features: Tensor,
    activations: Tensor,
    *,
    p: float = 3.0,
    top_fraction: float = 0.05,
    scale_p: float = 0.5,
) -> Tensor:
    """How well the concept's similarities put the unit's top activations in order (the paper's appendix).

        t = the n = top_fraction * N largest A[:,k], falling;  t' = the same, ordered by falling s[:,c] of their images
        error = mean of |t - t'|^p, over what a random order gives on average
        score = -error / (mean of s[:,c] over the n images)^scale_p

    At most 0. The random order's mean error is taken exactly, over all n! orders, where the authors' code draws
    five: so a unit's scores are theirs up to a factor near 1, the same for all concepts.

    Traps: it sees only the order *within* the top images; how they differ from all others only
    through their mean cosine. Of a mean below 0 the authors' code gives NaN, and just above it a score that only
    says how small it is; CLIP's cosines are seldom so, and below 0.05 they count as 0.05 here. Equal cosines count
    against the concept. Fewer than 20 images make n = 0 there, 1 here, which says nothing: 0 for every concept.
    """
    return _score(RankReorder(p, top_fraction, scale_p), image_features, text_features, activations)


def cos_similarity(image_features: Tensor, text_features: Tensor, activations: Tensor) -> Tensor:
    """Cosine of the unit's activations and the concept's similarities, both vectors over all images, as they are.

        score = sum over i of A[i,k] s[i,c] / (|A[:,k]| |s[:,c]|)

    In [-1, 1]. Trap: neither is centred, so a unit that is positive everywhere scores high with every concept
    whose similarity hardly varies. A unit or concept that is 0 for every image scores 0.
    """
    return _score(CosSimilarity(), image_features, text_features, activations)


def cos_similarity_cubed(
    image_features: Tensor, text_features: Tensor, activations: Tensor, *, least_norm: float = 1e-3
) -> Tensor:
    """Cosine of the centred and cubed vectors over all images: the most activating images count most.

        u = (A[:,k] - mean)^3,  v = (s[:,c] - mean)^3
        score = sum of u v / (max(|u|, least_norm) max(|v|, least_norm))

    In [-1, 1]. Trap: least_norm, which avoids division by 0, is not small compared with cubes: similarities
    that vary by 0.03 among 400 images have |v| of about 0.0005, so their concept's scores are halved; and the
    scores of a unit depend on the scale of its activations where these vary by less than about 0.1 / N^(1/6).
    """
    return _score(CosSimilarityCubed(least_norm), image_features, text_features, activations)


@torch.no_grad()
@float32_products()
def _score(
    function: Similarity, image_features: Tensor, text_features: Tensor, activations: Tensor
) -> Tensor:
    images, texts = unit_vectors(image_features), unit_vectors(text_features)
    if activations.dtype != torch.float64:  # which may hold what float32 cannot
        activations = activations.float()
    units = function.units(images, activations, unstable_ranking)
    scores = torch.empty(activations.shape[1], len(texts), device=images.device)
    blocks = function.blocks(images, texts)
    for concepts, evidence in map_blocks(
        lambda _, block: function.evidence(block, units), blocks, images.device
    ):
        scores[:, concepts] = evidence - function.layer_prior(evidence) if len(evidence) else evidence
    return scores


def unit_vectors(features: Tensor) -> Tensor:
    """Rows L2-normalised, float32, whatever their length; rows of zeros stay so."""
    features = features.float()
    largest = features.abs().amax(dim=1, keepdim=True)
    return normalize(features / torch.where(largest > 0, largest, 1), dim=1)
