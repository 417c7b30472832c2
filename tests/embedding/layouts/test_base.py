"""The plane's frame, and steps from epoch to epoch."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmon.embedding.layouts.base import Points, normalise_anchors, normalise_places
from tests.support.directions import rms


def test_scaling_centres_and_keeps_the_shape() -> None:
    points = np.random.default_rng(0).normal(5, 3, (20, 2))
    found = normalise_anchors(points)
    assert rms(found) == pytest.approx(1)
    np.testing.assert_allclose(found * rms(points) + points.mean(0), points)
    np.testing.assert_array_equal(normalise_anchors(np.array([[3.0, 4.0]])), [[0.0, 0.0]])


def test_the_anchors_are_the_frame_and_without_a_radius_the_points_are() -> None:
    random = np.random.default_rng(0)
    points, anchors = random.normal(size=(30, 2)), random.normal(3, 2, size=(7, 2))
    found = normalise_places(points, anchors)
    assert rms(found.anchors) == pytest.approx(1)
    np.testing.assert_allclose(found.anchors.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(found.points, (points - anchors.mean(0)) / rms(anchors))
    one = normalise_places(points, anchors[:1])
    np.testing.assert_array_equal(one.anchors, [[0, 0]])
    assert math.sqrt((one.points**2).sum(axis=1).mean()) == pytest.approx(1)
    assert np.isfinite(normalise_places(np.ones((3, 2)), np.ones((2, 2))).points).all()


def test_steps_join_a_unit_with_itself_at_the_next_epoch_at_which_it_is() -> None:
    points = Points(
        np.zeros((6, 1)), np.array([1, 0, 1, 0, 1, 2]), np.array([0.5, 2, 3, 0, 1, 0]), np.zeros(6, dtype=int)
    )
    before, after = points.steps()
    assert sorted(zip(before.tolist(), after.tolist(), strict=True)) == [(0, 4), (3, 1), (4, 2)]


def test_a_subset_is_given_by_numbers_or_by_a_mask() -> None:
    points = Points(np.arange(6.0)[:, None], np.arange(6), np.arange(6.0), np.arange(6))
    for rows in (np.array([1, 4]), np.arange(6) % 3 == 1):
        found = points.subset(rows)
        for values in (found.vectors.ravel(), found.units, found.epochs, found.groups):
            assert values.tolist() == [1, 4]
