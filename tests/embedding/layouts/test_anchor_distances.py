"""The wanted distance to the nearest anchor, and drawing against a loop over the units."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cmon.embedding.distances import nearest
from cmon.embedding.layouts.anchor_distances import (
    DRAWN,
    SHIFTED,
    TOLERANCE,
    AnchorDistances,
    draw_to_distance,
)
from cmon.embedding.layouts.anchored import fit_map
from cmon.embedding.layouts.base import Points
from tests.support.directions import apart, families

OTHERS = families(5, 4, seed=40)


def test_the_wanted_distance_rises_with_clips_and_is_that_of_anchored_on_the_whole(
    points: Points, anchors: np.ndarray
) -> None:
    concepts = fit_map(anchors, OTHERS, 0)
    start = concepts.place(points.vectors)
    wanted = AnchorDistances.of(points.vectors, start, concepts).wanted(points.vectors)
    clip = nearest(points.vectors, anchors)[1]
    assert (np.diff(wanted[np.argsort(clip)]) >= -1e-12).all()
    assert wanted.mean() == pytest.approx(nearest(start, concepts.anchors)[1].mean())


def literal(
    places: np.ndarray, anchors: np.ndarray, wanted: np.ndarray, groups: np.ndarray
) -> list[list[float]]:
    """Unit by unit."""
    distances, drawn = apart(places, anchors), []
    for row, want in zip(distances, wanted, strict=True):
        drawn.append(min(row) + DRAWN * (want - min(row)))
    found = []
    for place, row, want, group in zip(places, distances, wanted, groups, strict=True):
        own = [k for k in range(len(groups)) if groups[k] == group]
        lacking = sum(wanted[k] - drawn[k] for k in own) / sum(wanted[k] for k in own)
        distance = drawn[len(found)] + SHIFTED * lacking * want
        distance = min(max(distance, want * (1 - TOLERANCE)), want * (1 + TOLERANCE))
        anchor = anchors[row.argmin()]
        found.append((anchor + distance * (place - anchor) / min(row)).tolist())
    return found


def test_a_unit_is_drawn_alone_and_with_its_group() -> None:
    random = np.random.default_rng(0)
    places, anchors, groups = random.normal(size=(40, 2)), random.normal(size=(3, 2)), np.arange(40) % 4
    wanted = apart(places, anchors).min(axis=1) * random.uniform(0.85, 1.2, 40)
    found = draw_to_distance(places, anchors, wanted, groups)
    np.testing.assert_allclose(found, literal(places, anchors, wanted, groups), atol=1e-12)


def test_the_means_of_groups_come_to_what_they_should_be_and_units_keep_room() -> None:
    """Two groups whose means differ by less than their units scatter."""
    random = np.random.default_rng(0)
    anchors, groups = np.zeros((1, 2)), np.repeat([0, 1], 200)
    angle, wanted = random.uniform(0, 2 * math.pi, 400), np.where(groups == 0, 1.0, 1.01)
    noise = random.uniform(0.95, 1.05, 400)
    places = np.stack([np.cos(angle), np.sin(angle)], axis=1) * noise[:, None]
    for _ in range(4):
        places = draw_to_distance(places, anchors, wanted, groups)
    distance = np.linalg.norm(places, axis=1)
    means = [distance[groups == group].mean() for group in (0, 1)]
    np.testing.assert_allclose(means, [1, 1.01], atol=5e-4)
    assert distance[groups == 0].std() > 0.4 * noise[groups == 0].std()


def test_a_place_on_an_anchor_stays_and_one_that_should_be_there_goes_there() -> None:
    anchors = np.array([[0.0, 0.0], [10.0, 0.0]])
    found = draw_to_distance(
        np.array([[10.0, 0.0], [0.5, 0.0]]), anchors, np.array([1.0, 0.0]), np.array([0, 1])
    )
    np.testing.assert_allclose(found, [[10, 0], [0, 0]], atol=1e-12)
