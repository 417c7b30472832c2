"""How well d_anchor_clip tells trained units from untrained, for each way of weighting a unit's vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from cmon.embedding.distances import nearest
from cmon.scoring.labelling import Labels
from cmon.scoring.priors import PRIORS
from scripts.validation.ground import SOFT, Ground, labelled
from scripts.validation.tables import Tables

Weights = Callable[[np.ndarray], np.ndarray]


def _softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores - scores.max(axis=1, keepdims=True))


def _positive(scores: np.ndarray) -> np.ndarray:
    """The scores above 0; where none is, all alike."""
    weights = np.maximum(scores, 0)
    return np.where(weights.sum(axis=1, keepdims=True) > 0, weights, 1.0)


WAYS: dict[str, tuple[int, Weights]] = {
    "softmax, top 10": (10, _softmax),
    "softmax, top 50": (50, _softmax),
    "top concept alone": (1, np.ones_like),
    "equal, top 10": (10, np.ones_like),
    "positive part, top 10": (10, _positive),
    "positive part, top 50": (50, _positive),
}


def distances(labels: Labels, texts: np.ndarray, anchors: np.ndarray, way: str) -> np.ndarray:
    """(K,) distance of every unit's vector to the nearest anchor; the mean is d_anchor_clip."""
    kept, weigh = WAYS[way]
    weights = weigh(labels.scores[:, :kept].double().numpy())
    vectors = np.einsum("kr,krd->kd", weights, texts[labels.concepts[:, :kept].numpy()])
    return nearest(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), anchors)[1]


def d_prime(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """How far the mean falls, over the root mean variance of the two; and its standard error (Hedges & Olkin 1985)."""
    value = (before.mean() - after.mean()) / math.sqrt((before.var(ddof=1) + after.var(ddof=1)) / 2)
    counts = len(before), len(after)
    return float(value), math.sqrt(sum(counts) / math.prod(counts) + value**2 / (2 * sum(counts)))


def tell(
    tables: Tables,
    ground: Ground,
    anchors: Sequence[str],
    networks: Sequence[tuple[str, str]],
    seed: int,
) -> None:
    """A row for each prior and way. networks: (run, layer), whose first epoch is compared with the last."""
    at = [ground.names.index(name) for name in anchors if name in ground.names]
    texts = ground.texts.double().numpy()
    units = np.tile(at, 5)
    noise = ground.planted(np.zeros((len(ground.present), len(units))), 1, seed)
    pairs = {
        f"planted, noise {level:g}": (noise, ground.planted(ground.present[:, units], level, seed + 1))
        for level in (0.5, 1)
    }
    for run, layer in networks:
        epochs = ground.epochs(run)[layer]
        first, last = (ground.activations(run, layer, epoch) for epoch in (epochs[0], epochs[-1]))
        pairs[f"{run} {layer}"] = first, last
    rows = []
    for prior in PRIORS:
        found = {
            name: [labelled(ground, SOFT, prior, [some])[0] for some in pair] for name, pair in pairs.items()
        }
        for way in WAYS:
            cells = []
            for name, pair in found.items():
                before, after = (distances(labels, texts, texts[at], way) for labels in pair)
                value, error = d_prime(before, after)
                of = {"units": name, "prior": prior, "weights": way}
                tables.number("d-prime", value, value - 1.96 * error, value + 1.96 * error, **of)
                cells.append(f"{value:.1f} ({before.mean():.2f} to {after.mean():.2f})")
            rows.append([prior, way, *cells])
    tables.table(["prior", "weights", *pairs], rows)
