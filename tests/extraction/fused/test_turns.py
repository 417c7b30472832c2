"""Many run or one has its turn; nobody waits for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from cmon.extraction.fused.turns import Turns


def test_nobody_runs_while_one_has_its_turn_and_all_come_to_an_end() -> None:
    """Six threads, each of which runs 200 steps and takes 20 turns in between."""
    turns, inside, faults = Turns(), set[int](), list[str]()
    alone = threading.Event()
    steps = threading.Barrier(6)

    def work(thread: int) -> int:
        steps.wait(timeout=60)
        done = 0
        with turns.running():
            inside.add(thread)
            for step in range(200):
                if alone.is_set():
                    faults.append(f"{thread} runs in another one's turn")
                if step % 10 == thread:
                    inside.discard(thread)
                    with turns.alone():
                        if alone.is_set() or inside:
                            faults.append(f"{thread} is not alone but beside {inside}")
                        alone.set()
                        time.sleep(1e-4)
                        alone.clear()
                    inside.add(thread)
                inside.discard(thread)
                turns.pass_on()
                inside.add(thread)
                done += 1
            inside.discard(thread)
        return done

    with ThreadPoolExecutor(6) as pool:
        results = [future.result(timeout=120) for future in [pool.submit(work, one) for one in range(6)]]
    assert results == [200] * 6
    assert faults == []


def test_threads_that_run_do_so_at_once() -> None:
    turns, both = Turns(), threading.Barrier(2)

    def work() -> None:
        with turns.running():
            both.wait(timeout=60)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work) for _ in range(2)]:
            future.result(timeout=120)


def test_a_turn_is_had_also_where_nothing_runs_and_ends_with_an_error() -> None:
    turns = Turns()
    for _ in range(2):
        try:
            with turns.alone():
                raise ValueError
        except ValueError:
            pass
    with turns.running():
        turns.pass_on()
