"""Hostile inputs given to the command, many at once: rows with reasons, exit codes, a terminal left alone."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from cmon.cli.main import main
from cmon.errors import CmonError
from cmon.workspace.workspace import Workspace
from tests.hostile.making import hollow, link, pipe, raw, saved, tiff, weights
from tests.support.checkpoint_cases import save, state
from tests.support.checkpoints import train_network

ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202e"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def is_told(result: Result, *words: str) -> None:
    """One error of the user's, without a traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2), result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


def does_not_act(text: str) -> None:
    acting = {one for one in text if unicodedata.category(one) == "Cc"} - {"\n", "\t", "\r"}
    assert not acting
    assert "\u202e" not in text


@pytest.fixture
def options(tmp_path: Path, probe_folder: Path) -> list[object]:
    runs, probe = tmp_path / "hostile runs", tmp_path / "hostile probe"
    probe.mkdir()
    for path in sorted(probe_folder.iterdir())[:8]:
        (probe / path.name).write_bytes(path.read_bytes())
    for epoch in range(2):
        save(state(train_network(epoch)), runs / f"epoch_{epoch}.pt")
    hostile_runs = (
        raw(b"\x80\x02]" * 9, f"{ESCAPE}epoch_2.pt"),
        saved(lambda: {"epoch": 10**400, ESCAPE: weights()}, "epoch_3.pt"),
        pipe("epoch_4.pt"),
        link("epoch_5.pt", "/dev/zero"),
        hollow("epoch_6.pt", 1 << 40),
        saved(lambda: weights() | {f"{ESCAPE}.weight": weights()["fc.weight"]}, "epoch_7.pt"),
    )
    hostile_pictures = (
        raw(b"%!PS\n", f"a{ESCAPE}.png"),
        pipe("b.png"),
        link("c.png", "/dev/zero"),
        raw(tiff(), "d.png"),
        hollow("e.png", 1 << 40),
    )
    for write in hostile_runs:
        write(runs)
    for write in hostile_pictures:
        write(probe)
    return ["--run", f"standard={runs}", "--probe", probe, "--layer", "conv2", "--model",
            "python:tests.support.tiny_models:network", "--workers", 0, "--device", "cpu"]  # fmt: skip


def test_each_costs_one_row_and_the_others_are_read(tmp_path: Path, options: list[object]) -> None:
    result = run("extract", tmp_path / "work", *options)
    assert result.exit_code == 0, result.output
    does_not_act(result.output)
    rows = pq.read_table(tmp_path / "work" / "checkpoints.parquet").to_pylist()
    assert {row["epoch"] for row in rows if row["status"] == "ok"} == {0.0, 1.0, 3.0}
    skipped = [row for row in rows if row["status"] == "skipped"]
    assert len(skipped) == 5
    images = pq.read_table(tmp_path / "work" / "images.parquet").to_pylist()
    assert [row["status"] for row in images].count("skipped") == 5
    assert [row["status"] for row in images].count("ok") == 8
    for row in (*rows, *images):
        does_not_act(json.dumps(row, ensure_ascii=False, default=str).replace("\\u00", ""))
    assert run("extract", tmp_path / "work", *options, "--strict").exit_code == 3


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_the_plan_acts_on_no_terminal(tmp_path: Path, options: list[object], form: str) -> None:
    result = run("extract", tmp_path / "work", *options, "--dry-run", "--format", form)
    assert result.exit_code == 0, result.output
    does_not_act(result.output)


def test_a_run_whose_name_is_too_long_for_a_folder_is_refused_at_once(
    tmp_path: Path, options: list[object]
) -> None:
    for name in ("ü" * 240, "a" * 300):
        again = [str(one).replace("standard=", f"{name}=") for one in options]
        is_told(run("extract", tmp_path / "work", *again), "is too long for a folder")
        with pytest.raises(CmonError, match="a name too long for a folder"):
            Workspace(tmp_path / "work").activations(name, "layer", 1)
    long = [str(one).replace("standard=", f"{'a' * 240}=") for one in options]
    assert run("extract", tmp_path / "work", *long).exit_code == 0


@pytest.mark.parametrize("place", ["file/work", "/proc/work", "/dev/null/work", "a" * 300])
def test_a_workspace_that_cannot_be_made_is_an_error(
    tmp_path: Path, options: list[object], place: str
) -> None:
    (tmp_path / "file").write_text("")
    for command in (
        ["extract", tmp_path / place, *options],
        ["embed", tmp_path / place],
        ["report", tmp_path / place],
    ):
        is_told(run(*command))


def test_a_workspaces_hostile_tables_are_errors(tmp_path: Path, options: list[object]) -> None:
    import os

    work = tmp_path / "work"
    assert run("extract", work, *options).exit_code == 0
    tables = [work / name for name in ("shards.parquet", "images.parquet", "checkpoints.parquet")]
    for table in tables:
        content = table.read_bytes()
        for other in (b"", b"PAR1" + bytes(100) + b"PAR1", content[: len(content) // 2]):
            table.write_bytes(other)
            is_told(run("score", work, "--concepts", tmp_path / "gone.txt", "--clip", "python:x:y"))
        table.unlink()
        os.mkfifo(table)
        is_told(run("score", work, "--concepts", tmp_path / "gone.txt", "--clip", "python:x:y"))
        table.unlink()
        table.write_bytes(content)
