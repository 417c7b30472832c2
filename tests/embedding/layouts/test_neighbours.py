"""Exact neighbours against a loop over all pairs; the approximate index against the exact."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.embedding.layouts import neighbours
from tests.support.directions import directions, families


def literal(vectors: np.ndarray, units: np.ndarray, k: int) -> list[list[float]]:
    """Cosine distances of the k nearest of other units, rising."""
    found = []
    for i, own in enumerate(vectors):
        far = [1 - float(own @ other) for j, other in enumerate(vectors) if units[j] != units[i]]
        found.append(sorted(far)[:k])
    return found


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_nearest_of_other_units(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    vectors, units = directions(90), np.random.default_rng(0).integers(25, size=90) * 3
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 4 * 90 * rows)
    indices, distances = neighbours.nearest_other_units(vectors, units, 6, seed=0)
    assert (indices[:, 0] == np.arange(90)).all()
    assert (distances[:, 0] == 0).all()
    assert (units[indices[:, 1:]] != units[:, None]).all()
    np.testing.assert_allclose(distances[:, 1:], literal(vectors, units, 6), atol=1e-6)
    own = np.einsum("pd,pkd->pk", vectors, vectors[indices])
    np.testing.assert_allclose(1 - own, distances, atol=1e-6)


def test_fewer_points_than_asked_for() -> None:
    vectors = directions(6)
    indices, _ = neighbours.nearest_other_units(vectors, np.array([0, 0, 0, 1, 2, 3]), 10, seed=0)
    assert indices.shape == (6, 4)
    indices, distances = neighbours.nearest_other_units(vectors, np.zeros(6, dtype=int), 10, seed=0)
    assert indices.tolist() == [[row] for row in range(6)]
    assert distances.shape == (6, 1)
    assert neighbours.nearest_other_units(vectors[:0], np.zeros(0, dtype=int), 3, seed=0)[0].shape == (0, 1)


def test_the_approximate_index_finds_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.vstack([families(10, 20, seed=seed) for seed in range(3)])
    units = np.repeat(np.arange(200), 3)
    wanted, _ = neighbours.nearest_other_units(vectors, units, 8, seed=0)
    monkeypatch.setattr(neighbours, "MAX_EXACT", 100)
    indices, distances = neighbours.nearest_other_units(vectors, units, 8, seed=0)
    assert indices.shape == wanted.shape
    assert (units[indices[:, 1:]] != units[:, None]).all()
    assert (np.diff(distances, axis=1) >= 0).all()
    kept = [len(set(a) & set(b)) / 9 for a, b in zip(wanted.tolist(), indices.tolist(), strict=True)]
    assert np.mean(kept) > 0.95


def test_the_nearest_among_given_points() -> None:
    queries, vectors = directions(8, seed=1), directions(30)
    indices, distances = neighbours.nearest(queries, vectors, 4)
    far = 1 - queries @ vectors.T
    np.testing.assert_array_equal(indices, far.argsort(axis=1)[:, :4])
    np.testing.assert_allclose(distances, np.sort(far, axis=1)[:, :4], atol=1e-6)
    assert neighbours.nearest(queries, vectors[:2], 4)[0].shape == (8, 2)
