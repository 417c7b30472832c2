"""A training in one process and `cmon watch` in another, as they are used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from cmon.reporting.tables.catalog import TABLES
from cmon.workspace.workspace import Workspace
from tests.support import watched

REPOSITORY = Path(__file__).parents[2]
EPOCHS = 3
STAGES = "extract score embed report"


def start(*words: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.Popen(
        command,
        env=environment,
        cwd=REPOSITORY,
        text=True,
        stdout=-1,
        stderr=-1,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background jobs ignore it
    )


def wait_for(path: Path) -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.1)


@pytest.fixture
def training(tmp_path: Path, probe_folder: Path) -> Path:
    """The folder of a training that has saved epoch 1, and goes on once there is a file `go` in the test's folder."""
    runs = tmp_path / "runs" / "standard"
    process = start("tests.support.train_tiny", probe_folder, runs, EPOCHS, 2, tmp_path / "go")
    wait_for(runs / "epoch_1.pt")
    yield runs
    process.kill()
    process.communicate()


def test_a_training_that_is_watched_ends_with_the_tables_of_a_run_done_afterwards(
    tmp_path: Path, training: Path, probe_folder: Path, concepts_file: Path
) -> None:
    runs = {"standard": training}
    work = watched.run_stages(
        tmp_path / "work", runs, probe_folder, concepts_file, STAGES, track=[("conv2", 1)]
    )
    rows = tmp_path / "rows.jsonl"
    watching = start("cmon", "watch", work.root, "--every", 0.5, "--until-epoch", EPOCHS, "--jsonl", rows)
    assert watching.stderr is not None
    assert watching.stderr.readline().startswith("watching standard: ")
    (tmp_path / "go").touch()
    said, errors = watching.communicate(timeout=400)
    assert watching.returncode == 0, errors
    assert said == ""

    after = watched.run_stages(
        tmp_path / "after", runs, probe_folder, concepts_file, STAGES, track=[("conv2", 1)]
    )
    stored = ("checkpoints", "images", "shards", "units", "concepts", "vocabulary", "layout", "fidelity")
    for name in (*stored, *(table.name for table in TABLES if table.name != "costs")):
        # How a unit came to its place is told by one column; the places are the same.
        tables = [place.frame(name).drop(columns="placed", errors="ignore") for place in (work, after)]
        pd.testing.assert_frame_equal(*tables, obj=name)
    assert sorted(work.frame("units")["epoch"].unique()) == list(range(EPOCHS + 1))
    assert not [path for path in work.root.rglob("*") if path.name.endswith(".part")]

    # One line for each epoch that came since, and no bars, since this is no terminal.
    lines = [line for line in errors.splitlines() if line.startswith("standard, epoch")]
    shown = [int(line.split()[2].rstrip(":")) for line in lines]
    assert shown == list(range(2, EPOCHS + 1))
    assert "━" not in errors
    table = after.frame("d_anchor").set_index(["layer", "epoch"])
    kept = [json.loads(line) for line in rows.read_text().splitlines()]
    last = {(row["layer"], row["epoch"]): row for row in kept}
    assert {key: row["d_anchor"] for key, row in last.items()} == table["d_anchor"].to_dict()
    assert {row["step"] for row in kept} == {20 * epoch for epoch in range(EPOCHS + 1)}


def test_ctrl_c_ends_it_at_once_with_130_and_true_words(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path
) -> None:
    work = watched.run_stages(
        tmp_path / "work", {"a": checkpoints_folder}, probe_folder, concepts_file, "extract"
    )
    watching = start("cmon", "watch", work.root, "--every", 600)
    assert watching.stderr is not None
    assert watching.stderr.readline().startswith("watching a: extract for each new whole checkpoint; Ctrl-C")
    time.sleep(1)
    asked = time.monotonic()
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=30)
    assert time.monotonic() - asked < 2 + 3 * os.getloadavg()[0]  # two seconds, where nobody else computes
    assert watching.returncode == 130
    assert "interrupted: what was finished is kept, and the same command goes on from there" in errors
    assert Workspace(work.root).frame("shards")["epoch"].nunique() == 2
