"""The principal plane, against scikit-learn's, other planes, and vectors that span none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.decomposition import PCA

from cmon.embedding.layouts.base import Fitted, Points
from cmon.embedding.layouts.pca import Pca, PrincipalPlane
from tests.support.directions import directions, families, rms, training


def test_the_principal_plane_keeps_more_variance_than_any_other() -> None:
    vectors = directions(50, 6) * np.array([5, 3, 1, 1, 1, 1])
    plane = PrincipalPlane.of(vectors)
    np.testing.assert_allclose(plane.axes.T @ plane.axes, np.eye(2), atol=1e-12)
    kept = plane.project(vectors).var(axis=0).sum()
    for seed in range(20):
        other, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 2)))
        assert (vectors @ other).var(axis=0).sum() < kept
    sklearn = PCA(2).fit(vectors)
    np.testing.assert_allclose(np.abs(plane.axes.T @ sklearn.components_.T), np.eye(2), atol=1e-9)
    values = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)
    np.testing.assert_allclose(kept * 50, (values[:2] ** 2).sum())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_points_that_span_no_plane_have_places(count: int) -> None:
    vectors = directions(count)
    found = PrincipalPlane.of(vectors).project(vectors)
    assert found.shape == (count, 2)
    for i in range(count):
        for j in range(i):
            assert math.dist(found[i], found[j]) == pytest.approx(math.dist(vectors[i], vectors[j]))


def test_a_place_is_a_function_of_the_vector_and_of_what_was_fitted_alone() -> None:
    anchors, none = families(), np.empty((0, 24))
    points = training(anchors)
    whole = Pca().fit(points, anchors, none, 0)
    assert rms(whole.anchors) == pytest.approx(1)
    old = points.epochs < 3
    part = Pca().fit(points.subset(old), anchors, none, 0)
    everywhere = Points(points.vectors, points.units, points.epochs + 9, points.groups)
    fitted = Fitted(points.subset(old), anchors, part, np.ones(old.sum(), dtype=bool))
    later = Pca().place(everywhere, fitted, none, 0)
    np.testing.assert_allclose(later[old], part.points, atol=1e-9)
    at_anchors = Points(
        anchors, np.arange(len(anchors)), np.full(len(anchors), 9.0), np.zeros(len(anchors), dtype=int)
    )
    np.testing.assert_allclose(Pca().place(at_anchors, fitted, none, 0), part.anchors, atol=1e-9)
    # what was placed later has no part in the plane
    grown = Fitted(points, anchors, whole, old)
    np.testing.assert_allclose(Pca().place(everywhere, grown, none, 0), later, atol=1e-9)
    still = points.units < 15
    np.testing.assert_allclose(later[still & ~old], part.points[:15], atol=1e-9)
    assert np.abs(whole.points[old] - part.points).max() > 1e-3
