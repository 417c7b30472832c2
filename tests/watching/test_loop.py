"""Looks and rounds on a tiny network, with a clock of the test's own: what is read, when, and what is said."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import cmon
from cmon.errors import CmonError, OptionError
from cmon.watching.loop import Watch
from cmon.watching.measures import Findings
from cmon.workspace.workspace import Workspace
from tests.support import watched

SETTLE = 5.0


class Watching:
    """A watch whose clock moves on by SETTLE with each look."""

    def __init__(self, workspace: Workspace, **options: Any) -> None:
        self.said: list[str] = []
        self.findings: list[Findings] = []
        self.now = 0.0
        self.watch = Watch(workspace, SETTLE, trackers=[self], say=self.said.append, **options)

    def write(self, findings: Findings) -> None:
        self.findings.append(findings)

    @property
    def rounds(self) -> int:
        return len(self.findings)

    def look(self, times: int = 1) -> bool:
        for _ in range(times):
            done = self.watch.look(self.now)
            self.now += SETTLE
        return done


@pytest.fixture
def workspace(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path) -> Workspace:
    """After epochs 0 and 1 of the run 'standard'."""
    return watched.run_stages(
        tmp_path / "work", {"standard": checkpoints_folder}, probe_folder, concepts_file
    )


@pytest.fixture
def started(workspace: Workspace) -> Watching:
    """After the first round, in which nothing was new."""
    watching = Watching(workspace)
    watching.look(2)
    assert (watching.rounds, watching.said) == (1, [])
    return watching


def epochs(workspace: Workspace) -> list[float]:
    return sorted(workspace.frame("units")["epoch"].unique())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name.startswith("cmon.watching")]


# -- what is read, and when ------------------------------------------------------------------------------


def test_a_new_checkpoint_goes_through_all_stages_once_it_stands_still(
    started: Watching, workspace: Workspace, checkpoints_folder: Path
) -> None:
    watched.save(checkpoints_folder, 2)
    started.look()
    assert epochs(workspace) == [0, 1]
    started.look()
    assert epochs(workspace) == [0, 1, 2]
    layout = workspace.frame("layout")
    assert set(layout.loc[layout["kind"] == "unit", "epoch"]) == {0, 1, 2}
    (line,) = started.said
    assert line.startswith("standard, epoch 2: conv1 d_anchor ")
    assert "relabelled since epoch 1" in line
    assert started.findings[-1].measures[-1].epoch == 2


def test_the_tables_are_those_of_stages_that_were_run_afterwards(
    started: Watching, workspace: Workspace, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path
) -> None:
    for epoch in (2, 3):
        watched.save(checkpoints_folder, epoch)
        started.look(2)
    runs = {"standard": checkpoints_folder}
    after = watched.run_stages(workspace.root.with_name("after"), runs, probe_folder, concepts_file)
    for name in ("checkpoints", "images", "shards", "units", "concepts", "vocabulary", "layout"):
        tables = [place.frame(name).drop(columns="placed", errors="ignore") for place in (workspace, after)]
        pd.testing.assert_frame_equal(*tables, obj=name)


def test_when_nothing_is_new_nothing_is_read(
    started: Watching, workspace: Workspace, checkpoints_folder: Path
) -> None:
    """Other weights in a file that looks the same would be seen by any reading."""
    aside = watched.save(checkpoints_folder.parent / "aside", 7)
    before = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")}
    torch.save({**watched.content(7), "epoch": 1}, aside)
    watched.exchange(checkpoints_folder / "epoch_1.pt", aside)
    started.look(5)
    assert started.rounds == 1
    assert {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")} == before
    os.utime(checkpoints_folder / "epoch_1.pt")  # and now it looks new
    started.look(2)
    assert [line[:17] for line in started.said] == ["standard, epoch 1"]


def test_a_file_that_is_still_being_written_is_left_also_in_a_round_for_another(
    started: Watching, workspace: Workspace, checkpoints_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = watched.save(checkpoints_folder.parent / "aside", 3).read_bytes()
    growing = checkpoints_folder / "epoch_3.pt"
    watched.save(checkpoints_folder, 2)
    for size in (1000, 2000, 3000):
        growing.write_bytes(whole[:size])
        started.look()
    assert epochs(workspace) == [0, 1, 2]
    assert "epoch_3.pt" not in set(workspace.frame("checkpoints")["checkpoint"])
    growing.write_bytes(whole)
    started.look(2)
    assert epochs(workspace) == [0, 1, 2, 3]
    assert [line[:17] for line in started.said] == ["standard, epoch 2", "standard, epoch 3"]
    assert warnings(caplog) == []


def test_a_file_that_appears_between_a_look_and_its_round_is_not_read(
    workspace: Workspace, checkpoints_folder: Path, probe_folder: Path
) -> None:
    """The extraction is told what is whole, not what is not."""
    seen = [watched.save(checkpoints_folder, 2)]
    (checkpoints_folder / "epoch_3.pt").write_bytes(seen[0].read_bytes()[:500])
    seen += [checkpoints_folder / f"epoch_{epoch}.pt" for epoch in (0, 1)]
    runs, layers = {"standard": checkpoints_folder}, ["conv1", "conv2"]
    result = cmon.extract(
        workspace,
        runs,
        probe_folder,
        model=watched.MODEL,
        layers=layers,
        workers=0,
        device="cpu",
        finished=seen,
    )
    assert (result.checkpoints, result.made, result.skipped_checkpoints) == (3, 2, [])


def test_a_broken_checkpoint_is_read_once_more_and_said_once(
    started: Watching, workspace: Workspace, checkpoints_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = checkpoints_folder / "epoch_2.pt"
    whole = watched.save(checkpoints_folder.parent / "aside", 2).read_bytes()
    broken.write_bytes(whole[:700])
    started.look(2)
    assert (started.rounds, warnings(caplog)) == (2, [])
    started.look()
    (warning,) = warnings(caplog)
    assert warning.startswith("skipped standard/epoch_2.pt: damaged")
    started.look(3)
    assert (started.rounds, len(warnings(caplog))) == (3, 1)
    watched.save(checkpoints_folder, 3)
    started.look(2)
    assert (started.rounds, len(warnings(caplog))) == (4, 1)
    broken.write_bytes(whole)
    started.look(2)
    assert epochs(workspace) == [0, 1, 2, 3]


def test_a_broken_checkpoint_that_is_whole_at_the_next_look_is_not_said(
    started: Watching, workspace: Workspace, checkpoints_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a file server shows a size that it does not yet have the bytes of."""
    path = checkpoints_folder / "epoch_2.pt"
    path.write_bytes(b"PK")
    started.look(2)
    watched.save(checkpoints_folder, 2)
    started.look(2)
    assert epochs(workspace) == [0, 1, 2]
    assert warnings(caplog) == []


# -- several runs, and options that change ------------------------------------------------------------------


def test_runs_go_on_by_themselves_and_it_ends_when_all_have_the_epoch(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path
) -> None:
    other = tmp_path / "runs" / "other"
    watched.save(other, 0)
    runs = {"standard": checkpoints_folder, "other": other}
    workspace = watched.run_stages(tmp_path / "work", runs, probe_folder, concepts_file)
    watching = Watching(workspace, until_epoch=1)
    assert not watching.look(2)
    watched.save(other, 2)  # later ones will do
    assert not watching.look()
    assert watching.look()
    assert [line[:14] for line in watching.said] == ["other, epoch 2"]
    assert Watching(workspace, until_epoch=1).look(2)


def test_a_run_of_which_nothing_is_whole_keeps_what_it_has(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path
) -> None:
    """A training that writes one file over and over."""
    other = tmp_path / "runs" / "other"
    only = watched.save(other, 0)
    runs = {"standard": checkpoints_folder, "other": other}
    workspace = watched.run_stages(tmp_path / "work", runs, probe_folder, concepts_file)
    watching = Watching(workspace)
    watching.look(2)
    os.utime(only)
    watched.save(checkpoints_folder, 2)
    watching.look()
    os.utime(only)
    watching.look()
    units = workspace.frame("units")
    assert {run: set(rows["epoch"]) for run, rows in units.groupby("run")} == {
        "standard": {0, 1, 2},
        "other": {0},
    }


def test_stages_that_the_workspace_has_not_seen_are_not_run(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path
) -> None:
    runs = {"standard": checkpoints_folder}
    workspace = watched.run_stages(tmp_path / "work", runs, probe_folder, concepts_file, "extract")
    watching = Watching(workspace)
    watched.save(checkpoints_folder, 2)
    watching.look(2)
    assert sorted(path.name for path in workspace.root.glob("*.parquet")) == [
        "checkpoints.parquet", "costs.parquet", "images.parquet", "shards.parquet",
    ]  # fmt: skip
    assert watching.said == [watching.said[0]]
    assert watching.said[0].startswith("standard, epoch 2: conv1 6 units read; conv2 8 units read")
    watched.run_stages(workspace.root, runs, probe_folder, concepts_file, "score")
    watching.look()
    assert watching.rounds == 2, "what is asked for anew is seen"
    watched.save(checkpoints_folder, 3)
    watching.look(2)
    assert epochs(workspace) == [0, 1, 2, 3]
    assert "% interpretable" in watching.said[-1]


def test_a_watch_keeps_the_options_as_they_were(
    started: Watching, workspace: Workspace, checkpoints_folder: Path
) -> None:
    before = {path: path.read_text() for path in (workspace.root / "requests").iterdir()}
    watched.save(checkpoints_folder, 2)
    started.look(2)
    assert {path: path.read_text() for path in (workspace.root / "requests").iterdir()} == before


def test_other_concepts_in_the_file_are_news(
    started: Watching, workspace: Workspace, concepts_file: Path
) -> None:
    concepts_file.write_text("concept,category\nred,color\nblue,color\n")
    started.look(2)
    assert set(workspace.frame("vocabulary")["concept"]) == {"red", "blue"}
    assert (started.rounds, started.said) == (2, [])


# -- errors -------------------------------------------------------------------------------------------------


def test_what_cannot_be_at_the_start_is_an_error_that_says_which(
    workspace: Workspace, concepts_file: Path
) -> None:
    concepts_file.unlink()
    with pytest.raises(CmonError, match="`cmon score`, option 'concepts'"):
        Watching(workspace)
    with pytest.raises(CmonError, match="does not say with which options"):
        Watching(Workspace(workspace.root / "none"))


def test_an_epoch_that_is_never_read_is_not_waited_for(
    workspace: Workspace, checkpoints_folder: Path, probe_folder: Path
) -> None:
    cmon.extract(
        workspace, {"standard": checkpoints_folder}, probe_folder, model=watched.MODEL, layers=["conv1", "conv2"],
        epochs=[(0, 1)], workers=0,
    )  # fmt: skip
    with pytest.raises(OptionError, match="no epoch after 1"):
        Watching(workspace, until_epoch=2)
    Watching(workspace, until_epoch=1)


def block(folder: Path) -> Callable[[], None]:
    """Put a file where a folder is needed, so that nothing can be written below; gives what removes it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    hidden = folder.with_name("hidden")
    if folder.exists():
        folder.rename(hidden)
    folder.write_text("in the way")

    def unblock() -> None:
        folder.unlink()
        if hidden.exists():
            hidden.rename(folder)

    return unblock


def test_what_cannot_be_written_is_waited_for_and_said_once(
    started: Watching, workspace: Workspace, checkpoints_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unblock = block(workspace.root / "activations/standard/conv2")
    watched.save(checkpoints_folder, 2)
    started.look(4)
    (warning,) = warnings(caplog)
    assert "cannot be written" in warning
    assert warning.endswith("it is tried again at every look")
    unblock()
    started.look()
    assert epochs(workspace) == [0, 1, 2]
    started.look(2)
    assert (started.rounds, len(warnings(caplog))) == (2, 1)


def test_a_folder_that_is_away_is_waited_for(
    started: Watching, workspace: Workspace, checkpoints_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = checkpoints_folder.rename(checkpoints_folder.with_name("away"))
    started.look(2)
    checkpoints_folder.mkdir()
    started.look(2)
    assert [text.partition(";")[0].rpartition(": ")[2] for text in warnings(caplog)] == [
        warnings(caplog)[0].partition(";")[0].rpartition(": ")[2],
        "holds no checkpoint",
    ]
    checkpoints_folder.rmdir()
    away.rename(checkpoints_folder)
    watched.save(checkpoints_folder, 2)
    started.look(3)
    assert epochs(workspace) == [0, 1, 2]


def test_a_run_whose_folder_is_away_does_not_hold_up_the_others(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path
) -> None:
    other = tmp_path / "runs" / "other"
    watched.save(other, 0)
    runs = {"standard": checkpoints_folder, "other": other}
    workspace = watched.run_stages(tmp_path / "work", runs, probe_folder, concepts_file, "extract")
    # As a disk that is not there now: the folder is, and holds nothing.
    watching = Watching(workspace)
    watching.look(2)
    (other / "epoch_0.pt").rename(tmp_path / "aside")
    watched.save(checkpoints_folder, 2)
    watching.look(2)
    shards = workspace.frame("shards")
    assert {run: set(own["epoch"]) for run, own in shards.groupby("run")} == {
        "standard": {0, 1, 2},
        "other": {0},
    }
    (tmp_path / "aside").rename(other / "epoch_0.pt")
    watching.look(2)
    assert [line.partition(":")[0] for line in watching.said] == ["standard, epoch 2"]


def test_the_first_round_waits_for_nothing(workspace: Workspace, checkpoints_folder: Path) -> None:
    block(workspace.root / "activations/standard/conv2")
    watching = Watching(workspace)
    with pytest.raises(CmonError, match="cannot be written"):
        watching.look(2)


def test_what_only_the_user_can_mend_ends_it(
    started: Watching, concepts_file: Path, checkpoints_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """But not while the file is just being written."""
    watched.save(checkpoints_folder, 2)
    started.look()
    concepts_file.write_text("concept,concept\nred,color\n")
    assert not started.look()
    assert len(warnings(caplog)) == 1
    with pytest.raises(CmonError, match="there is no anchor"):
        started.look()


# -- days ---------------------------------------------------------------------------------------------------


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files by /proc")
def test_100_checkpoints_in_10_rounds_leave_no_file_open_and_little_in_memory(
    tmp_path: Path,
    checkpoints_folder: Path,
    probe_folder: Path,
    concepts_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    runs = {"standard": checkpoints_folder}
    workspace = watched.run_stages(tmp_path / "work", runs, probe_folder, concepts_file, "extract score")
    watching = Watching(workspace)
    watching.look(2)
    watching.watch.trackers = ()
    used = {}
    for first in range(2, 102, 10):
        for epoch in range(first, first + 10):
            watched.save(checkpoints_folder, epoch)
        watching.look(2)
        if first in (22, 92):
            used[first] = open_files(), resident_mb()
    assert len(watching.said) == 100
    assert used[92][0] <= used[22][0]
    assert used[92][1] - used[22][1] < 28, used  # 0.4 MB for each checkpoint
    shutil.rmtree(workspace.root)
