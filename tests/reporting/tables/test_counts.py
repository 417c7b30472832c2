from collections import Counter

import pandas as pd
import pytest

from cmon.reporting.categories import BRODEN, NO_CATEGORY, interpretable_categories
from cmon.reporting.tables import counts
from cmon.workspace.keys import sort_rows
from tests.support.synthetic_tables import World, rows

UNITS = sort_rows(
    pd.DataFrame(rows(World(runs=("z", "standard"), units=30, epochs=(0.0, 2.0, 5.0), dead=0.2))["units"])
)
KEY = ("run", "layer", "epoch")


def groups() -> dict[tuple, list[dict]]:
    found: dict[tuple, list[dict]] = {}
    for unit in UNITS.to_dict("records"):
        found.setdefault(tuple(unit[name] for name in KEY), []).append(unit)
    return found


def test_categories_are_counted_and_add_up():
    table = counts.category_counts(UNITS)
    names = interpretable_categories(UNITS)
    wanted = [
        (*key, name, sum(unit["interpretable"] and unit["category"] == name for unit in units), len(units))
        for key, units in groups().items()
        for name in names
    ]
    assert list(table[[*KEY, "category", "units", "n_units"]].itertuples(index=False, name=None)) == wanted
    assert table["share"].tolist() == pytest.approx((table["units"] / table["n_units"]).tolist())
    per_layer = table.groupby(list(KEY), sort=False)["units"].sum().tolist()
    assert per_layer == [sum(unit["interpretable"] for unit in units) for units in groups().values()]


def test_labels_without_a_category_are_counted_too():
    units = UNITS.assign(category=None, label="dog", interpretable=True)
    table = counts.category_counts(units)
    assert set(table["category"]) == {NO_CATEGORY}
    assert (table["share"] == 1).all()
    assert counts.concept_counts(units)["category"].isna().all()


def test_concepts_are_counted_the_most_frequent_first():
    table = counts.concept_counts(UNITS)
    wanted = []
    for key, units in groups().items():
        found = Counter(unit["label"] for unit in units if unit["interpretable"])
        wanted += [
            (*key, name, number) for name, number in sorted(found.items(), key=lambda one: (-one[1], one[0]))
        ]
    assert list(table[[*KEY, "concept", "units"]].itertuples(index=False, name=None)) == wanted
    categories = dict(zip(UNITS["label"], UNITS["category"], strict=True))
    assert table["category"].tolist() == [categories[name] for name in table["concept"]]
    assert (table["n_units"] == 30).all()


def test_means_over_recipes_are_those_of_the_slow_twin():
    world = World(runs=("a@1", "b", "a@2", "a@3"), layers=("l",), units=30, epochs=(0.0, 5.0))
    units = sort_rows(pd.DataFrame(rows(world)["units"]))
    units = units[(units["run"] != "a@3") | (units["epoch"] == 0)]
    for name, of_units in (("concept", "label"), ("category", "category")):
        made = counts.concept_counts(units) if name == "concept" else counts.category_counts(units)
        table = counts.over_recipes(made, units)
        for title, runs in {"a (3 runs)": ("a@1", "a@2", "a@3"), "b": ("b",)}.items():
            for epoch, having in ((0.0, len(runs)), (5.0, min(len(runs), 2))):
                own = units[units["run"].isin(runs) & (units["epoch"] == epoch) & units["interpretable"]]
                number = Counter(own[of_units])
                found = table[(table["run"] == title) & (table["epoch"] == epoch) & (table["units"] > 0)]
                wanted = sorted(((-count / having, word) for word, count in number.items()))
                assert list(zip(-found["units"], found[name], strict=True)) == [
                    (pytest.approx(count), word) for count, word in wanted
                ]
                assert found["share"].tolist() == pytest.approx([-count / 30 for count, _ in wanted])
    labels = dict(zip(units["label"], units["category"], strict=True))
    table = counts.over_recipes(counts.concept_counts(units), units)
    assert table["category"].tolist() == [labels[concept] for concept in table["concept"]]


def test_every_unit_has_one_status():
    units = UNITS.copy()
    units.loc[units["unit"] == 3, "status"] = "tied"
    units.loc[units["unit"] == 4, "status"] = "non-finite"
    units.loc[units["unit"] == 5, "status"] = "constant"
    table = counts.status_counts(units)
    assert len(table) == len(groups())
    assert (
        table[["n_ok", "n_dead", "n_constant", "n_tied", "n_non_finite"]].sum(axis=1) == table["n_units"]
    ).all()
    assert (table[["n_constant", "n_tied", "n_non_finite"]] == 1).all(axis=None)
    assert table["n_dead"].tolist() == [
        sum(unit["status"] == "dead" for unit in own if unit["unit"] not in (3, 4, 5))
        for own in groups().values()
    ]


def test_nothing_interpretable_gives_no_rows():
    nothing = UNITS.assign(interpretable=False)
    assert counts.concept_counts(nothing).empty
    assert counts.category_counts(nothing).empty


def units_of(*rows: dict) -> pd.DataFrame:
    given = {
        "run": "a",
        "layer": "l",
        "status": "ok",
        "label": None,
        "category": None,
        "interpretable": False,
    }
    return pd.DataFrame([{**given, **row} for row in rows])


def shares_of(units: pd.DataFrame) -> pd.DataFrame:
    return counts.category_shares(counts.category_counts(units), counts.status_counts(units))


def test_shares_sum_to_the_interpretable_share_of_all_units():
    units = sort_rows(pd.DataFrame(rows(World(dead=0.2))["units"]))
    units.loc[units.index % 7 == 0, "category"] = None
    units.loc[units.index % 7 == 1, "category"] = "weather"
    shares, names = shares_of(units), interpretable_categories(units)
    assert names[-2:] == ["weather", NO_CATEGORY]
    assert [name for name in BRODEN if name in names] == names[:-2]
    sums = shares.set_index(list(KEY))[names].sum(axis=1)
    for key, own in units.groupby(list(KEY)):
        assert sums[key] == pytest.approx(own["interpretable"].sum() / len(own))
    assert shares["dead"].max() > 0


def test_shares_without_any_interpretable_unit():
    units = units_of({"epoch": 0.0, "unit": 0}, {"epoch": 0.0, "unit": 1, "status": "dead"})
    assert shares_of(units).to_dict("records") == [{"run": "a", "layer": "l", "epoch": 0.0, "dead": 0.5}]


def test_frequent_concepts_are_counted_per_run_and_layer():
    given = [{"epoch": 0.0, "unit": unit, "label": label, "interpretable": label != "noise"}
            for unit, label in enumerate(["dog", "cat", "dog", "noise", "dog", "cat", "ant"])]  # fmt: skip
    found = counts.concept_counts(units_of(*given))[:2]
    assert found[["concept", "units"]].to_numpy().tolist() == [["dog", 3], ["cat", 2]]
