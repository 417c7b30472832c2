import numpy as np
import pandas as pd
import pytest

from cmon.reporting import measures
from cmon.workspace.keys import GROUP, sort_rows
from tests.support.synthetic_tables import World, rows


def frames(world: World) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables = rows(world)
    places = pd.DataFrame([row for row in tables["layout"] if row["kind"] == "unit"])
    return sort_rows(pd.DataFrame(tables["units"])), sort_rows(places)


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


def test_order_is_that_of_appearance_and_then_of_numbers():
    shuffled = units_of(
        {"run": "z", "epoch": 10.0, "unit": 1},
        {"run": "a", "epoch": 2.0, "unit": 0},
        {"run": "z", "epoch": 2.0, "unit": 3},
    )
    found = sort_rows(shuffled)[["run", "epoch"]].to_numpy().tolist()
    assert found == [["z", 2.0], ["z", 10.0], ["a", 2.0]]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ((0.2, 0.1, 0.3), "falls from 0.60 to 0.20"),
        ((0.9, 0.8, 1.0), "rises from 0.60 to 0.90"),
        ((0.57, 0.5, 0.64), "stays near 0.57"),
        ((0.5, 0.4, 0.6), "goes from 0.60 to 0.50, within chance"),
    ],
)
def test_trend_is_claimed_only_where_intervals_are_apart(last, said):
    columns = ["d_anchor", "d_anchor_low", "d_anchor_high"]
    table = pd.DataFrame([(0.6, 0.5, 0.7), (np.nan,) * 3, last, (np.nan,) * 3], columns=columns)
    table = table.assign(run="a", layer="l", epoch=[0.0, 1.0, 2.0, 3.0])
    assert measures.trend(table[:3], "a", "l") == said
    assert measures.trend(table[:1], "a", "l") == ""
    assert measures.trend(table, "a", "l") == "ends at epoch 2: no unit is live after it"
    assert measures.trend(table[1:2], "a", "l") == "is unknown: no unit is live"
    assert measures.trend(table, "b", "l") == ""


def test_shares_sum_to_the_interpretable_share_of_all_units():
    units, _ = frames(World(dead=0.2))
    units.loc[units.index % 7 == 0, "category"] = None
    units.loc[units.index % 7 == 1, "category"] = "weather"
    shares, names = measures.shares(units), measures.categories(units)
    assert names[-2:] == ["weather", measures.NO_CATEGORY]
    assert [name for name in measures.CATEGORIES if name in names] == names[:-2]
    sums = shares.set_index(GROUP)[names].sum(axis=1)
    for key, own in units.groupby(GROUP):
        assert sums[key] == pytest.approx(own["interpretable"].sum() / len(own))
    assert shares["dead"].max() > 0


def test_shares_without_any_interpretable_unit():
    units = units_of({"epoch": 0.0, "unit": 0}, {"epoch": 0.0, "unit": 1, "status": "dead"})
    assert measures.shares(units).to_dict("records") == [
        {"run": "a", "layer": "l", "epoch": 0.0, "dead": 0.5}
    ]


def test_frequent_concepts_are_counted_per_run_and_layer():
    rows = [{"epoch": 0.0, "unit": unit, "label": label, "interpretable": label != "noise"}
            for unit, label in enumerate(["dog", "cat", "dog", "noise", "dog", "cat", "ant"])]  # fmt: skip
    found = measures.frequent_concepts(units_of(*rows), limit=2)
    assert found[["label", "count"]].to_numpy().tolist() == [["dog", 3], ["cat", 2]]
