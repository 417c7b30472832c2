"""On a cluster, the tables of one process, value for value, whatever fails meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from types import BuiltinFunctionType
from typing import Any

import pytest

from cmon.distributed import on_ray
from cmon.extraction import pieces
from tests.distributed.conftest import Cluster
from tests.support.spread_job import SpreadJob, assert_same_tables, files

REPOSITORY = Path(__file__).parents[2]


def wait_until(what: Callable[[], bool], seconds: float = 120) -> None:
    """Far longer than it takes: others may use this machine, too."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def waiting(job: SpreadJob) -> set[int]:
    """The processes that wait in the middle of a checkpoint."""
    return {int(path.name.partition("-")[2]) for path in job.hold.parent.glob("waits-*")}


def is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_tables_are_those_of_one_process(
    cluster: Cluster, job: SpreadJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, spread, divided = tmp_path / "alone", tmp_path / "spread", tmp_path / "in pieces"
    shown: list[tuple[int | None, int]] = []

    def progress(items: Iterable[Any], description: object = "", total: int | None = None) -> Iterable[Any]:
        found = list(items)
        if "activations on 3 machines" in str(description):
            shown.append((total, len(found)))
        return found

    with on_ray.connect(cluster.address, "cpu", 1) as runner:  # for all calls: so workers need not start anew
        assert str(runner.describe("extracting")) == "extracting on 3 machines"
        for root, more in ((alone, {}), (spread, {"ray": cluster.address})):
            result = job.extract(root, **more)
            assert result.made == 12
            assert [name for name, _ in result.skipped_checkpoints] == ["b/epoch_1.pt", "b/epoch_2.pt"]
            assert "these weights fail" in dict(result.skipped_checkpoints)["b/epoch_1.pt"]
            job.score(root, **more)
        assert_same_tables(alone, spread, "extract")
        assert_same_tables(alone, spread, "score")
        assert job.extract(spread, ray=cluster.address).made == 0
        job.score(alone, baseline="first")
        job.score(spread, baseline="first", ray=cluster.address)
        monkeypatch.setattr(pieces, "LEAST", 16)
        assert job.extract(divided, ray=cluster.address, progress=progress).made == 12
        job.score(divided, baseline="first")
    assert_same_tables(alone, spread, "score")
    assert shown == [(2 * 7 + 7, 2 * 7 + 7)], "two pieces of each checkpoint, and what joins them"
    assert_same_tables(alone, divided, "extract")
    assert_same_tables(alone, divided, "score")
    assert not (divided / "cache" / "pieces").exists()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT interrupts, also where the tests run behind a shell's `&`, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_the_tasks_and_leaves_what_was_finished(
    cluster: Cluster, job: SpreadJob, tmp_path: Path, ctrl_c: None
) -> None:
    job.hold.touch()
    root = tmp_path / "spread"

    def interrupt() -> None:
        try:
            wait_until(lambda: len(waiting(job)) == 3 and len(files(root)) >= 2)
        finally:
            signal.raise_signal(signal.SIGINT)

    pressing = Thread(target=interrupt)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        job.extract(root, ray=cluster.address)
    pressing.join()
    wait_until(lambda: not any(is_running(process) for process in waiting(job)))
    done = files(root)
    job.hold.unlink()
    assert job.extract(root).made == 12 - len(done)


def test_the_process_that_gives_the_tasks_is_killed(cluster: Cluster, job: SpreadJob, tmp_path: Path) -> None:
    job.extract(tmp_path / "alone")
    job.hold.touch()
    root = tmp_path / "spread"
    code = (
        "import sys; from pathlib import Path; from tests.support.spread_job import SpreadJob\n"
        "SpreadJob(Path(sys.argv[1]), Path(sys.argv[2])).extract(Path(sys.argv[3]), ray=sys.argv[4])"
    )
    words = [sys.executable, "-c", code, str(job.folder), str(job.probe), str(root), cluster.address]
    begun = subprocess.Popen(words, cwd=REPOSITORY)
    try:
        wait_until(lambda: len(waiting(job)) == 3)
    finally:
        begun.send_signal(signal.SIGKILL)
        begun.wait()
    done = {name: (root / name).stat().st_mtime_ns for name in files(root)}
    assert done
    job.hold.unlink()
    assert job.extract(root).made == 12 - len(done)
    assert {name: (root / name).stat().st_mtime_ns for name in done} == done, (
        "what was finished was done again"
    )
    assert_same_tables(tmp_path / "alone", root, "extract")


def test_a_worker_and_a_machine_are_lost(
    cluster: Cluster, job: SpreadJob, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    job.extract(tmp_path / "alone")
    job.hold.touch()
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(job.extract, tmp_path / "spread", ray=cluster.address)
        try:
            wait_until(lambda: len(waiting(job)) == 3)
            os.kill(waiting(job).pop(), signal.SIGKILL)
            wait_until(lambda: len(waiting(job)) > 3)
            cluster.lose_one()
        finally:
            job.hold.unlink()
        assert begun.result().made == 12
    assert_same_tables(tmp_path / "alone", tmp_path / "spread", "extract")
    assert capfd.readouterr().out == ""
    assert isinstance(print, BuiltinFunctionType), "numba compiles no other, and umap needs it"
