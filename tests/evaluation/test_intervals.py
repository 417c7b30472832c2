"""Wilson's interval against the test that it inverts."""

from __future__ import annotations

import numpy as np
import pytest

from cmon.evaluation.intervals import wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (50, 200), (1, 1)])
def test_wilsons_bounds_are_the_shares_that_a_test_of_the_score_just_accepts(
    successes: int, trials: int
) -> None:
    """The definition: the shares p at which |successes / trials - p| is 1.96 standard errors of p itself."""
    for bound in wilson(successes, trials):
        assert 0 <= bound <= 1
        if 1e-12 < bound < 1 - 1e-12:
            error = np.sqrt(bound * (1 - bound) / trials)
            assert abs(successes / trials - bound) == pytest.approx(1.959964 * error, rel=1e-6)
    low, high = wilson(successes, trials)
    assert low <= successes / trials <= high
    assert np.isnan(wilson(0, 0)).all()
