"""What a worker answers, and that nothing of Ray is loaded where no cluster was asked for."""

from __future__ import annotations

import builtins
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cmon.distributed import on_ray
from cmon.distributed.runner import Here, answer, require_seen
from cmon.errors import CmonError, OptionError
from tests.support.spread_job import SpreadJob

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    monkeypatch.chdir(tmp_path)
    return Here.of_this_process(torch.get_num_threads())


def warn_and_add(common: int, task: int) -> int:
    logging.getLogger("cmon.some.module").warning("task %d", task)
    return common + task


def refuse(common: int, task: int) -> int:
    raise CmonError("wrong", expected="this", found="that", hint="so")


def fail(common: int, task: int) -> int:
    raise ZeroDivisionError


def test_an_answer_holds_the_value_and_what_was_warned_of(here: Here) -> None:
    found = answer(warn_and_add, here, 1, 2)
    assert (found.value, found.error, found.warnings) == (3, None, ["task 2"])


def test_an_error_for_the_user_is_an_answer_and_comes_back_as_it_was(here: Here) -> None:
    found = pickle.loads(pickle.dumps(answer(refuse, here, 1, 2)))
    assert found.value is None
    assert (str(found.error), found.error.line) == (
        "wrong\n  expected: this\n  found:    that\n  next:     so",
        "wrong; expected this; found that; next: so",
    )
    with pytest.raises(ZeroDivisionError):
        answer(fail, here, 1, 2)


def test_a_worker_works_in_the_folder_of_the_process_that_sent_the_task(here: Here, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    answer(warn_and_add, here, 1, 2)
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda here: replace(here, folder="/nowhere"), "does not see the folder /nowhere"),
        (
            lambda here: replace(here, versions={**here.versions, "torch": "0.1"}),
            "expected torch 0.1; found torch",
        ),
        (lambda here: replace(here, versions={**here.versions, "cmon": "9"}), "expected cmon 9"),
    ],
)
def test_a_machine_that_would_give_other_numbers_is_refused(
    here: Here, change: Callable[[Here], Here], words: str
) -> None:
    found = answer(warn_and_add, change(here), 1, 2)
    assert found.error is not None
    assert words in found.error.line
    assert "\n" not in found.error.line


def test_what_is_not_on_shared_storage_is_named(tmp_path: Path) -> None:
    require_seen(tmp_path, "the workspace")
    with pytest.raises(CmonError, match=r"does not see .*/away, the workspace"):
        require_seen(tmp_path / "away", "the workspace")


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.partition(".")[0] == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CmonError, match=r"pip install 'cmon\[ray\]'"), on_ray.connect("auto", "cpu", 1):
        pass


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://head:10001", "auto, local, or HOST:PORT"),
        ("head", "is no address"),
        ("127.0.0.1:1", "nothing answers there"),  # where no user's program may listen
    ],
)
def test_an_address_that_cannot_be_is_refused(address: str, words: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(CmonError, match=words), on_ray.connect(address, "cpu", 1):
        pass


def test_a_device_that_no_cluster_has_is_refused() -> None:
    with pytest.raises(OptionError, match="--ray with --device mps"), on_ray.connect("auto", "mps", 1):
        pass


class Nodes:
    """Stands for Ray: what it says of its machines."""

    def __init__(self, *resources: dict[str, float]) -> None:
        self.alive = dict(enumerate(resources))
        self.all = dict(self.alive)

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": f"node {number}", "Alive": number in self.alive, "Resources": has}
            for number, has in self.all.items()
        ]


def test_machines_that_are_lost_are_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(on_ray, "_LOOK_SECONDS", 0.0)
    nodes = Nodes({"CPU": 4}, {"CPU": 5, "GPU": 1}, {"CPU": 1})
    runner = on_ray.RayRunner(nodes, "cpu", 2)
    assert (runner.device, runner.threads, runner.slots) == ("cpu", 2, 4)
    shown = runner.describe("scoring")
    assert f"{shown}" == "scoring on 3 machines"
    del nodes.alive[0], nodes.alive[2]
    runner._machines.look()
    assert f"{shown}" == "scoring on 1 machine, 2 lost"
    assert caplog.text.count("a machine of the cluster is gone") == 2
    assert runner.slots == 2


def test_a_task_that_no_machine_can_run_is_refused_at_once() -> None:
    nodes = Nodes({"CPU": 4}, {"CPU": 5, "GPU": 1})
    assert on_ray.RayRunner(nodes, "auto", 5).device == "cuda"
    with pytest.raises(CmonError, match=r"6 CPU(?s:.*)largest with 5(?s:.*)OMP_NUM_THREADS"):
        on_ray.RayRunner(nodes, "auto", 6)
    with pytest.raises(CmonError, match=r"1 GPU(?s:.*)--device cpu"):
        on_ray.RayRunner(Nodes({"CPU": 4}), "cuda", 1)


def test_nothing_of_ray_is_loaded_without_the_option(job: SpreadJob, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.support.spread_job import SpreadJob\n"
        "SpreadJob(Path(sys.argv[1]), Path(sys.argv[2])).extract(Path(sys.argv[3]))\n"
        "assert 'ray' not in sys.modules"
    )
    words = [sys.executable, "-c", code, str(job.folder), str(job.probe), str(tmp_path / "work")]
    assert subprocess.run(words, cwd=REPOSITORY, check=False).returncode == 0
