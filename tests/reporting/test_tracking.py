import pandas as pd
import pytest

from cmon.errors import CmonError
from cmon.reporting import tracking

EPOCHS = 5


def planted(labels: dict[int, list[str]], paths: dict[int, list[float]], dead: dict[int, int] | None = None):
    """Units of a run with one label an epoch (upper case: significant) and one x an epoch."""
    units, places = [], []
    for layer in ("early", "late"):
        for unit, names in labels.items():
            for epoch, name in enumerate(names):
                key = {"run": "first", "layer": layer, "epoch": float(epoch), "unit": unit}
                alive = (dead or {}).get(unit, EPOCHS) > epoch
                units.append(
                    {**key, "status": "ok" if alive else "dead", "label": name.lower() if alive else None,
                     "interpretable": alive and name.isupper(), "score": 1.0, "p_value": 0.1 * unit}
                )  # fmt: skip
                places.append({**key, "x": paths[unit][epoch], "y": 0.0})
    return pd.DataFrame(units), pd.DataFrame(places)


LABELS = {
    0: ["DOG", "dog", "DOG", "CAT", "cat"],
    1: ["ant", "CAR", "CAR", "CAR", "CAR"],  # the steadiest that moves
    2: ["DOG", "CAT", "ANT", "CAT", "DOG"],  # relabelled most often
    3: ["a", "b", "c", "d", "e"],  # relabelled more often still, but never significant
    4: ["CAR", "CAR", "CAR", "CAR", "CAR"],  # steadier, but dies
}
PATHS = {
    0: [0.0, 3.0, 0.0, 3.0, 0.0],  # moves most, and ends where it began
    1: [0.0, 0.1, 0.2, 0.3, 0.4],
    2: [0.0, 1.0, 2.0, 3.0, 4.0],
    3: [0.0, 0.0, 0.0, 0.0, 5.0],
    4: [0.0, 0.0, 0.0, 0.0, 0.0],
}


def test_the_planted_units_are_chosen_from_the_main_layer():
    found = tracking.choose(*planted(LABELS, PATHS, dead={4: 4}), "late")
    assert [(one.layer, one.unit) for one in found] == [("late", 0), ("late", 1), ("late", 2)]
    assert "12.00" in found[0].reason
    assert "“car” at 4 of 5 epochs" in found[1].reason
    assert "4×" in found[2].reason
    assert {one.layer for one in tracking.choose(*planted(LABELS, PATHS), "early")} == {"early"}


def test_with_one_epoch_the_most_significant_are_chosen():
    units, places = planted(LABELS, PATHS)
    found = tracking.choose(units[units["epoch"] == 0], places, "late")
    assert [one.unit for one in found] == [0, 1, 2]


def test_nothing_is_chosen_where_nothing_lives_or_nothing_happens():
    assert tracking.choose(*planted(LABELS, PATHS, dead=dict.fromkeys(LABELS, 0)), "late") == []
    still = {unit: [0.0] * EPOCHS for unit in LABELS}
    nameless = {unit: ["x"] * EPOCHS for unit in LABELS}
    assert tracking.choose(*planted(nameless, still), "late") == []


def test_units_asked_for():
    units, _ = planted(LABELS, PATHS)
    assert [one.name for one in tracking.requested(units, [("early", 3), ("early", 3), ("late", 0)])] == [
        "early:3",
        "late:0",
    ]
    with pytest.raises(CmonError, match="did you mean 'late'"):
        tracking.requested(units, [("lat", 3)])
    with pytest.raises(CmonError, match="a unit from 0 to 4"):
        tracking.requested(units, [("late", 5)])
