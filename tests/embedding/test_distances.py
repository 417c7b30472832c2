"""Against trying all, and where nothing is far or near."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmon.embedding.distances import nearest


@pytest.mark.parametrize("width", [1, 2, 3, 16])
def test_the_nearest_anchor_is_found_by_trying_all(width: int) -> None:
    random = np.random.default_rng(width)
    points, anchors = random.normal(size=(40, width)), random.normal(size=(7, width))
    index, distance = nearest(points, anchors)
    for k, point in enumerate(points):
        every = [math.dist(point, anchor) for anchor in anchors]
        assert index[k] == every.index(min(every))
        assert distance[k] == pytest.approx(min(every), abs=1e-9)


@pytest.mark.parametrize("width", [2, 32])
def test_more_points_than_a_block_are_all_answered(width: int) -> None:
    random = np.random.default_rng(0)
    points, anchors = random.normal(size=(9000, width)), random.normal(size=(5, width))
    index, distance = nearest(points, anchors)
    for k in (0, 4095, 4096, 8191, 8192, 8999):
        assert distance[k] == pytest.approx(min(math.dist(points[k], anchor) for anchor in anchors))
        assert distance[k] == pytest.approx(math.dist(points[k], anchors[index[k]]))


@pytest.mark.parametrize("width", [2, 512])
def test_a_point_on_an_anchor_is_at_no_distance(width: int) -> None:
    anchors = np.random.default_rng(0).normal(size=(4, width))
    anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
    index, distance = nearest(anchors, anchors)
    assert index.tolist() == [0, 1, 2, 3]
    assert distance.max() < 1e-7


def test_of_equally_near_anchors_the_first_is_named() -> None:
    index, distance = nearest(np.zeros((1, 2)), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    assert (index.tolist(), distance.tolist()) == ([0], [1.0])


def test_no_points_have_no_distances() -> None:
    index, distance = nearest(np.empty((0, 2)), np.zeros((1, 2)))
    assert (len(index), len(distance)) == (0, 0)
