"""Pieces of work on all cores of the CPU, each piece on one core from beginning to end.

torch spreads every single operation over the cores and waits for the slowest. Where another program keeps a core
busy (such as the training whose checkpoints are analysed), each of thousands of waits lasts until that program has had
its turn: measured on two cores, 52 s for what takes 6 s in this way, and 3 s in either way when nothing else runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], device: torch.device, most: int | None = None
) -> Iterator[Result]:
    """`work` of each item, in the items' order; at most one more is under way than there are cores.

    most: cores that may work at a time; None: all that torch uses.

    On other devices than the CPU, one after the other. Until the last result is taken (or the iterator closed),
    torch itself uses one core, in the caller's thread too.
    """
    cores = torch.get_num_threads()
    if device.type != "cpu" or cores == 1:
        yield from map(work, items)
        return

    workers = min(cores, most or cores)

    def without_gradients(item: Item) -> Result:  # the mode is each thread's own
        with torch.no_grad():
            return work(item)

    torch.set_num_threads(1)  # of threads that start from now on, and of this one
    try:
        with ThreadPoolExecutor(workers) as pool:
            under_way: deque[Future[Result]] = deque()
            try:
                for item in items:
                    under_way.append(pool.submit(without_gradients, item))
                    if len(under_way) > workers:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for future in under_way:
                    future.cancel()
    finally:
        torch.set_num_threads(cores)
