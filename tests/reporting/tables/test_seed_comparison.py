import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import t, ttest_ind

from cmon.reporting.tables.seed_comparison import SEED_COMPARISON, compared_categories, seed_comparison
from cmon.reporting.tables.seeds import last_shared
from tests.support.seeded import drawn, drawn_often, measured

NONE = float("nan")
ENDS = ["difference", "difference_low", "difference_high"]


def welch(one: list[float], other: list[float], confidence: float) -> tuple[float, float, float]:
    """The difference and its interval, from Welch's definition."""
    means = [sum(values) / len(values) for values in (one, other)]
    parts = [
        sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)
        for values, mean in zip((one, other), means, strict=True)
    ]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (one, other), strict=True)
    )
    half = t.ppf((1 + confidence) / 2, freedom) * math.sqrt(sum(parts))
    difference = means[1] - means[0]
    return difference, difference - half, difference + half


def only(table: pd.DataFrame, epoch: float = 1, measure: str = "d_anchor") -> pd.Series:
    (found,) = table[(table["epoch"] == epoch) & (table["measure"] == measure)].index
    return table.loc[found]


def test_numbers_are_those_of_the_literal_twin_and_of_scipy():
    random = np.random.default_rng(0)
    for confidence in (0.95, 0.8):
        one, other = random.normal(0.3, 0.02, 3).tolist(), random.normal(0.5, 0.2, 4).tolist()
        values = {f"a@{at}": {1: value} for at, value in enumerate(one)}
        values |= {f"b@{at}": {1: value} for at, value in enumerate(other)} | {"c": {1: 7.0}, "d@1": {1: 7.0}}
        found = seed_comparison(measured(values), confidence)
        row = only(found)
        assert (row["reference"], row["recipe"], row["n_reference"], row["n_recipe"]) == ("a", "b", 3, 4)
        assert tuple(row[ENDS]) == pytest.approx(welch(one, other, confidence))
        assert row["p_value"] == pytest.approx(ttest_ind(one, other, equal_var=False).pvalue)
        assert set(found["recipe"]) == {"b"}, "what stands alone is not compared over seeds"


def test_missing_values_are_left_out_of_their_own_row():
    values = {"a@1": {0: 0.1, 1: 0.2}, "a@2": {0: 0.3, 1: NONE}, "a@3": {0: 0.25, 1: 0.4}}
    values |= {"b@1": {0: 0.5, 1: NONE}, "b@2": {1: NONE, 0: 0.9}, "b@3": {1: 0.7}}
    found = seed_comparison(measured(values), 0.95)
    row = only(found, 0)
    assert (row["n_reference"], row["n_recipe"]) == (3, 2)
    assert tuple(row[ENDS]) == pytest.approx(welch([0.1, 0.3, 0.25], [0.5, 0.9], 0.95))
    alone = only(found, 1)
    assert (alone["n_reference"], alone["n_recipe"], alone["difference"]) == (2, 1, pytest.approx(0.4))
    assert alone[[*ENDS[1:], "p_value"]].isna().all()


def test_a_planted_difference_is_found_and_chance_is_not():
    differs = only(seed_comparison(drawn(0, {"falls": -0.9, "stays": 0.0}), 0.95))
    assert differs["difference_low"] > 0
    assert differs["p_value"] < 0.05
    found = seed_comparison(drawn_often(600, {"a": 0.0, "b": 0.0}), 0.9)
    found = found[found["epoch"] == 1]
    covers = (found["difference_low"] < 0) & (found["difference_high"] > 0)
    assert (len(found), covers.mean()) == (600, pytest.approx(0.9, abs=0.035))


def test_runs_are_not_paired():
    """The same runs in another order are the same comparison."""
    values = {"a@1": 0.1, "a@2": 0.5, "b@1": 0.2, "b@2": 0.61}
    swapped = {**values, "b@1": 0.61, "b@2": 0.2}
    first, second = (
        only(seed_comparison(measured({run: {1: value} for run, value in one.items()}), 0.95))
        for one in (values, swapped)
    )
    assert tuple(first[ENDS]) == pytest.approx(tuple(second[ENDS]))


def test_runs_that_do_not_differ_among_themselves_leave_no_width():
    values = {
        "a@1": {1: 0.1},
        "a@2": {1: 0.1},
        "a@3": {1: 0.1},
        "b@1": {1: 0.1},
        "b@2": {1: 0.1},
        "c@1": {1: 0.4},
    }
    found = seed_comparison(measured(values | {"c@2": {1: 0.4}}), 0.95)
    rows = {
        (row["reference"], row["recipe"]): row
        for row in found[found["measure"] == "d_anchor"].to_dict("records")
    }
    assert [rows["a", "b"][name] for name in [*ENDS, "p_value"]] == [0, 0, 0, 1]
    assert [rows["a", "c"][name] for name in [*ENDS, "p_value"]] == pytest.approx([0.3, 0.3, 0.3, 0])


def test_pairs_come_in_the_order_of_runs_and_only_where_both_have_the_layer_and_epoch():
    values = {f"{recipe}@{run}": {0: run, 1: run} for recipe in "zab" for run in (1, 2)}
    table = measured(values, layer="late")
    early = measured({run: {0: 1, 2: 1} for run in ("z@1", "z@2", "b@1", "b@2")}, layer="early")
    elsewhere = measured({run: {3: 1} for run in ("a@1", "a@2")}, layer="early")
    found = seed_comparison(pd.concat([table, early, elsewhere]), 0.95)
    found = found[found["measure"] == "d_anchor"]
    assert list(found[["reference", "recipe", "layer", "epoch"]].itertuples(index=False, name=None)) == [
        *[("z", "a", "late", epoch) for epoch in (0, 1)],
        *[("z", "b", "late", epoch) for epoch in (0, 1)],
        *[("z", "b", "early", epoch) for epoch in (0, 2)],
        *[("a", "b", "late", epoch) for epoch in (0, 1)],
    ]
    assert len(last_shared(seed_comparison(table, 0.95))) == 3 * 2
    assert pa.Table.from_pandas(found, schema=SEED_COMPARISON, preserve_index=False).num_rows == 8


def test_one_recipe_has_nothing_to_be_compared_with():
    found = seed_comparison(measured({"a@1": {0: 1}, "a@2": {0: 2}, "b": {0: 3}}), 0.95)
    assert list(found.columns) == SEED_COMPARISON.names
    assert pa.Table.from_pandas(found, schema=SEED_COMPARISON, preserve_index=False).num_rows == 0
    assert last_shared(found).empty


def test_categories_that_differ_are_those_that_the_false_discovery_rate_lets_pass():
    p_values = {
        "category: a": 0.01,
        "category: b": 0.02,
        "category: c": 0.04,
        "category: d": 0.9,
        "spread": 1e-9,
    }
    rows = [
        {"reference": "x", "recipe": "y", "layer": "l", "epoch": epoch, "measure": measure, "p_value": p}
        for measure, p in p_values.items()
        for epoch in (1.0, 2.0)
    ]
    rows += [
        {
            "reference": "x",
            "recipe": "z",
            "layer": "l",
            "epoch": 1.0,
            "measure": "category: a",
            "p_value": NONE,
        },
        {
            "reference": "y",
            "recipe": "z",
            "layer": "l",
            "epoch": 1.0,
            "measure": "category: a",
            "p_value": 1e-9,
        },
    ]
    found = compared_categories(pd.DataFrame(rows), "x", 1.0)
    # Of 4 rows, p <= rate k / 4: 0.01 <= 0.0125, 0.02 <= 0.025, 0.04 > 0.0375
    assert dict(zip(found["name"], found["differs"], strict=True)) == {
        "a": True, "b": True, "c": False, "d": False
    }  # fmt: skip
    none = compared_categories(pd.DataFrame(columns=SEED_COMPARISON.names), "x", 1.0)
    assert none.empty
