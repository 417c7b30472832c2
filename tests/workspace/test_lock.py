"""One writer at a time: others wait and say whom for; the dead hold nothing, and what they left is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmon.workspace.files import atomic_write, sweep
from cmon.workspace.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from cmon.workspace.workspace import Workspace
place = Workspace(Path(sys.argv[1]))
with place.writing("score"):
    (place.root / "begun").write_text("")
    time.sleep(float(sys.argv[2]))
    (place.root / "ended").write_text(str(time.time()))
"""


def hold(root: Path, seconds: float) -> subprocess.Popen[bytes]:
    """Another process that has the lock, once this returns."""
    started = subprocess.Popen([sys.executable, "-c", HOLD, str(root), str(seconds)], cwd=REPOSITORY)
    while not (root / "begun").exists():
        assert started.poll() is None
        time.sleep(0.02)
    return started


def test_a_second_writer_waits_and_says_whom_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = hold(tmp_path, 1.5)
    with caplog.at_level("WARNING"), Workspace(tmp_path).writing("extract"):
        assert time.time() >= float((tmp_path / "ended").read_text())
    assert other.wait() == 0
    (said,) = caplog.messages
    assert "waiting for `cmon score`" in said
    assert f"process {other.pid}" in said


def test_a_killed_writer_holds_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = hold(tmp_path, 60)
    other.send_signal(signal.SIGKILL)
    other.wait()
    start = time.monotonic()
    with caplog.at_level("WARNING"), Workspace(tmp_path).writing("extract"):
        pass
    assert time.monotonic() - start < 5
    assert caplog.messages == []


def test_readers_are_never_blocked(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    with place.writing("extract"):
        assert list(Workspace(tmp_path).root.glob("*.parquet")) == []
        with place.writing("report"):  # the same object has it already
            pass


def test_a_block_that_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Workspace(tmp_path / "work").writing("extract"):
        raise ZeroDivisionError
    assert not (tmp_path / "work").exists()


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "work" / "mine").mkdir(parents=True)
    with Workspace(tmp_path / "work").writing("extract"):
        pass
    assert list((tmp_path / "work").rglob("*")) == [tmp_path / "work" / "mine"]


def test_a_folder_that_cannot_be_written_can_still_be_read(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    place = Workspace(tmp_path / "work")
    place.root = blocked / "under"  # where nothing can be made, whoever asks (a mode would not stop root)
    place._lock.root = place.root
    with place.writing("report"):
        pass


def test_what_dead_processes_left_aside_is_removed_at_the_next_start(tmp_path: Path) -> None:
    deep = tmp_path / "activations" / "run" / "layer"
    deep.mkdir(parents=True)
    program = (
        "import os, sys; from pathlib import Path; from cmon.workspace.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as aside: aside.write_text('half'); os._exit(9)"
    )
    for path in (deep / "1.parquet", tmp_path / ("x" * 250)):
        done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=REPOSITORY, check=False)
        assert done.returncode == 9
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) == 2
    assert all(path.name.startswith(".") and path.name.endswith(".part") for path in left)
    stranger = tmp_path / ".units.parquet.another-machine.17.part"
    stranger.write_text("perhaps in use")
    mine = tmp_path / "mine"
    with atomic_write(mine) as aside:
        aside.write_text("whole")
        sweep(tmp_path)
        assert aside.exists(), "in use"
    with Workspace(tmp_path).writing("score"):
        assert sorted(path.name for path in tmp_path.rglob("*.part")) == [stranger.name]
    os.utime(stranger, (0, 0))
    sweep(tmp_path)
    assert not stranger.exists()
    assert mine.read_text() == "whole"


PART = """
import sys, time
from pathlib import Path
from cmon.workspace.workspace import Workspace
place, part = Workspace(Path(sys.argv[1])), sys.argv[2]
with place.writing_part("extract", part):
    (place.root / f"begun-{part[0]}").write_text("")
    time.sleep(float(sys.argv[3]))
    (place.root / f"ended-{part[0]}").write_text(str(time.time()))
"""


def begin_part(root: Path, part: str, seconds: float) -> subprocess.Popen[bytes]:
    """Another process that does a part, once this returns."""
    started = subprocess.Popen([sys.executable, "-c", PART, str(root), part, str(seconds)], cwd=REPOSITORY)
    while not (root / f"begun-{part[0]}").exists():
        assert started.poll() is None
        time.sleep(0.02)
    return started


def test_parts_write_side_by_side_and_a_command_waits_for_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = [begin_part(tmp_path, part, 60) for part in ("1/3", "2/3")]
    left = tmp_path / f".half.parquet.{os.uname().nodename}.{others[0].pid}.part"
    left.write_text("in use")
    with Workspace(tmp_path).writing_part("extract", "3/3"):
        assert [one.poll() for one in others] == [None, None]
        assert left.exists(), "of another part, perhaps"
    for one in others:
        one.kill()  # their locks go with them
        one.wait()
    last = begin_part(tmp_path, "3/3", 1.5)
    with caplog.at_level("WARNING"), Workspace(tmp_path).writing("extract"):
        assert time.time() >= float((tmp_path / "ended-3").read_text())
        assert not left.exists()
        assert not [*tmp_path.glob(".lock.*")]
    assert last.wait() == 0
    assert "waiting for part 3/3 of `cmon extract`" in caplog.text


def test_a_part_waits_for_a_command_and_for_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = hold(tmp_path, 1.5)
    with caplog.at_level("WARNING"), Workspace(tmp_path).writing_part("extract", "1/2"):
        assert time.time() >= float((tmp_path / "ended").read_text())
    assert other.wait() == 0
    assert "waiting for `cmon score`" in caplog.text
    same = begin_part(tmp_path, "1/2", 1)
    with caplog.at_level("WARNING"), Workspace(tmp_path).writing_part("extract", "1/2"):
        assert time.time() >= float((tmp_path / "ended-1").read_text())
    assert same.wait() == 0
    assert "waiting for another process that does part 1/2" in caplog.text


def test_what_all_parts_need_is_made_by_one(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from cmon.workspace.workspace import Workspace\n"
        "root = Path(sys.argv[1])\n"
        "with Workspace(root).alone('decoded images'):\n"
        "    assert not (root / 'busy').exists()\n"
        "    (root / 'busy').touch(); time.sleep(0.2); (root / 'busy').unlink()\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY) for _ in range(3)
    ]
    assert [one.wait() for one in started] == [0, 0, 0]
