"""Checkpoints beside each other on a CPU, a thread each: a network's products gain less from a second thread than that.

Each thread has a copy of the network, so only networks that can be copied run so: those that torch.fx can follow.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from queue import SimpleQueue

import torch

from cmon.extraction.fitting import Fit
from cmon.extraction.fused.turns import TURNS
from cmon.extraction.layers.forward import uncompiled
from cmon.extraction.shards import Job

MOST = 8
"""Checkpoints under way at a time, on however many cores: Python's own lock lets no more threads run well."""
WEIGHTS_BYTES = 1 << 30
"""Of the weights of all checkpoints under way."""
_COPIES = 4
"""Of a checkpoint's weights while it runs: as read, in the network, folded, and as oneDNN lays them out."""

RunJob = Callable[[Job], Generator[int, None, None]]
"""Runs a checkpoint; gives the number of images after each batch."""


def how_many(jobs: Sequence[Job], device: str) -> int:
    """How many of the checkpoints to run beside each other; 1 where they are to be run one after the other."""
    if device != "cpu" or not jobs or not all(job.fit.fused for job in jobs):
        return 1
    largest = max(_weight_bytes(job.fit) for job in jobs)
    room = WEIGHTS_BYTES // (_COPIES * max(largest, 1))
    return max(1, min(torch.get_num_threads(), len(jobs), MOST, room))


def run_beside(jobs: Sequence[Job], run: RunJob, count: int) -> Iterator[int]:
    """Run every job, `count` at a time, and give the number of images after each batch of any of them.

    run: gets jobs with a network that no other thread has. Raises what it raises, once what is under way has ended.
    Stopped in between, it stops what is under way at its next batch.
    """
    threads = torch.get_num_threads()
    found: SimpleQueue[int | None] = SimpleQueue()
    stopped = threading.Event()
    own = threading.local()

    def begin() -> None:
        own.fits = {}
        torch.set_num_threads(max(1, threads // count))

    def work(job: Job) -> None:
        if stopped.is_set():
            return
        try:
            with TURNS.running(), closing(run(replace(job, fit=_own_fit(own.fits, job.fit)))) as batches:
                for images in batches:
                    TURNS.pass_on()
                    found.put(images)
                    if stopped.is_set():
                        return
        except BaseException:
            stopped.set()
            raise
        finally:
            found.put(None)

    # What torch.compile does is one setting of all threads: set here, so that theirs change nothing.
    with uncompiled(), ThreadPoolExecutor(count, initializer=begin) as pool:
        futures = [pool.submit(work, job) for job in jobs]
        try:
            left = len(jobs)
            while left and not stopped.is_set():
                images = found.get()
                if images is None:
                    left -= 1
                else:
                    yield images
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # new threads would begin with what the last one was set to
    for future in futures:
        if not future.cancelled():
            future.result()


def _own_fit(fits: dict[int, Fit], fit: Fit) -> Fit:
    """The fit with a network of this thread's own."""
    if id(fit) not in fits:
        fits[id(fit)] = replace(fit, network=copy.deepcopy(fit.network))
    return fits[id(fit)]


def _weight_bytes(fit: Fit) -> int:
    return sum(tensor.nbytes for tensor in fit.network.state_dict().values())
