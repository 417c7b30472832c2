"""The sweep of faults in its short form, and that it would see a promise that is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cmon.workspace.workspace import Workspace
from scripts.soak import sweep
from scripts.soak.faults import DISK, SIGNALS
from tests.support import scored_tables

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="faults are tried in forked processes")
def test_a_few_faults_of_every_kind_leave_the_tables_of_an_undisturbed_run() -> None:
    command = [sys.executable, "-m", "scripts.soak.sweep", "--short", "--points", "6"]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert [row[0].removeprefix("| ") for row in rows[: len(SIGNALS) + len(DISK)]] == [*SIGNALS, *DISK]
    assert all(int(row[1]) > 0 for row in rows)
    assert all(row[3] == "0 |" for row in rows)


def test_differences_are_seen(tmp_path: Path) -> None:
    whole = scored_tables.write(tmp_path / "whole", *scored_tables.units({"a": 2}, {"x": 3}))
    place = tmp_path / "tried"
    shutil.copytree(whole.root, place)
    assert sweep.differences(place, whole.root) == []
    (place / ".units.parquet.host.3.part").write_text("half")
    (place / "vocabulary.parquet").unlink()
    path = whole.group_file("units", "a", "x", 1.0).relative_to(whole.root)
    other = Workspace(place)
    table = other.read("units").slice(0, 3)
    other.write(place / path, table, "another scoring")
    assert sweep.differences(place, whole.root) == [
        "vocabulary.parquet is missing",
        ".units.parquet.host.3.part is left over",
        f"{path.as_posix()} has other values",
    ]
