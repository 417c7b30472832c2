"""Links between a unit's rows, against looking each row up."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from cmon import trajectories
from cmon.workspace.keys import UNIT_KEYS
from tests.support import random_training


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_linked_as_by_looking_each_up(seed: int) -> None:
    units, _ = random_training.tables(seed, gone=0.3)
    units = units.sample(frac=1, random_state=seed, ignore_index=True)
    keys = list(units[UNIT_KEYS].itertuples(index=False, name=None))
    at = {key: index for index, key in enumerate(keys)}
    found = trajectories.links(units)
    for index, (run, layer, epoch, unit) in enumerate(keys):
        own = sorted(one[2] for one in keys if (one[0], one[1], one[3]) == (run, layer, unit))
        all_epochs = sorted({one[2] for one in keys if one[:2] == (run, layer)})
        earlier = [e for e in own if e < epoch]
        assert found.first[index] == at[run, layer, own[0], unit]
        assert found.last[index] == at[run, layer, own[-1], unit]
        assert found.previous[index] == (at[run, layer, earlier[-1], unit] if earlier else -1)
        adjacent = earlier and all_epochs.index(earlier[-1]) + 1 == all_epochs.index(epoch)
        assert found.adjacent[index] == (at[run, layer, earlier[-1], unit] if adjacent else -1)
    numbers = found.unit[found.order]
    assert (np.diff(np.flatnonzero(np.diff(numbers))) >= 1).all()
    assert len(np.unique(numbers)) == 1 + (np.diff(numbers) != 0).sum(), "a unit's rows are together"
    assert sorted(found.order) == list(range(len(keys)))


@pytest.mark.parametrize("width", [1, 2, 16])
def test_lengths_are_distances_and_sums_are_ways(width: int) -> None:
    units, _ = random_training.tables(0, units=400, gone=0.2)
    points = np.random.default_rng(0).normal(size=(len(units), width))
    way = trajectories.links(units)
    lengths = trajectories.lengths(points, way.previous)
    sums = trajectories.sums(lengths, way)
    for index in range(0, len(units), 7):
        before, total = way.previous[index], 0.0
        assert math.isnan(lengths[index]) == (before < 0)
        at = index
        while (back := way.previous[at]) >= 0:
            total += math.dist(points[at], points[back])
            at = back
        assert sums[index] == pytest.approx(total)
        if before >= 0:
            assert lengths[index] == pytest.approx(math.dist(points[index], points[before]))
    assert (sums[way.first == np.arange(len(units))] == 0).all(), (
        "exactly: rounding of others must not get in"
    )


def test_no_rows_have_no_links() -> None:
    nothing = trajectories.links(pd.DataFrame(columns=UNIT_KEYS).astype({"epoch": float}))
    for name in ("unit", "order", "previous", "first", "last", "adjacent"):
        assert len(getattr(nothing, name)) == 0
    assert len(trajectories.sums(trajectories.lengths(np.empty((0, 2)), nothing.previous), nothing)) == 0
