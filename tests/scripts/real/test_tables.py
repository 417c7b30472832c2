"""The trial's programs on a small workspace: what they print are the numbers of its tables."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from cmon.cli.main import main as cmon
from cmon.workspace.workspace import Workspace
from scripts.real import anchors, baselines, remedies, tables
from tests.support import tiny_models


@pytest.fixture
def workspace(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path) -> Path:
    work = tmp_path / "work"
    runs = [f"--run={name}={checkpoints_folder}" for name in ("good", "good-1")]
    model = ["--model", "python:tests.support.tiny_models:network", "--probe", str(probe_folder)]
    clip = ["--clip", "python:tests.support.tiny_models:embedder", "--concepts", str(concepts_file)]
    for command, options in {
        "extract": [*runs, *model, "--layer", "conv2", "--layer", "fc", "--workers", "0"],
        "score": [*clip, "--pseudo-units", "50", "--workers", "0"],
        "embed": ["--anchors", "red", "--anchors", "blue"],
    }.items():
        result = CliRunner().invoke(cmon, [command, str(work), *options, "--device", "cpu"])
        assert result.exit_code == 0, result.output
    (tmp_path / "names.txt").write_text("\n".join([*list(tiny_models.COLORS)[:4], "mauve"]) + "\n")
    return work


def printed(command: click.Command, *arguments: object) -> list[list[str]]:
    """The cells of the Markdown tables' rows."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_tables_hold_what_score_and_embed_found(workspace: Path) -> None:
    rows = printed(tables.main, workspace, "--class-names", workspace.parent / "names.txt")
    scores = Workspace(workspace).frame("scores")
    of_layer = scores[(scores["run"] == "good") & (scores["layer"] == "conv2")].sort_values("epoch")
    overlap = [f"{value:.2f}" for value in of_layer["overlap"]]
    assert ["good", "conv2", *(f"{value} ({value} to {value})" for value in overlap)] in rows
    interpretable = [100 * row["interpretable"] / row["units"] for row in of_layer.to_dict("records")]
    (last,) = [row for row in rows if row[:3] == ["good", "conv2", "last"]]
    assert last[3] == "{0:.0f} ({0:.0f} to {0:.0f})".format(interpretable[-1])
    units = Workspace(workspace).frame("units").query("run == 'good' and layer == 'conv2' and epoch == 1")
    fit = 100 * units.loc[units["interpretable"], "fit"].mean()
    assert last[4] == f"{fit:.0f} ({fit:.0f} to {fit:.0f})"
    classes = [row for row in rows if row[0] == "good" and row[1] in [*tiny_models.COLORS, "mauve"]]
    assert [row[1] for row in classes] == [*list(tiny_models.COLORS)[:4], "mauve"]
    layout = Workspace(workspace).frame("layout")
    unit = layout[(layout["kind"] == "unit") & (layout["run"] == "good") & (layout["layer"] == "conv2")]
    by_unit = unit.pivot(index="unit", columns="epoch", values="distance_clip").dropna()
    (distance,) = [row for row in rows if row[:3] == ["good", "conv2", "d_anchor_clip"]]
    assert distance[3:5] == [f"{by_unit[epoch].mean():.3f}" for epoch in (0.0, 1.0)]


def test_anchors_are_measured_by_every_choice(workspace: Path) -> None:
    rows = printed(anchors.main, workspace, "--anchors", workspace.parent / "names.txt", "--layer", "conv2")[
        2:
    ]
    assert [row[0] for row in rows[::2]] == ["all with a category", "names.txt"], "there are only colors"
    units = anchors.Units.read(workspace)
    named = units.vocabulary["concept"].isin(list(tiny_models.COLORS)[:4]).to_numpy()
    assert rows[-1][1] == str(named.sum())
    first = units.keys[
        (units.keys["run"] == "good-1") & (units.keys["layer"] == "conv2") & (units.keys["epoch"] == 0)
    ]
    lengths = [
        min(np.linalg.norm(units.vectors[at] - vector) for vector in units.concepts[named])
        for at in first.index
    ]
    assert rows[-1][9] == f"{np.mean(np.array(lengths) <= anchors.ON):.0%}"


def test_every_remedy_and_baseline_has_a_row(workspace: Path) -> None:
    rows = printed(remedies.main, workspace, "--class-names", workspace.parent / "names.txt")
    names = [row[0] for row in rows if row[0] in {remedy.name for remedy in remedies.REMEDIES}]
    assert names == [remedy.name for remedy in remedies.REMEDIES] * 2
    rows = printed(baselines.main, workspace)[2:]
    assert [row[:3] for row in rows] == [
        ["good", layer, against]
        for layer in ("conv2", "fc")
        for against in ("chance", "first, label", "first, best")
    ]
    assert all(row[3].startswith("0.00") for row in rows if row[2] != "chance"), "the first epoch itself"
