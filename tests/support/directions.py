"""Unit vectors for tests of layouts: in random directions, in families, in a cone; and small trainings."""

from __future__ import annotations

import math

import numpy as np

from cmon.embedding.layouts.base import Points

WIDTH = 24


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def directions(count: int, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, width)))


def families(families: int = 6, members: int = 7, seed: int = 0) -> np.ndarray:
    """In families, as colours, animals and vehicles are: near within, far between."""
    random = np.random.default_rng(seed)
    centres = directions(families, seed=seed + 1)
    return unit(np.repeat(centres, members, axis=0) + 0.15 * random.normal(size=(families * members, WIDTH)))


def in_a_cone(vectors: np.ndarray, cosine: float) -> np.ndarray:
    """Unit vectors that share a direction, so that orthogonal ones have the given cosine, as a large CLIP's."""
    shared = np.full((len(vectors), 1), math.sqrt(cosine))
    return np.hstack([vectors * math.sqrt(1 - cosine), shared])


def training(anchors: np.ndarray, units: int = 60, epochs: int = 4, still: int = 15, seed: int = 0) -> Points:
    """Units that drift from the anchors' centroid to one of them; the first `still` stand still, to the last bit."""
    random = np.random.default_rng(seed)
    goal = random.integers(len(anchors), size=units)
    speed = random.uniform(0.3, 1, units)
    speed[:still] = 0
    own = 0.3 * directions(units, anchors.shape[1], seed + 1)
    reached = [(speed * epoch / max(1, epochs - 1))[:, None] for epoch in range(epochs)]
    vectors = [unit((1 - part) * anchors.mean(axis=0) + part * anchors[goal] + own) for part in reached]
    return Points(
        np.concatenate(vectors),
        np.tile(np.arange(units), epochs),
        np.repeat(np.arange(epochs, dtype=float), units),
        np.zeros(units * epochs, dtype=int),
    )


def apart(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """All distances, one by one."""
    return np.array([[math.dist(point, target) for target in targets] for point in points])


def neighbours(points: np.ndarray, count: int) -> list[set[int]]:
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(squares, np.inf)
    return [set(row[:count].tolist()) for row in squares.argsort(axis=1)]


def rms(points: np.ndarray) -> float:
    return math.sqrt(((points - points.mean(0)) ** 2).sum(1).mean())
