"""One holder, whoever dies, sleeps or comes at the same time; by short seconds of the same proportions."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest

from cmon.errors import CmonError
from cmon.storage import lease
from cmon.storage.lease import Lease, Times, this_process
from cmon.storage.url_path import UrlPath
from cmon.workspace.workspace import Workspace
from tests.storage.conftest import file_system

SHORT = Times(beat=0.1, dead=1.5, settle=0.5)


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "TIMES", SHORT)


@pytest.fixture
def lock(memory: str) -> UrlPath:
    return UrlPath(f"{memory}/work/.lock")


def new(lock: UrlPath) -> Lease:
    return Lease(lock, this_process("extract"))


def die(held: Lease) -> None:
    """As a process that is killed: it beats no more, and gives nothing back."""
    held._end.set()
    assert held._thread is not None
    held._thread.join()


def test_the_second_waits_until_the_first_gives_it_back(lock: UrlPath) -> None:
    first, second = new(lock), new(lock)
    first.acquire()
    with pytest.raises(TimeoutError):
        second.acquire(timeout=2 * SHORT.dead)  # far longer than a dead one would be waited for: it beats
    assert second.holder()["command"] == "extract"
    first.require_held()
    first.release()
    assert not lock.exists()
    second.acquire(timeout=0)
    second.release()


def test_a_dead_holder_is_waited_for_and_then_taken_over(
    lock: UrlPath, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = new(lock), new(lock)
    first.acquire()
    die(first)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        second.acquire(timeout=30)
    assert time.monotonic() - began >= SHORT.dead
    assert "counts as ended" in caplog.text
    assert f"process {this_process('')['process']}" in caplog.text
    second.require_held()
    first.release()
    second.require_held()  # what is another's is not given back
    second.release()


def test_who_was_robbed_writes_no_more(lock: UrlPath) -> None:
    first = new(lock)
    first.acquire()
    lock.write_bytes(json.dumps({"token": "another's"}).encode())
    with pytest.raises(CmonError, match=r"took over(.|\n)*run the command again"):
        first.require_held()
    first.release()
    assert json.loads(lock.read_bytes()) == {"token": "another's"}


def test_who_slept_too_long_takes_itself_for_robbed(lock: UrlPath) -> None:
    first = new(lock)
    first.acquire()
    die(first)
    first.require_held()
    time.sleep(SHORT.silent)
    with pytest.raises(CmonError, match="took over"):
        first.require_held()
    assert lock.exists()


def test_of_many_that_wait_for_a_dead_one_one_has_it(lock: UrlPath) -> None:
    dead = new(lock)
    dead.acquire()
    die(dead)
    together, held, most = Barrier(6), [], []

    def wait() -> None:
        own = new(lock)
        together.wait()
        own.acquire(timeout=60)
        held.append(own)
        most.append(len(held))
        time.sleep(0.05)
        own.require_held()
        held.remove(own)
        own.release()

    threads = [Thread(target=wait) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_a_store_where_two_can_make_an_object_is_refused(
    lock: UrlPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_EXCLUSIVE", set())
    system = type(file_system(str(lock)))
    whole = system.pipe_file
    monkeypatch.setattr(system, "pipe_file", lambda self, path, value, mode="": whole(self, path, value))
    with pytest.raises(CmonError, match=r"no workspace can be in this store(.|\n)*a second could, too"):
        new(lock).acquire()
    assert not lock.exists()


def test_s3_lets_one_make_the_object(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_EXCLUSIVE", set())
    monkeypatch.setattr(lease, "TIMES", Times(beat=0.2, dead=3.0, settle=0.5))
    lock = UrlPath(f"{s3}/work/.lock")
    first, second = new(lock), new(lock)
    first.acquire()
    with pytest.raises(TimeoutError):
        second.acquire(timeout=0)
    die(first)
    second.acquire(timeout=30)
    second.require_held()
    with pytest.raises(CmonError, match="took over"):
        first.require_held()
    second.release()
    assert not lock.exists()


@pytest.fixture
def work(memory: str) -> Iterator[str]:
    return f"{memory}/work"


def test_a_workspace_has_one_writer(work: str, caplog: pytest.LogCaptureFixture) -> None:
    one, other = Workspace(work), Workspace(work)
    order = []

    def second() -> None:
        with other.writing("score"):
            order.append("second")

    with one.writing("extract"):
        thread = Thread(target=second)
        thread.start()
        with one.writing("extract"):  # the same object takes it again
            time.sleep(2 * SHORT.dead)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_parts_write_beside_each_other_and_no_command_meanwhile(work: str) -> None:
    order = []

    def whole() -> None:
        with Workspace(work).writing("extract"):
            order.append("whole")

    with Workspace(work).writing_part("extract", "1/2"), Workspace(work).writing_part("extract", "2/2"):
        with Workspace(work).alone("decoded images"):
            thread = Thread(target=whole)
            thread.start()
            time.sleep(2 * SHORT.dead)
        order.append("parts")
    thread.join()
    assert order == ["parts", "whole"]
    assert not list(UrlPath(work).iterdir())


def test_a_robbed_writer_stops_before_it_writes(work: str, tmp_path: Path) -> None:
    from cmon.workspace.files import atomic_write

    place = Workspace(work)
    path = place.root / "requests" / "extract.json"
    with place.writing("extract"):
        UrlPath(f"{work}/.lock").write_bytes(b'{"token": "another"}')
        with pytest.raises(CmonError, match="took over"), atomic_write(path) as aside:
            aside.write_text("{}")
    assert not path.exists()
