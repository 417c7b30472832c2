from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmon.reporting.findings import findings, headlines, trend_text, warnings

GUIDE = Path(__file__).parents[2] / "docs" / "getting-started.md"


def table(**values: list[tuple[float, float, float] | None]) -> pd.DataFrame:
    """d_anchor of a layer: (value, lowest, highest change since the first) per epoch, None where no unit is live."""
    found = []
    for run, own in values.items():
        first = next((one[0] for one in own if one), float("nan"))
        for epoch, one in enumerate(own):
            value, low, high = one or (float("nan"),) * 3
            row = {
                "run": run,
                "layer": "layer4",
                "epoch": float(epoch),
                "n_units": 8,
                "n_live": 7 if one else 0,
            }
            row |= {
                "n_dead": 1 if one else 8,
                "n_interpretable": epoch + 1 if one else 0,
                "on_anchors": 0.05,
            }
            for suffix, scale in (("", 1), ("_clip", 2)):
                row |= {f"d_anchor{suffix}": scale * value, f"d_anchor{suffix}_low": scale * (value - 0.1)}
                row |= {
                    f"d_anchor{suffix}_high": scale * (value + 0.1),
                    f"change{suffix}": scale * (value - first),
                }
                row |= {f"change{suffix}_low": scale * low, f"change{suffix}_high": scale * high}
            found.append(row)
    return pd.DataFrame(found)


NONE = float("nan")
FALLS = [(0.5, NONE, NONE), (0.9, 0.3, 0.5), (0.2, -0.4, -0.2)]
RISES = [(0.2, NONE, NONE), (0.5, 0.2, 0.4)]
STAYS = [(0.2, NONE, NONE), (0.25, -0.02, 0.12)]


@pytest.mark.parametrize(
    ("values", "trend"),
    [
        (FALLS, "falls"),
        (RISES, "rises"),
        (STAYS, "stays"),  # the interval holds 0
        ([(0.2, NONE, NONE), (0.19, -0.02, -0.001)], "falls"),  # however little
        ([*RISES, None], "ends"),
        ([None, *RISES], "rises"),  # from the first epoch with live units
        (RISES[:1], None),
        ([(0.2, NONE, NONE), (0.5, NONE, NONE)], None),  # no unit is live at both
        ([None, None], None),
    ],
)
def test_trends(values: list, trend: str | None):
    (layer,) = headlines(table(a=values))["layers"]
    assert layer["d_anchor"]["trend"] == layer["d_anchor_clip"]["trend"] == trend


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ((0.2, -0.45, -0.35), "falls from 0.60 to 0.20 (the same units: -0.40, -0.45 to -0.35)"),
        ((0.9, 0.25, 0.35), "rises from 0.60 to 0.90 (the same units: +0.30, +0.25 to +0.35)"),
        ((0.601, 0.0004, 0.0016), "rises from 0.600 to 0.601 (the same units: +0.0010, +0.0004 to +0.0016)"),
        ((0.57, -0.07, 0.02), "stays (0.60 to 0.57; the same units: -0.03, -0.07 to +0.02)"),
    ],
)
def test_a_trend_is_said_with_the_numbers_that_it_is_read_from(last, said):
    found = table(a=[(0.6, NONE, NONE), None, last])
    assert trend_text(found, "a", "layer4") == said
    short = said.partition(";")[0] + ")" if said.startswith("stays") else said.partition(" (")[0]
    assert trend_text(found, "a", "layer4", interval=False) == short
    assert trend_text(found[:1], "a", "layer4") == ""
    ended = table(a=[(0.6, NONE, NONE), None, last, None])
    assert trend_text(ended, "a", "layer4") == "ends at epoch 2: no unit is live after it"
    assert trend_text(found[1:2], "a", "layer4") == "is unknown: no unit is live"
    assert trend_text(found, "b", "layer4") == ""


def test_findings_say_what_the_main_layer_does_and_how_alike_the_distances_are():
    (run, sentences), (subject, tau) = findings(table(a=FALLS))
    assert run == "a"
    assert sentences == (
        "38% of the units of layer4 are interpretable at epoch 2, 12% at epoch 0; d_anchor falls from 0.50 to 0.20 "
        "(the same units: -0.30, -0.40 to -0.20), d_anchor_clip falls from 1.00 to 0.40 (the same units: -0.60, -0.80 "
        "to -0.40). 1 of its 8 units are dead."
    )
    assert (subject, tau[:40]) == ("Kendall's tau", "1.00 between d_anchor and d_anchor_clip ")
    assert len(findings(table(a=FALLS[:1]))) == 1, "one pair has no order"


def test_another_main_layer_is_told_of_and_a_run_without_it_by_its_last():
    both = pd.concat([table(a=FALLS, b=FALLS), table(a=RISES).assign(layer="fc")])
    assert [sentences[:30] for _, sentences in findings(both, "fc")][:2] == [
        "25% of the units of fc are int",
        "38% of the units of layer4 are",
    ]
    assert findings(both, "layer4")[0] == findings(table(a=FALLS))[0]
    assert headlines(both, "fc")["main_layer"] == "fc"


def test_accuracy_that_training_logged_stands_beside():
    logged = [
        ("a", 1.0, "test_accuracy", 0.5),
        ("a", 2.0, "test_accuracy", 0.7312),
        ("a", 2.0, "loss", 0.1),
        ("a", 2.0, "acc (train)", 0.99),
        ("a", 2.0, "acceleration", 9.8),
        ("b", 3.0, "accuracy", 0.1),
    ]
    training = pd.DataFrame(logged, columns=["run", "epoch", "metric", "value"])
    said = dict(findings(table(a=FALLS, b=FALLS[:1], c=FALLS[:1]), "layer4", training))
    assert said["a"].endswith(" Training logged test_accuracy 0.731, acc (train) 0.99 at epoch 2.")
    assert said["b"].endswith(" Training logged accuracy 0.1 at epoch 3.")
    assert said["c"].endswith("are dead.")


def test_units_on_anchors_before_training_are_warned_of():
    varied = diversity(("layer4", 0.0, "dog", 2, 0.1))
    assert warnings(table(a=FALLS), varied) == []
    (said,) = warnings(table(a=FALLS).assign(on_anchors=[0.5, 0.0, 0.0]), varied)
    assert said.startswith("a: 50% of the live units of layer4 lie on an anchor at epoch 0 already")
    assert warnings(table(a=[None, *FALLS]).assign(on_anchors=[np.nan, 0.0, 0.5, 0.5]), varied) == []


def diversity(*rows: tuple[str, float, str | None, int, float]) -> pd.DataFrame:
    """(layer, epoch, most frequent label, its units of 9, overlap) of the run a."""
    frame = pd.DataFrame(rows, columns=["layer", "epoch", "most_frequent", "its_units", "overlap"])
    return frame.assign(run="a", n_units=9, overlap_chance=0.05)


def test_one_label_on_over_a_third_of_a_layer_is_warned_of_with_the_overlap():
    varied = diversity(
        ("layer3", 0.0, "white", 4, 0.2),
        ("layer3", 1.0, "stretcher", 7, 0.74),
        ("layer4", 0.0, "dog", 3, 0.9),  # a third, not over it
        ("fc", 0.0, "red", 5, NONE),
    )
    (said,) = warnings(table(a=FALLS), varied)
    assert said == (
        "a: one label on over a third of a layer: “stretcher” on 7 of 9 units of layer3 at epoch 1, which share 74% of "
        "their top images (by chance 5%), and likewise at 1 more of 2 epochs; over a third also in fc (56%). Units "
        "that share their images answer to one thing: count it as one finding"
    )


def test_the_numbers_are_those_of_the_first_and_last_epoch():
    found = headlines(table(a=FALLS, b=[(0.5, NONE, NONE), None]))
    numbers = found["layers"][0]
    wanted = {"run": "a", "layer": "layer4", "first_epoch": 0, "last_epoch": 2, "n_units": 8, "n_dead": 1}
    assert {name: numbers[name] for name in wanted} == wanted
    assert (numbers["n_interpretable"], numbers["share_interpretable"]) == (3, 3 / 8)
    assert numbers["d_anchor_clip"]["trend"] == "falls"
    for name, values in {
        "first": (1, 0.8, 1.2),
        "last": (0.4, 0.2, 0.6),
        "change": (-0.6, -0.8, -0.4),
    }.items():
        assert tuple(numbers["d_anchor_clip"][name].values()) == pytest.approx(values)
    assert found["layers"][1]["d_anchor"]["last"] == {"value": None, "low": None, "high": None}
    assert found["kendall_tau"] == pytest.approx(1)
    assert headlines(table(a=FALLS[:1]))["kendall_tau"] is None


def documented_checks() -> list[str]:
    """The commands that the documentation's section on CI pipes the JSON into."""
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    return [line.partition("| ")[2] for line in lines if line.startswith("cmon report work --format json | ")]


@pytest.mark.parametrize(
    ("runs", "passes"), [({"a": FALLS, "b": STAYS}, True), ({"a": FALLS, "b": RISES}, False)]
)
def test_the_documented_commands_fail_a_job_whose_d_anchor_rises(runs: dict, passes: bool):
    commands = [command for command in documented_checks() if "rises" in command]
    assert {command.split()[0] for command in commands} == {"jq", "python"}
    for command in commands:
        if command.startswith("jq") and not shutil.which("jq"):
            continue
        command = (
            command.replace("python", f'"{sys.executable}"', 1) if command.startswith("python") else command
        )
        given = json.dumps(headlines(table(**runs)), allow_nan=False)
        done = subprocess.run(command, shell=True, input=given, text=True, capture_output=True, check=False)
        assert (done.returncode == 0) == passes, (command, done.stderr)
