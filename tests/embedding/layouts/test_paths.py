"""Smoothing against the normal equations, carrying against a loop."""

from __future__ import annotations

import numpy as np

from cmon.embedding.layouts.base import Points
from cmon.embedding.layouts.paths import PathSmoother, carry_along_paths


def some_points() -> Points:
    """Two paths, of three points and of two, and a point alone; not in their order."""
    random = np.random.default_rng(0)
    units, epochs = np.array([1, 0, 2, 0, 1, 0]), np.array([5.0, 2, 0, 0, 0, 1])
    return Points(random.normal(size=(6, 3)), units, epochs, np.zeros(6, dtype=int))


PAIRS = [(3, 5), (5, 1), (4, 0)]


def test_smoothing_minimises_what_it_says() -> None:
    """Written out for each point; those that are held stay, and pull the others."""
    points, given = some_points(), np.random.default_rng(1).normal(size=(6, 2))
    for held in ([], [5], [3, 0], range(6)):
        kept = np.isin(np.arange(6), list(held))
        found = PathSmoother.of(points, 0.7, 2.0, kept).smooth(given)
        np.testing.assert_array_equal(found[kept], given[kept])
        weights = [2 * (0.7 / np.linalg.norm(points.vectors[a] - points.vectors[b])) ** 4 for a, b in PAIRS]
        for k in np.flatnonzero(~kept):
            force = found[k] - given[k]
            for (a, b), weight in zip(PAIRS, weights, strict=True):
                force = force + weight * (found[k] - found[b]) * (k == a)
                force = force + weight * (found[k] - found[a]) * (k == b)
            np.testing.assert_allclose(force, 0, atol=1e-9)


def test_a_point_alone_stays() -> None:
    for count in (0, 1):
        points = some_points().subset(np.arange(count))
        given = np.ones((count, 2))
        found = PathSmoother.of(points, 1.0, 1.0, np.zeros(count, dtype=bool)).smooth(given)
        np.testing.assert_array_equal(found, given)


def test_what_stands_still_gets_equal_values() -> None:
    points = Points(np.ones((3, 2)), np.zeros(3), np.arange(3.0), np.zeros(3, dtype=int))
    found = PathSmoother.of(points, 1.0, 1e-3, np.zeros(3, dtype=bool)).smooth(np.arange(6.0).reshape(3, 2))
    np.testing.assert_allclose(found, [[2, 3]] * 3, atol=1e-6)


def test_values_are_carried_from_the_epoch_before_else_from_the_one_after() -> None:
    points, values = some_points(), np.arange(12.0).reshape(6, 2)
    known = np.array([False, False, False, False, True, True])
    found = carry_along_paths(values, points, known)
    np.testing.assert_array_equal(
        found, values[[4, 5, 2, 5, 4, 5]] * np.array([[1], [1], [0], [1], [1], [1]])
    )
    assert carry_along_paths(values[:0], points.subset(known & ~known), known[:0]).shape == (0, 2)
