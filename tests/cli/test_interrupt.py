"""Ctrl-C ends a command soon, also in the middle of compiled code, and what it says is true."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmon.cli import interrupt
from cmon.workspace.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """SIGINT is heard, also where the tests run in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


NETWORK = """
import time
import torch
from pathlib import Path
from tests.support.tiny_models import Tiny

class Net(Tiny):
    seen = 0

    def forward(self, x):
        Net.seen += len(x)
        if Net.seen > 70:
            (Path(__file__).parent / "begun").write_text("")
            {work}
        return super().forward(x)
"""
WORK = {
    "of Python": "time.sleep(60)",
    "of compiled code": "torch.linalg.svd(torch.rand(6000, 6000, dtype=torch.float64))",
}


@pytest.mark.parametrize("work", WORK)
def test_ctrl_c_ends_a_command_wherever_it_is(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, work: str
) -> None:
    program, root = tmp_path / "slow.py", tmp_path / "work"
    program.write_text(NETWORK.format(work=WORK[work]))
    command = [
        sys.executable, "-m", "cmon", "extract", root, "--run", f"a={checkpoints_folder}", "--probe", probe_folder,
        "--layer", "conv1", "--model", f"python:{program}:Net", "--workers", 0, "--device", "cpu", "--batch-size", 8,
    ]  # fmt: skip
    started = subprocess.Popen(
        [str(part) for part in command],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a shell's background jobs ignore it
    )
    while not (tmp_path / "begun").exists():
        assert started.poll() is None, started.stderr and started.stderr.read()
        time.sleep(0.05)
    start = time.monotonic()
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert time.monotonic() - start < 8, "on a machine that does much else; alone it is under 2"
    assert started.returncode == interrupt.EXIT
    assert interrupt.words("extract") in " ".join(said.split())
    assert "Traceback" not in said
    assert (root / "activations" / "a" / "conv1" / "0.parquet").exists(), "what was finished is kept"
    with Workspace(root).writing("extract"):  # the lock is free, and nothing is left aside
        assert not list(root.rglob("*.part"))


def test_a_block_that_ends_in_time_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), interrupt.ended_promptly(lambda: "score"):  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        time.sleep(1)
    time.sleep(interrupt._PATIENCE + 0.3)
    assert capfd.readouterr().err == ""
    assert signal.set_wakeup_fd(-1) == -1, "as before"


def test_outside_the_main_thread_nothing_is_watched() -> None:
    found = []

    def work() -> None:
        with interrupt.ended_promptly(lambda: None):
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_every_command_says_what_is_kept() -> None:
    from cmon.cli.main import main

    assert set(interrupt.KEPT) == set(main.commands)
    assert interrupt.words(None).startswith("interrupted: what was finished is kept")
