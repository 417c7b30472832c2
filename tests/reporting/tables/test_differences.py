import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from cmon.reporting.tables import differences
from cmon.reporting.tables.differences import Side


def population(labels: dict[tuple[str, str, float], list[str]]) -> pd.DataFrame:
    """One unit per label of (run, layer, epoch); '-' for a unit that is not interpretable, '' for a dead one."""
    return pd.DataFrame(
        [
            {"run": run, "layer": layer, "epoch": epoch, "unit": unit, "status": "ok" if label else "dead",
             "label": label.strip("-") or None, "interpretable": label not in ("", "-"),
             "category": {"dog": "object", "cat": "object", "red": "color"}.get(label)}
            for (run, layer, epoch), names in labels.items()
            for unit, label in enumerate(names)
        ]
    )  # fmt: skip


def fisher(a: int, n: int, b: int, m: int) -> float:
    """Two-sided p of Fisher's exact test, from its definition: all tables of these margins no likelier."""
    total = a + b

    def probability(x: int) -> float:
        return math.comb(n, x) * math.comb(m, total - x) / math.comb(n + m, total)

    tables = [probability(x) for x in range(max(0, total - m), min(n, total) + 1)]
    return sum(p for p in tables if p <= probability(a) * (1 + 1e-7))


LABELS = {
    ("a", "l", 0.0): ["red"] * 4,
    ("a", "l", 1.0): ["dog"] * 9 + ["cat"] * 2 + ["red"] + ["-"] * 2 + [""],
    ("b", "l", 1.0): ["dog"] * 1 + ["cat"] * 3 + ["red"] * 5 + ["-"] + ["tree"],
    ("b", "l", 2.0): ["dog"] * 4,
}


def test_rows_are_those_of_the_literal_twin():
    table = differences.concept_differences(population(LABELS))
    assert set(table["run"]) == {"b"}
    assert set(table["other_run"]) == {"a"}
    assert set(table["epoch"]) == set(table["other_epoch"]) == {1.0}  # the last that both have
    found = {row["name"]: row for row in table.to_dict("records")}
    wanted = {  # name: kind, units in b of 11, units in a of 15
        "interpretable": ("all", 10, 12),
        "object": ("category", 4, 11),
        "color": ("category", 5, 1),
        "no category": ("category", 1, 0),
        "dog": ("concept", 1, 9),
        "cat": ("concept", 3, 2),
        "red": ("concept", 5, 1),
        "tree": ("concept", 1, 0),
    }
    assert set(found) == set(wanted)
    for name, (kind, here, there) in wanted.items():
        row = found[name]
        assert (row["kind"], row["units"], row["other_units"]) == (kind, here, there)
        assert (row["n_units"], row["other_n_units"]) == (11, 15)
        assert (row["share"], row["other_share"]) == pytest.approx((here / 11, there / 15))
        assert row["p_value"] == pytest.approx(fisher(here, 11, there, 15))


def step_up(p: np.ndarray, rate: float) -> np.ndarray:
    """Benjamini & Hochberg 1995: the k smallest are discoveries, for the largest k with p_(k) <= rate k / K."""
    ordered = sorted(p)
    passed = [k for k in range(1, len(p) + 1) if ordered[k - 1] <= rate * k / len(p)]
    return p <= (ordered[max(passed) - 1] if passed else -1)


def test_q_values_agree_with_the_step_up_procedure():
    p = np.random.default_rng(0).uniform(size=40) ** 3
    q = false_discovery_control(p)
    for rate in (0.001, 0.01, 0.05, 0.2, 0.5):
        np.testing.assert_array_equal(q <= rate, step_up(p, rate))
    assert false_discovery_control(np.array([])).shape == (0,)
    assert false_discovery_control(np.array([1.0, 1.0])).tolist() == [1, 1]


def test_chance_is_seldom_called_a_difference_and_a_planted_one_always():
    generator = np.random.default_rng(1)
    words = np.array(["dog", "cat", "red", "tree", "wing"])
    false = 0
    for _ in range(40):
        alike = {(run, "l", 0.0): generator.choice(words, 60).tolist() for run in "ab"}
        false += bool(differences.concept_differences(population(alike))["differs"].any())
    assert false <= 5  # at most 5 % of 40 are expected; Fisher's test is stricter
    planted = {("a", "l", 0.0): ["dog"] * 30 + ["cat"] * 30, ("b", "l", 0.0): ["red"] * 30 + ["cat"] * 30}
    table = differences.concept_differences(population(planted)).set_index("name")["differs"]
    assert table[["dog", "red", "object", "color"]].all()
    assert not table[["cat", "interpretable"]].any()


def test_one_unit_is_no_difference_whatever_the_sizes_of_the_layers():
    labels = {("a", "l", 0.0): ["-"] * 500, ("b", "l", 0.0): ["dog"], ("b", "m", 0.0): ["dog"] * 2 + ["-"]}
    labels["a", "m", 0.0] = ["-"] * 500
    table = differences.concept_differences(population(labels)).set_index(["layer", "name"])
    assert (table["q_value"] < 0.05).all()
    assert not table.loc["l", "differs"].any()
    assert table.loc["m", "differs"].all()


@pytest.mark.parametrize(
    ("epochs", "wanted"),
    [
        ({"a": [0, 1, 2], "b": [0, 1], "c": [1, 2]}, [Side("a", 1), Side("b", 1), Side("c", 1)]),
        ({"a": [0, 1], "b": [0.5, 2]}, [Side("a", 1), Side("b", 2)]),
        ({"a": [0, 1, 2]}, [Side("a", 0), Side("a", 2)]),
        ({"a": [3]}, [Side("a", 3)]),
    ],
)
def test_what_stands_beside_what(epochs: dict[str, list[float]], wanted: list[Side]):
    units = population({(run, "l", epoch): ["dog"] for run, own in epochs.items() for epoch in own})
    assert differences.sides(units) == wanted


def test_every_run_stands_against_the_first_in_the_layers_that_both_have():
    labels = {(run, layer, 0.0): ["dog"] for run, layer in itertools.product("abc", ["l", "m"])}
    del labels["b", "m", 0.0]
    table = differences.concept_differences(population(labels))
    pairs = set(table[["run", "other_run", "layer"]].itertuples(index=False, name=None))
    assert pairs == {("b", "a", "l"), ("c", "a", "l"), ("c", "a", "m")}


def test_one_epoch_has_nothing_to_compare():
    assert differences.concept_differences(population({("a", "l", 0.0): ["dog"]})).empty
