"""Slow twins of the similarity functions, line by line from their definitions, in any precision.

In float64 they are the truth; in float32 they are the plain loop that nobody's shortcut may be less exact than.
Of equal activations the image with the lower index comes first, of equal similarities too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Precision = type[np.floating]


def cosines(images: Array, texts: Array, precision: Precision = np.float64) -> Array:
    """s[i,c] of features of any length."""
    images, texts = images.astype(precision), texts.astype(precision)
    s = np.empty((len(images), len(texts)), precision)
    for i, image in enumerate(images):
        for c, text in enumerate(texts):
            s[i, c] = (image @ text) / (np.sqrt(image @ image) * np.sqrt(text @ text))
    return s


def probabilities(s: Array, a: float) -> Array:
    """P[i,c] = softmax over concepts of a * s."""
    exponentials = np.exp(s.dtype.type(a) * s)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def most_activating(activations: Array, k: int) -> list[int]:
    return sorted(range(len(activations)), key=lambda i: -activations[i])[:k]


def soft_evidence(
    p: Array, activations: Array, top_k: int = 100, p_start: float = 0.998, p_end: float = 0.97
) -> Array:
    """L[k,c] = sum over r of log(1 + p_r (P[i_r,c] - 1) + 1e-7)."""
    number = p.dtype.type
    evidence = np.zeros((activations.shape[1], p.shape[1]), p.dtype)
    for k in range(activations.shape[1]):
        for r, i in enumerate(most_activating(activations[:, k], top_k)):
            belongs = number(p_start - (r / top_k) * (p_start - p_end))
            evidence[k] += np.log(number(1) + belongs * (p[i] - number(1)) + number(1e-7))
    return evidence


def evidence(p: Array, activations: Array, top_k: int = 28) -> Array:
    """L[k,c] = sum over the top images of log(P + 1e-7)."""
    found = np.zeros((activations.shape[1], p.shape[1]), p.dtype)
    for k in range(activations.shape[1]):
        for i in most_activating(activations[:, k], top_k):
            found[k] += np.log(p[i] + p.dtype.type(1e-7))
    return found


def log_mean_exp(found: Array) -> Array:
    largest = found.max(axis=0)
    return largest + np.log(np.exp(found - largest).mean(axis=0))


def soft_wpmi(
    images: Array, texts: Array, activations: Array, precision: Precision, top_k: int = 100
) -> Array:
    found = soft_evidence(probabilities(cosines(images, texts, precision), 10), activations, top_k)
    return found - log_mean_exp(found)


def wpmi(images: Array, texts: Array, activations: Array, precision: Precision, top_k: int = 28) -> Array:
    found = evidence(probabilities(cosines(images, texts, precision), 2), activations, top_k)
    return found - precision(0.6) * log_mean_exp(found)


def rank_reorder_of(s: Array, activations: Array, top_fraction: float = 0.05) -> Array:
    """-mean |t - t'|^3 / (mean over all pairs of |t_i - t_j|^3) / root of the mean of s."""
    precision = s.dtype.type
    n = max(1, int(len(s) * top_fraction))
    scores = np.zeros((activations.shape[1], s.shape[1]), s.dtype)
    for k in range(activations.shape[1]):
        top = most_activating(activations[:, k], n)
        t = activations[top, k].astype(precision)
        chance = np.mean([np.abs(x - y) ** 3 for x in t for y in t])
        for c in range(s.shape[1]):
            rising = sorted(
                range(n), key=lambda j: s[top[j], c]
            )  # stable: of equals, the more activating first
            given = np.empty(n, s.dtype)
            given[rising] = t[::-1]
            mean = max(s[top, c].mean(), precision(0.05))
            if chance > 0:
                scores[k, c] = -np.mean(np.abs(t - given) ** 3) / chance / np.sqrt(mean)
    return scores


def rank_reorder(images: Array, texts: Array, activations: Array, precision: Precision) -> Array:
    return rank_reorder_of(cosines(images, texts, precision), activations)


def cos_similarity(images: Array, texts: Array, activations: Array, precision: Precision) -> Array:
    s, a = cosines(images, texts, precision), activations.astype(precision)
    scores = np.zeros((a.shape[1], s.shape[1]), precision)
    for k in range(a.shape[1]):
        for c in range(s.shape[1]):
            lengths = np.sqrt((a[:, k] ** 2).sum()) * np.sqrt((s[:, c] ** 2).sum())
            if lengths > 0:
                scores[k, c] = (a[:, k] * s[:, c]).sum() / lengths
    return scores


def cos_similarity_cubed(images: Array, texts: Array, activations: Array, precision: Precision) -> Array:
    s, a = cosines(images, texts, precision), activations.astype(precision)
    u, v = (a - a.mean(axis=0)) ** 3, (s - s.mean(axis=0)) ** 3
    scores = np.zeros((a.shape[1], s.shape[1]), precision)
    for k in range(a.shape[1]):
        for c in range(s.shape[1]):
            lengths = [max(np.sqrt((x**2).sum()), precision(1e-3)) for x in (u[:, k], v[:, c])]
            scores[k, c] = (u[:, k] * v[:, c]).sum() / (lengths[0] * lengths[1])
    return scores


TWINS = {
    "soft_wpmi": soft_wpmi,
    "wpmi": wpmi,
    "rank_reorder": rank_reorder,
    "cos_similarity": cos_similarity,
    "cos_similarity_cubed": cos_similarity_cubed,
}
