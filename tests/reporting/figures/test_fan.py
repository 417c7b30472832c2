"""Beside their places, but not by chance: the same unit always by the same."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cmon.reporting.figures import fan


def offsets(units: pd.DataFrame, reach: float) -> np.ndarray:
    return fan.offsets(units["layer"].to_numpy(dtype=str), units["unit"].to_numpy(), reach)


def units(*layers: tuple[str, int]) -> pd.DataFrame:
    rows = [(layer, unit) for layer, count in layers for unit in range(count)]
    return pd.DataFrame(rows, columns=["layer", "unit"])


def test_a_unit_is_drawn_beside_its_place_by_the_same_in_all_runs_and_epochs() -> None:
    one = units(("a", 40), ("b", 9))
    twice = pd.concat([one.sample(frac=1, random_state=0), one], ignore_index=True)
    found = offsets(twice, 0.05)
    first = pd.DataFrame(found[:49]).set_index(pd.MultiIndex.from_frame(twice[:49])).sort_index()
    second = pd.DataFrame(found[49:]).set_index(pd.MultiIndex.from_frame(twice[49:])).sort_index()
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize("layers", [(("a", 512),), (("a", 128), ("b", 256), ("c", 512)), (("a", 1),)])
def test_nobody_is_drawn_farther_off_than_the_reach_nor_upon_another(
    layers: tuple[tuple[str, int], ...],
) -> None:
    found = offsets(units(*layers), 0.05)
    assert np.linalg.norm(found, axis=1).max() <= 0.05
    assert len(np.unique(found.round(6), axis=0)) == sum(count for _, count in layers)


def test_any_units_of_a_layer_fill_the_disc() -> None:
    """512 of them and 20 of them: about their place in the mean, and as far from it as points of a disc are."""
    whole = offsets(units(("a", 512)), 1.0)
    some = whole[np.random.default_rng(0).choice(512, 20, replace=False)]
    for found, close in ((whole, 0.01), (some, 0.25)):
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=close)
        assert (found**2).sum(axis=1).mean() == pytest.approx(0.5, abs=close)  # of a disc of radius 1


def test_the_reach_is_less_where_anchors_are_crowded() -> None:
    line = np.stack([np.arange(5), np.zeros(5)], axis=1)
    assert fan.reach(line) == fan.REACH
    assert fan.reach(0.06 * line) == pytest.approx(0.03)
    assert fan.reach(line[:1]) == fan.reach(line[:1].repeat(3, axis=0)) == fan.REACH
    assert math.isfinite(fan.reach(np.empty((0, 2))))
