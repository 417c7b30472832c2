"""Memory and time that each hostile input takes, printed: python -m tests.hostile.measure

Each is read in a child process of its own, beside a good checkpoint or picture. All that a run loads in any case is
there before, so that what is measured is over that.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint  # loaded before, as all that a run needs in any case

from tests.hostile.catalogue import CATALOGUE, Bad
from tests.hostile.making import picture, raw, saved, weights
from tests.hostile.trying import read, write

MOST_MEMORY = 300 << 20
"""Bytes that a refused input may take over what the run takes without it."""
_GOOD = {"checkpoint": saved(weights), "picture": picture("JPEG")}


@dataclass(frozen=True)
class Cost:
    """Of reading one input."""

    bad: Bad
    memory: int
    """Bytes at the peak, over what the process had before."""
    seconds: float
    """Of the processor."""
    reason: str | None


def measure(inputs: Iterable[Bad] = CATALOGUE) -> Iterator[Cost]:
    """The costs of all inputs. Linux only: other systems do not tell a process's peak since a moment."""
    inputs = list(inputs)
    for kind in {bad.kind for bad in inputs}:  # so that all that is loaded at first use is there
        good = Bad(kind, "good", "", _GOOD.get(kind, raw(b"path,epoch,loss\n1,2,3\n", "bad.csv")))
        with tempfile.TemporaryDirectory() as folder:
            read(good, write(good, Path(folder)))
    for bad in inputs:
        with tempfile.TemporaryDirectory() as folder:
            _in_child(_write, bad, Path(folder))
            memory, seconds, reason = _in_child(_read, bad, Path(folder))
        yield Cost(bad, memory, seconds, reason)


def _in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    context = multiprocessing.get_context("fork")  # with torch loaded already
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        sender.send(function(*arguments))

    child = context.Process(target=run)
    child.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        child.join()


def _write(bad: Bad, folder: Path) -> None:
    write(bad, folder)


def _read(bad: Bad, folder: Path) -> tuple[int, float, str | None]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, start = _peak(), time.process_time()
    reason = read(bad, folder / "given")
    return _peak() - before, time.process_time() - start, reason


def _peak() -> int:
    """Bytes that the process had at most since its peak was cleared."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10


def main() -> None:
    costs = []
    for cost in measure():
        costs.append(cost)
        print(
            f"{cost.memory / 2**20:8.1f} MB {cost.seconds:6.2f} s  {cost.bad.kind}: {cost.bad.what}",
            flush=True,
        )
    most, longest = max(costs, key=lambda cost: cost.memory), max(costs, key=lambda cost: cost.seconds)
    print(f"{len(costs)} inputs")
    print(f"most memory: {most.memory / 2**20:.0f} MB ({most.bad.kind}: {most.bad.what})")
    print(f"longest: {longest.seconds:.2f} s ({longest.bad.kind}: {longest.bad.what})")


if __name__ == "__main__":
    main()
