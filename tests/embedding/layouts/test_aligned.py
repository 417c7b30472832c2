"""What is done about AlignedUMAP's traps. A single fit of it, since each compiles for many seconds."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.embedding.layouts.aligned import Aligned, _carry_vectors, _fill_gaps, procrustes
from cmon.embedding.layouts.base import Points
from tests.support.directions import families, rms, training


def test_units_missing_at_some_epochs_and_runs_of_different_lengths_have_places() -> None:
    anchors = families(4, 5)
    whole = training(anchors, units=40, epochs=3)
    gone = np.random.default_rng(0).uniform(size=len(whole.units)) < 0.15
    shorter = (whole.units >= 30) & (whole.epochs == 2)
    points = whole.subset(~(gone | shorter))
    found = Aligned().fit(points, anchors, np.empty((0, 24)), seed=0)
    assert found.points.shape == (len(points.units), 2)
    assert np.isfinite(found.points).all()
    assert rms(found.anchors) == pytest.approx(1)


def test_a_unit_keeps_its_last_vector_or_else_its_first() -> None:
    points = Points(
        np.arange(6.0)[:, None],
        np.array([7, 7, 7, 9, 4, 4]),
        np.array([0.0, 1.0, 4.0, 1.0, 0.0, 4.0]),
        np.zeros(6, dtype=int),
    )
    epochs, row, units = _carry_vectors(points)
    assert epochs.tolist() == [0, 1, 4]
    assert units.tolist() == [4, 7, 9]
    assert row.tolist() == [[4, 0, 3], [4, 1, 3], [5, 2, 3]]


def test_epochs_are_rotated_onto_each_other_by_the_anchors() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(20, 2))  # the last five are anchors
    slices = [first]
    for angle, mirror in ((0.5, 1), (2.0, -1)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [1, mirror]
        slices.append(first @ turn + random.normal(size=2))
    found = procrustes(slices, 15)
    for one in found:
        np.testing.assert_allclose(one, first - first[15:].mean(axis=0), atol=1e-9)


def test_points_without_a_place_get_that_of_their_nearest() -> None:
    vectors = families(2, 3)
    places = np.arange(12.0).reshape(6, 2)
    places[1] = np.nan
    found = _fill_gaps(places, vectors)
    nearest = max((0, 2, 3, 4, 5), key=lambda other: float(vectors[1] @ vectors[other]))
    np.testing.assert_array_equal(found[1], places[nearest])
    np.testing.assert_array_equal(found[2:], places[2:])
    assert not _fill_gaps(np.full((3, 2), np.nan), vectors[:3]).any()


def test_few_points_are_placed_by_principal_components() -> None:
    anchors = families()[:1]
    found = Aligned().fit(training(anchors, units=2, epochs=3, still=0), anchors, np.empty((0, 24)), seed=0)
    assert np.isfinite(found.points).all()
