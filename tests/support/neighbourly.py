"""What every layout with a UMAP in it promises of neighbours and of the frame."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.embedding.layouts.base import Places, Points
from cmon.embedding.trustworthiness import neighbours_kept
from tests.support.directions import rms


def assert_kept(points: Points, places: Places) -> None:
    """Of the last epoch, and of shuffled places as a control. points: of `directions.training`, with 4 epochs."""
    assert np.isfinite(places.points).all()
    assert rms(places.anchors) == pytest.approx(1)
    last = points.epochs == 3
    trust, continuity = neighbours_kept(points.vectors[last], places.points[last])
    assert min(trust, continuity) > 0.8
    shuffled = np.random.default_rng(0).permutation(places.points[last])
    assert max(neighbours_kept(points.vectors[last], shuffled)) < 0.6
