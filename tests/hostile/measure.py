"""Memory and time that each hostile input takes, printed: python -m tests.hostile.measure

Each is read in a child process, beside a good checkpoint or picture. All that a run loads in any case is there before,
so that what is measured is over that. A child reads many, one after the other, and another one goes on as soon as it
keeps memory that the next input could use again without being seen.
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
_KEPT = 16 << 20
"""Bytes over what it began with, above which a child reads no other input: no more than these can go unseen."""
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
    table = raw(b"path,epoch,loss\n1,2,3\n", "bad.csv")
    good = [Bad(kind, "good", "", _GOOD.get(kind, table)) for kind in {bad.kind for bad in inputs}]
    with tempfile.TemporaryDirectory() as folder:
        warm = [(one, Path(folder) / one.kind) for one in good]
        places = [(bad, Path(folder) / str(number)) for number, bad in enumerate(inputs)]
        _in_child(_write, warm + places)  # what making them takes does not count
        for one, place in warm:  # so that all that is loaded at first use is there
            read(one, place / "given")
        while places:
            found = _in_child(_read, warm, places)
            for (bad, _), cost in zip(places, found, strict=False):
                yield Cost(bad, *cost)
            places = places[len(found) :]


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


def _write(places: Iterable[tuple[Bad, Path]]) -> None:
    for bad, folder in places:
        folder.mkdir()
        write(bad, folder)


def _read(
    warm: Iterable[tuple[Bad, Path]], places: Iterable[tuple[Bad, Path]]
) -> list[tuple[int, float, str | None]]:
    """Memory, seconds and reason of the first inputs, at least one, as far as one process can tell them apart."""
    for good, folder in warm:  # a forked process has its own memory only of what it has used
        read(good, folder / "given")
    found: list[tuple[int, float, str | None]] = []
    began = _cleared_peak()
    for bad, folder in places:
        before, start = _cleared_peak(), time.process_time()
        if found and before - began > _KEPT:
            break
        reason = read(bad, folder / "given")
        found.append((_peak() - before, time.process_time() - start, reason))
    return found


def _cleared_peak() -> int:
    """Bytes that the process has now; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


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
