"""A training to lay out, for tests that do not need one of their own."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.embedding.layouts.base import Points
from tests.support.directions import families, training


@pytest.fixture(scope="module")
def anchors() -> np.ndarray:
    return families()


@pytest.fixture(scope="module")
def points(anchors: np.ndarray) -> Points:
    whole = training(anchors, units=80)
    return whole.subset(np.random.default_rng(0).uniform(size=len(whole.units)) > 0.1)  # some are missing
