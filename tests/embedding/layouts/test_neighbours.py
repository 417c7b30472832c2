"""Exact neighbours against a loop over all pairs; the approximate index against the exact."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.embedding.layouts import neighbours
from tests.support.directions import directions, families


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_nearest_of_all_others(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    vectors = directions(90)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 4 * 90 * rows)
    indices, distances = neighbours.nearest_others(vectors, 6, seed=0)
    assert (indices[:, 0] == np.arange(90)).all()
    assert (distances[:, 0] == 0).all()
    assert (indices[:, 1:] != np.arange(90)[:, None]).all()
    wanted = [
        sorted(1 - float(own @ other) for j, other in enumerate(vectors) if j != i)[:6]
        for i, own in enumerate(vectors)
    ]
    np.testing.assert_allclose(distances[:, 1:], wanted, atol=1e-6)
    own = np.einsum("pd,pkd->pk", vectors, vectors[indices])
    np.testing.assert_allclose(1 - own, distances, atol=1e-6)


def test_fewer_points_than_asked_for() -> None:
    indices, distances = neighbours.nearest_others(directions(6), 10, seed=0)
    assert indices.shape == distances.shape == (6, 6)
    indices, distances = neighbours.nearest_others(directions(1), 10, seed=0)
    assert (indices.tolist(), distances.tolist()) == ([[0]], [[0.0]])


def test_the_approximate_index_finds_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.vstack([families(10, 20, seed=seed) for seed in range(3)])
    wanted, _ = neighbours.nearest_others(vectors, 8, seed=0)
    monkeypatch.setattr(neighbours, "MAX_EXACT", 100)
    indices, distances = neighbours.nearest_others(vectors, 8, seed=0)
    assert indices.shape == wanted.shape
    assert (indices[:, 1:] != np.arange(600)[:, None]).all()
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
