from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cmon.reporting.findings import as_text, findings, headlines, warnings
from cmon.reporting.recipe_findings import recipe_finding, recipe_numbers, recipe_trend_text
from cmon.reporting.repeats import Recipe
from cmon.reporting.tables.seeds import seeds
from cmon.workspace.keys import GROUP
from tests.support.seeded import students

NONE = float("nan")
THREE = Recipe("standard", ("standard@1", "standard@2", "standard@3"))


def table(values: dict[str, dict[float, float]], layer: str = "layer4", **others: float) -> pd.DataFrame:
    """`seeds` of runs with this d_anchor at these epochs, half as large shares of interpretable units."""
    rows = [
        {"run": run, "layer": layer, "epoch": float(epoch), "d_anchor": value, "d_anchor_clip": 2 * value,
         "interpretable": 0.5 if np.isnan(value) else value / 2, "dead": 0.0, **others}
        for run, own in values.items()
        for epoch, value in own.items()
    ]  # fmt: skip
    columns = [*GROUP, "d_anchor", "d_anchor_clip", "interpretable", "dead"]
    return seeds(pd.DataFrame(rows, columns=columns).set_index(GROUP), 0.95)


FALLS = {"standard@1": {0: 0.70, 8: 0.30}, "standard@2": {0: 0.75, 8: 0.41}, "standard@3": {0: 0.62, 8: 0.29}}
STAYS = {"standard@1": {0: 0.70, 8: 0.30}, "standard@2": {0: 0.35, 8: 0.71}, "standard@3": {0: 0.62, 8: 0.60}}


def test_a_recipe_is_told_of_over_its_runs():
    said = recipe_finding(table(FALLS, dead=0.03), THREE, "layer4")
    assert said == (
        "17% of the units of layer4 are interpretable at epoch 8 (8% to 25% over runs), 34% at epoch 0; d_anchor falls "
        "from 0.69 to 0.33 (over runs: -0.36, -0.45 to -0.26), d_anchor_clip falls from 1.38 to 0.67 (over runs: "
        "-0.71, -0.90 to -0.53). 3% of its units are dead."
    )
    mean, low, high, _ = students([-0.4, -0.34, -0.33])
    assert f"{mean:+.2f}, {low:+.2f} to {high:+.2f}" == "-0.36, -0.45 to -0.26"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (FALLS, "falls from 0.69 to 0.33"),
        ({run: {0: own[8], 8: own[0]} for run, own in FALLS.items()}, "rises from 0.33 to 0.69"),
        (STAYS, "stays (0.56 to 0.54)"),
        ({run: {0: own[0], 8: NONE} for run, own in FALLS.items()},
         "ends at epoch 0: no unit is live after it in any run"),
        ({run: {0: NONE, 8: NONE} for run in FALLS}, "is unknown: no unit is live"),
        ({run: {0: own[0]} for run, own in FALLS.items()}, ""),
        ({**FALLS, "standard@2": {0: 0.75, 8: NONE}, "standard@3": {0: 0.62, 8: NONE}}, ""),  # one run is left
    ],
)  # fmt: skip
def test_the_word_is_that_of_the_interval_over_runs(values, said):
    found = table(values)
    assert recipe_trend_text(found, "standard", "layer4", interval=False) == said
    (numbers,) = recipe_numbers(found, [THREE])
    word = said.partition(" ")[0]
    assert numbers["d_anchor"]["trend"] == numbers["d_anchor_clip"]["trend"] == (
        word if word in ("falls", "rises", "stays", "ends") else None
    )  # fmt: skip


def test_what_both_distances_do_is_said_once_and_an_interval_of_shares_ends_at_the_possible():
    ended = {run: {0: own[0], 8: NONE} for run, own in FALLS.items()}
    said = recipe_finding(table(ended), THREE, "layer4")
    assert said.count("ends at epoch 0") == 1
    wide = table({"standard@1": {8: 0.1}, "standard@2": {8: 0.4}})
    words = recipe_finding(wide, Recipe("standard", ("standard@1", "standard@2")), "layer4")
    assert words == "12% of the units of layer4 are interpretable at epoch 8 (0% to 100% over runs)."
    assert wide.loc[wide["measure"] == "interpretable", "mean_low"].item() < 0


def test_what_is_told_is_of_the_last_epoch_that_all_runs_have():
    uneven = {**FALLS, "standard@1": {0: 0.7, 8: 0.3, 9: 0.1}, "standard@2": {0: 0.75, 8: 0.41, 9: 0.2}}
    said = recipe_finding(table(uneven), THREE, "layer4")
    assert "at epoch 8, the last that all have (8% to" in said
    assert "falls from 0.69 to 0.33 (over runs: -0.36, -0.45 to -0.26)" in said
    (numbers,) = recipe_numbers(table(uneven), [THREE])
    assert (numbers["first_epoch"], numbers["last_epoch"], numbers["n_runs"]) == (0, 8, 3)
    apart = {"standard@1": {0: 0.7, 4: 0.5}, "standard@2": {0: 0.75, 4: 0.6}, "standard@3": {5: 0.2}}
    assert "at epoch 4 in 2 of the runs (" in recipe_finding(table(apart), THREE, "layer4")


def test_a_recipe_without_the_main_layer_is_told_of_by_its_last():
    both = pd.concat([table(FALLS, "layer3"), table(STAYS, "layer4")])
    assert "of layer4 are" in recipe_finding(both, THREE, "fc")
    assert "of layer3 are" in recipe_finding(both, THREE, "layer3")


def distances(runs: list[str]) -> pd.DataFrame:
    """The table d_anchor of these runs at epochs 0 and 8."""
    rows = []
    for run in runs:
        for epoch, value in ((0.0, 0.7), (8.0, 0.3)):
            row = {"run": run, "layer": "layer4", "epoch": epoch, "n_units": 10, "n_live": 10, "n_dead": 0}
            row |= {"n_interpretable": 5, "on_anchors": 0.0}
            for suffix in ("", "_clip"):
                row |= {f"d_anchor{suffix}{end}": value for end in ("", "_low", "_high")}
                row |= {
                    f"change{suffix}{end}": value - 0.7 if epoch else NONE for end in ("", "_low", "_high")
                }
            rows.append(row)
    return pd.DataFrame(rows)


def test_recipes_stand_in_the_place_of_their_runs_beside_runs_that_stand_alone():
    runs = ["alone", "standard@1", "other@1", "standard@2", "standard@3"]
    logged = [("standard@1", 8.0, "test_accuracy", 0.7), ("standard@2", 8.0, "test_accuracy", 0.8),
              ("standard@2", 0.0, "test_accuracy", 0.1), ("alone", 8.0, "test_accuracy", 0.9)]  # fmt: skip
    training = pd.DataFrame(logged, columns=["run", "epoch", "metric", "value"])
    found = findings(distances(runs), "layer4", training, table(FALLS))
    assert [subject for subject, _ in found] == ["alone", "standard (3 runs)", "other@1", "Kendall's tau"]
    said = dict(found)
    assert "the same units" in said["alone"]
    assert said["alone"].endswith("Training logged test_accuracy 0.9 at epoch 8.")
    assert "over runs" in said["standard (3 runs)"]
    assert said["standard (3 runs)"].endswith(
        "Training logged test_accuracy 0.75 at epoch 8 on average over 2 runs."
    )
    assert as_text(distances(runs), "layer4", table(FALLS)).startswith("alone: 50% of")
    by_run = findings(distances(runs), "layer4", training)
    assert [subject for subject, _ in by_run] == [*runs, "Kendall's tau"], "without the table seeds"


def test_json_has_the_recipes_beside_all_runs():
    runs = ["alone", *THREE.runs]
    found = headlines(distances(runs), "layer4", table(FALLS))
    assert [layer["run"] for layer in found["layers"]] == runs
    (recipe,) = found["recipes"]
    assert {name: recipe[name] for name in ("recipe", "runs", "layer", "n_runs")} == {
        "recipe": "standard",
        "runs": list(THREE.runs),
        "layer": "layer4",
        "n_runs": 3,
    }
    values = [own[8] for own in FALLS.values()]
    assert tuple(recipe["d_anchor"]["last"].values()) == pytest.approx(students(values)[:3])
    assert tuple(recipe["d_anchor"]["change"].values()) == pytest.approx(students([-0.4, -0.34, -0.33])[:3])
    assert tuple(recipe["share_interpretable"]["last"].values()) == pytest.approx(
        [value / 2 for value in students(values)[:3]]
    )
    assert recipe["share_interpretable"]["trend"] == "falls"
    assert recipe["share_dead"]["trend"] == "stays"
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert headlines(distances(["a", "b"]), "layer4", table({}))["recipes"] == []
    assert headlines(distances(runs), "layer4")["recipes"] == []


def test_a_warning_is_said_of_the_first_run_with_how_many_others():
    runs = ["alone", *THREE.runs]
    crowded = pd.DataFrame(columns=["run", "layer", "its_units", "n_units", "overlap"])
    close = distances(runs)
    close.loc[close["run"] != "standard@1", "on_anchors"] = 0.5
    said = warnings(close, crowded, "layer4")
    assert [words.partition(":")[0] for words in said] == ["alone", "standard@2"]
    assert said[0].endswith("in `cmon embed`")
    assert said[1].endswith("in `cmon embed`; likewise in 1 more of the 3 runs of standard")
