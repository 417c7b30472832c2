"""The comparison of runs: differences against d_anchor's table, intervals against theory and plain resampling."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cmon.reporting.tables import comparison, d_anchor
from tests.support import random_training
from tests.support.random_training import places, planted

GROUP = ["run", "layer", "epoch"]
KINDS = (("", "distance"), ("_clip", "distance_clip"))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_comparison_is_the_difference_of_the_tables(seed: int, paired: bool) -> None:
    epochs = {"c": (0.0, 1.0, 2.5), "a": (0.0, 2.5, 3.0), "b": (1.0, 2.5)}
    units, layout = random_training.tables(seed, epochs)
    layout = places(layout)
    table = d_anchor.d_anchor(units, layout, 0, 0.95, resamples=20).set_index(GROUP)
    found = comparison.comparison(units, layout, 0, 0.95, paired, resamples=400)
    assert list(found.columns) == comparison.COMPARISON.names
    pa.Table.from_pandas(found, schema=comparison.COMPARISON, preserve_index=False)
    layers = units["layer"].unique()
    shared = {("c", "a"): (0.0, 2.5), ("c", "b"): (1.0, 2.5), ("a", "b"): (2.5,)}
    wanted = [(*pair, layer, epoch) for pair, own in shared.items() for layer in layers for epoch in own]
    assert list(found[["reference", *GROUP]].itertuples(index=False, name=None)) == wanted
    assert (found["paired"] == paired).all()
    live = {key: own for key, own in layout[layout["status"] == "ok"].groupby(GROUP)}
    for row in found.to_dict("records"):
        one, other = ((row[name], row["layer"], row["epoch"]) for name in ("reference", "run"))
        assert (row["n_reference"], row["n_run"]) == (len(live[one]), len(live[other]))
        for suffix, column in KINDS:
            gap = table.loc[other, f"d_anchor{suffix}"] - table.loc[one, f"d_anchor{suffix}"]
            assert row[f"difference{suffix}"] == pytest.approx(gap)
            assert row[f"difference{suffix}_low"] < gap < row[f"difference{suffix}_high"]
            deviations = [live[key][column].std() for key in (one, other)]
            size = math.sqrt((deviations[0] ** 2 + deviations[1] ** 2) / 2)
            assert row[f"d_prime{suffix}"] == pytest.approx(gap / size)


def test_pairing_takes_out_what_the_units_share() -> None:
    """Unit k has the same large value in both runs, plus a small one of its own: pairs see the small one alone."""
    random = np.random.default_rng(0)
    shared = 10 + 3 * random.normal(size=600)
    own = [0.1 * random.normal(size=600) for _ in range(2)]
    tables = planted({"a": {0.0: shared + own[0]}, "b": {0.0: shared + own[1] + 0.05}})
    apart, pairs = (comparison.comparison(*tables, 0, 0.95, paired).iloc[0] for paired in (False, True))
    for row, deviation in ((apart, math.sqrt(2) * 3), (pairs, math.sqrt(2) * 0.1)):
        width = 2 * 1.96 * deviation / math.sqrt(600)
        assert row["difference_high"] - row["difference_low"] == pytest.approx(width, rel=0.1)
    assert apart["difference_low"] < 0 < pairs["difference_low"]
    assert apart["d_prime"] == pairs["d_prime"]


def test_runs_on_their_own_are_drawn_independently_though_their_sizes_are_equal() -> None:
    """The same values in both runs: drawn together the difference would always be 0."""
    values = np.random.default_rng(0).exponential(size=500)
    row = comparison.comparison(*planted({"a": {0.0: values}, "b": {0.0: values}}), 0, 0.95, False).iloc[0]
    width = 2 * 1.96 * math.sqrt(2) * values.std() / math.sqrt(500)
    assert row["difference_high"] - row["difference_low"] == pytest.approx(width, rel=0.05)
    assert row["difference"] == 0


def test_paired_intervals_with_dead_units_are_those_of_plain_resampling() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(5, 1, 60), random.normal(5, 1, 60)
    b[:20] += a[:20]
    a[[3, 7, 30]], b[[7, 8, 50, 51]] = np.nan, np.nan
    row = comparison.comparison(*planted({"a": {0.0: a}, "b": {0.0: b}}), 0, 0.9, True).iloc[0]
    plain = []
    for _ in range(10_000):
        drawn = random.integers(60, size=60)
        plain.append(np.nanmean(b[drawn]) - np.nanmean(a[drawn]))
    low, high = np.quantile(plain, [0.05, 0.95])
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((low, high), abs=0.03)


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_of_no_difference_holds_0_as_often_as_promised(paired: bool) -> None:
    random = np.random.default_rng(0)
    epochs = {run: {float(epoch): random.exponential(size=60) for epoch in range(300)} for run in "ab"}
    found = comparison.comparison(*planted(epochs), 0, 0.9, paired, resamples=400)
    held = (found["difference_low"] <= 0) & (found["difference_high"] >= 0)
    assert 0.83 < held.mean() < 0.95  # 0.9; three standard errors are 0.05


def test_which_runs_started_alike_is_seen_at_their_first_epoch() -> None:
    random = np.random.default_rng(0)
    units, layout = planted(
        {run: {0.0: random.uniform(size=200), 1.0: random.uniform(size=200)} for run in "abc"}
    )
    start = units["epoch"] == 0
    units.loc[start & (units["run"] != "c"), "label"] = "same"
    assert comparison.same_start(units, "a", "b")
    assert not comparison.same_start(units, "a", "c")
    found = comparison.comparison(units, layout, 0, 0.95, resamples=20)
    pairs = found.groupby(["reference", "run"])["paired"].all()
    assert pairs.to_dict() == {("a", "b"): True, ("a", "c"): False, ("b", "c"): False}
    # Mixed pairs give what each gives alone.
    for paired in (True, False):
        alone = comparison.comparison(units, layout, 0, 0.95, paired, resamples=20)
        both = found[found["paired"] == paired]
        pd.testing.assert_frame_equal(alone.loc[both.index], both)
    changed = units.copy()
    changed.loc[start & (units["run"] == "b") & (units["unit"] < 3), "label"] = "other"
    assert not comparison.same_start(changed, "a", "b"), "three of 200 are more than one in a hundred"
    changed = units[~(start & (units["run"] == "b"))]
    assert not comparison.same_start(changed, "a", "b"), "its first epoch is another one"
    changed = units.assign(layer=units["layer"].where(units["run"] != "b", "m"))
    assert not comparison.same_start(changed, "a", "b"), "no layer in common"


def test_one_run_alone_has_nothing_to_compare_and_a_dead_layer_no_difference() -> None:
    alone = comparison.comparison(*planted({"a": {0.0: np.ones(5)}}), 0, 0.95)
    assert alone.empty
    assert list(alone.columns) == comparison.COMPARISON.names
    pa.Table.from_pandas(alone, schema=comparison.COMPARISON, preserve_index=False)
    for paired in (True, False):
        tables = planted({"a": {0.0: np.full(5, np.nan)}, "b": {0.0: np.arange(5.0)}})
        row = comparison.comparison(*tables, 0, 0.95, paired, resamples=10).iloc[0]
        assert row[["difference", "difference_low", "difference_high", "d_prime"]].isna().all()
        assert (row["n_reference"], row["n_run"]) == (0, 5)
    one_unit = comparison.comparison(
        *planted({"a": {0.0: np.ones(1)}, "b": {0.0: np.zeros(1)}}), 0, 0.95, False
    )
    assert one_unit[["difference", "difference_low", "difference_high"]].iloc[0].tolist() == [-1, -1, -1]
    assert one_unit["d_prime"].isna().all()


def test_cells_in_parts_are_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    units, layout = random_training.tables(0, dead=0.3)
    for paired in (True, False):
        whole = comparison.comparison(units, places(layout), 0, 0.95, paired, resamples=30)
        with monkeypatch.context() as patch:
            patch.setattr(comparison, "_AT_ONCE", 2)
            parts = comparison.comparison(units, places(layout), 0, 0.95, paired, resamples=30)
        pd.testing.assert_frame_equal(parts, whole)
