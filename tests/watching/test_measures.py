"""The numbers of the lines and trackers are those of the report, and of the tables counted by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cmon.kept_options import Call
from cmon.reporting import inputs, tracking
from cmon.reporting.tables.catalog import TableInputs, make_tables
from cmon.reporting.training_log import TRAINING
from cmon.watching.lines import epoch_line
from cmon.watching.measures import Findings, Measures, read_findings
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.workspace import Workspace
from tests.support.synthetic_tables import World, rows, write

WORLD = World(units=30, images=60, epochs=(0.0, 1.0, 2.5))
STAGES = [Call(name, {}) for name in ("extract", "score", "embed")]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Of which the checkpoints of the run 'standard' count steps."""
    tables = rows(WORLD)
    for row in tables["checkpoints"]:
        row["step"] = int(100 * row["epoch"]) if row["run"] == "standard" else None
    return write(tmp_path_factory.mktemp("measures"), WORLD, tables)


@pytest.fixture(scope="module")
def findings(workspace: Workspace) -> Findings:
    return read_findings(workspace, STAGES)


def test_the_numbers_are_those_of_the_report(workspace: Workspace, findings: Findings) -> None:
    stored = inputs.read(workspace)
    nothing = TRAINING.empty_table().to_pandas()
    made = make_tables(TableInputs(stored, seed=3, confidence=0.9, training=nothing))
    found = pd.DataFrame([vars(one) for one in findings.measures])
    for table, names in {
        "d_anchor": ["d_anchor", "d_anchor_clip"],
        "movement": ["born", "lost", "relabelled"],
        "diversity": ["labels", "entropy", "effective_labels"],
    }.items():
        keys = ["run", "layer", "epoch"]
        pd.testing.assert_frame_equal(
            found[[*keys, *names]], made[table][[*keys, *names]], check_dtype=False, rtol=1e-12
        )


def test_counts_and_shares_are_those_of_the_units(workspace: Workspace, findings: Findings) -> None:
    units = workspace.frame("units")
    for one in findings.measures:
        own = units[(units["run"] == one.run) & (units["layer"] == one.layer) & (units["epoch"] == one.epoch)]
        assert (one.units, one.interpretable_units) == (len(own), int(own["interpretable"].sum()))
        assert one.interpretable == pytest.approx(own["interpretable"].sum() / len(own))
    assert len(findings.measures) == 2 * 2 * 3


def test_steps_are_the_checkpoints_own(findings: Findings) -> None:
    steps = {(one.run, one.epoch): one.step for one in findings.measures}
    assert [steps["standard", epoch] for epoch in WORLD.epochs] == [0, 100, 250]
    assert {steps["poor", epoch] for epoch in WORLD.epochs} == {None}


def test_a_run_without_a_live_unit_has_no_distance_and_python_numbers_else(tmp_path: Path) -> None:
    tables = rows(WORLD)
    for name in ("units", "layout"):
        dead = next(row for row in tables[name] if row.get("status") == "dead")
        for row in tables[name]:
            if row.get("run") == "poor" and row["epoch"] == 2.5:
                row |= {key: value for key, value in dead.items() if key not in UNIT_KEYS}
    gone = ("poor", 2.5)
    tables["concepts"] = [row for row in tables["concepts"] if (row["run"], row["epoch"]) != gone]
    found = read_findings(write(tmp_path, WORLD, tables), STAGES)
    dead = [one for one in found.measures if (one.run, one.epoch) == ("poor", 2.5)]
    assert [(one.d_anchor, one.d_anchor_clip, one.interpretable) for one in dead] == [(None, None, 0.0)] * 2
    kinds = {type(value) for one in found.measures for value in vars(one).values()}
    assert kinds <= {str, float, int, type(None)}


def test_the_tracked_units_are_those_of_the_report(workspace: Workspace) -> None:
    asked = read_findings(workspace, [*STAGES, Call("report", {"track": (("layer4", 7),), "images": None})])
    assert [one.name for one in asked.tracked] == ["layer4:7"]
    stored = inputs.read(workspace)
    assert read_findings(workspace, STAGES).tracked == tuple(
        tracking.choose(stored.units, stored.places, "layer4")
    )


def test_before_a_layout_there_are_counts_only(workspace: Workspace) -> None:
    scored = read_findings(workspace, STAGES[:2])
    assert {one.d_anchor for one in scored.measures} == {None}
    assert all(one.interpretable is not None for one in scored.measures)
    extracted = read_findings(workspace, STAGES[:1])
    assert {(one.units, one.interpretable) for one in extracted.measures} == {(30, None)}


def test_an_epoch_is_one_line() -> None:
    layers = [
        Measures("a", "layer3", 3.0, 300, 64, 20, 0.3125, 5, 1, 7, 0.4218, 0.7, 9, 2.0, 4.0),
        Measures("a", "layer4", 3.0, 300, 64, 0, 0.0, None, None, None, None, None, 0, 0.0, 0.0),
    ]
    assert epoch_line("a", 3.0, layers, 2.0, 12.4) == (
        "a, epoch 3: layer3 d_anchor 0.422 (CLIP 0.700), 31 % interpretable (+5 -1, 7 relabelled since epoch 2); "
        "layer4 0 % interpretable (12 s)"
    )
    assert "since" not in epoch_line("a", 0.5, layers, None, 1)
    assert epoch_line("a", 0.5, [], None, 1).startswith("a, epoch 0.5: not among")


def test_shards_alone_are_enough_to_be_read(tmp_path: Path, workspace: Workspace) -> None:
    """An extraction that is the only stage."""
    alone = Workspace(tmp_path)
    for name in ("shards", "checkpoints"):
        alone.write(alone.table(name), workspace.read(name), "x")
    assert len(read_findings(alone, STAGES[:1]).measures) == 12
