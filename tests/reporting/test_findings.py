from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmon.reporting.findings import findings, headlines, trend_text

GUIDE = Path(__file__).parents[2] / "docs" / "getting-started.md"


def table(**values: list[tuple[float, float, float] | None]) -> pd.DataFrame:
    """d_anchor of one layer per run: (value, low, high) per epoch, None where no unit is live."""
    found = []
    for run, own in values.items():
        for epoch, one in enumerate(own):
            value, low, high = one or (float("nan"),) * 3
            found.append(
                {"run": run, "layer": "layer4", "epoch": float(epoch), "d_anchor": value, "d_anchor_low": low,
                 "d_anchor_high": high, "d_anchor_clip": 2 * value, "d_anchor_clip_low": 2 * low,
                 "d_anchor_clip_high": 2 * high, "n_units": 8, "n_live": 0 if one is None else 7,
                 "n_dead": 8 if one is None else 1, "n_interpretable": 0 if one is None else epoch + 1}
            )  # fmt: skip
    return pd.DataFrame(found)


FALLS = [(0.5, 0.4, 0.6), (0.9, 0.8, 1.0), (0.2, 0.1, 0.3)]
RISES = [(0.2, 0.1, 0.3), (0.5, 0.4, 0.6)]
STAYS = [(0.2, 0.1, 0.3), (0.35, 0.25, 0.45)]


@pytest.mark.parametrize(
    ("values", "trend"),
    [
        (FALLS, "falls"),
        (RISES, "rises"),
        (STAYS, "stays"),  # the intervals touch
        ([*RISES, None], "ends"),
        ([None, *RISES], "rises"),  # from the first epoch with live units
        (RISES[:1], None),
        ([None, None], None),
    ],
)
def test_trends(values: list, trend: str | None):
    (layer,) = headlines(table(a=values))["layers"]
    assert layer["d_anchor"]["trend"] == layer["d_anchor_clip"]["trend"] == trend


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
    assert trend_text(table[:3], "a", "l") == said
    assert trend_text(table[:1], "a", "l") == ""
    assert trend_text(table, "a", "l") == "ends at epoch 2: no unit is live after it"
    assert trend_text(table[1:2], "a", "l") == "is unknown: no unit is live"
    assert trend_text(table, "b", "l") == ""


def test_findings_say_what_the_last_layer_does_and_how_alike_the_distances_are():
    (run, sentences), (subject, tau) = findings(table(a=FALLS))
    assert run == "a"
    assert sentences == (
        "38% of the units of layer4 are interpretable at epoch 2, 12% at epoch 0; d_anchor falls from 0.50 to 0.20, "
        "d_anchor_clip falls from 1.00 to 0.40. 1 of its 8 units are dead."
    )
    assert (subject, tau[:40]) == ("Kendall's tau", "1.00 between d_anchor and d_anchor_clip ")
    assert len(findings(table(a=FALLS[:1]))) == 1, "one pair has no order"


def test_the_numbers_are_those_of_the_first_and_last_epoch():
    found = headlines(table(a=FALLS, b=[(0.5, 0.4, 0.6), None]))
    assert found["layers"][0] == {
        "run": "a",
        "layer": "layer4",
        "first_epoch": 0,
        "last_epoch": 2,
        "n_units": 8,
        "n_dead": 1,
        "n_interpretable": 3,
        "share_interpretable": 3 / 8,
        "d_anchor": {
            "trend": "falls",
            "first": {"value": 0.5, "low": 0.4, "high": 0.6},
            "last": {"value": 0.2, "low": 0.1, "high": 0.3},
        },
        "d_anchor_clip": {
            "trend": "falls",
            "first": {"value": 1.0, "low": 0.8, "high": 1.2},
            "last": {"value": 0.4, "low": 0.2, "high": 0.6},
        },
    }
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
