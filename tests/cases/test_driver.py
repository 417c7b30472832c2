"""The driver: jobs that wait for each other, options that are passed on, and both ways of calling it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from scripts.cases.jobs import Job, run_jobs
from scripts.cases.options import as_typed, build_setup, setup_options
from scripts.cases.setup import Setup
from scripts.cases.studies import Study, run_folder, workspace_folder
from scripts.cases.train import main as train_one
from tests.support.tiny_cases import tiny_setup

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, time
from pathlib import Path
name, *needed = sys.argv[1:]
for other in needed:
    assert Path(other).is_file(), other
time.sleep(0.2)
Path(name).write_text(name)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "leave.py").write_text(PROGRAM)
    (tmp_path / "fail.py").write_text("raise SystemExit(7)")
    (tmp_path / "sleep.py").write_text("import time; time.sleep(60)")
    return tmp_path


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_job_begins_when_what_it_needs_is_done(folder: Path, at_once: int) -> None:
    jobs = [
        Job("c", ("leave", "c", "a", "b"), frozenset({"a", "b"})),
        Job("b", ("leave", "b", "a"), frozenset({"a", "before"})),
        Job("a", ("leave", "a")),
    ]
    run_jobs(jobs, ["before"], at_once, folder, os.environ)
    assert all((folder / name).is_file() for name in "abc")


def test_when_a_job_fails_the_others_are_ended_and_no_more_are_begun(folder: Path) -> None:
    jobs = [
        Job("long", ("sleep",)),
        Job("bad", ("fail",)),
        Job("after", ("leave", "after"), frozenset({"bad"})),
    ]
    with pytest.raises(SystemExit) as ended:
        run_jobs(jobs, [], 2, folder, os.environ)
    assert ended.value.code == 7
    assert not (folder / "after").exists()


def test_a_need_that_nobody_meets_is_told(folder: Path) -> None:
    with pytest.raises(ValueError, match="nobody makes missing"):
        run_jobs([Job("a", ("leave", "a"), frozenset({"missing"}))], [], 1, folder, os.environ)


@click.command()
@setup_options
def command(**_: object) -> None:
    """Holds the options."""


def test_what_is_passed_on_makes_the_same_setup(photographs: Path, tmp_path: Path) -> None:
    given = {
        "data": photographs / "train",
        "test": photographs / "test",
        "network": "narrow-resnet18-4",
        "side": 16,
        "epochs": 2,
        "learning_rate": 0.003,
        "optimizer": "SGD:momentum=0.9",
        "batch_size": 8,
        "radius": 0.05,
        "workers": 1,
    }
    setup = build_setup(tmp_path, given)
    again = command.make_context("command", as_typed(setup, command)).params
    assert build_setup(tmp_path, again) == setup
    defaults = command.make_context("command", []).params
    assert as_typed(build_setup(tmp_path, defaults), command) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": "resnet19"}, "--network resnet19: expected narrow-resnet18"),
        ({"optimizer": "Adamw"}, "torch.optim has no optimizer 'Adamw'"),
        ({"optimizer": "SGD:momentun=1"}, "NAME:OPTION=NUMBER"),
        ({"optimizer": "SGD:momentum"}, "NAME:OPTION=NUMBER"),
        ({"data": None}, "--test: the drawn world has its own"),
    ],
)
def test_a_setup_that_cannot_be_is_refused_at_once(
    photographs: Path, tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    setup = tiny_setup(photographs, tmp_path)
    given = {name: getattr(setup, name) for name in vars(setup) if name != "out"} | changed
    with pytest.raises(click.UsageError, match=said):
        build_setup(tmp_path, given)


def test_one_training_by_hand_and_one_whose_start_is_missing(standard: Setup, tmp_path: Path) -> None:
    options = as_typed(standard, train_one)
    done = CliRunner().invoke(train_one, ["standard", "1", str(standard.out), *options])
    assert done.exit_code == 0, done.output
    assert "standard@1: trained already" in done.stderr
    tiny_setup(standard.data.parent, tmp_path)
    missing = CliRunner().invoke(train_one, ["winning", "1", str(tmp_path), *options])
    assert missing.exit_code == 2
    assert "winning starts from standard: train standard 1" in missing.stderr


@pytest.mark.parametrize("call", [["scripts/cases/run.py"], ["-m", "scripts.cases.run"]])
def test_the_driver_can_be_called_by_its_path_and_as_a_module(call: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *call, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--study" in done.stdout


def test_folders(tmp_path: Path) -> None:
    assert run_folder(tmp_path, "winning", 2) == tmp_path / "runs" / "winning@2"
    assert workspace_folder(tmp_path, "lottery") == tmp_path / "lottery" / "workspace"
    assert Study.run_name("standard", 1) == "standard@1"
