from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from cmon.scoring.similarity.parallel import map_in_order
from tests.support.torch_threads import torch_threads

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def three_cores() -> Iterator[None]:
    with torch_threads(3):
        yield


def test_results_come_in_the_items_order() -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(map_in_order(work, range(40), CPU)) == [number * number for number in range(40)]
    assert list(map_in_order(work, [], CPU)) == []


def test_work_is_spread_over_cores_with_one_each_and_no_gradients() -> None:
    names, started = set(), threading.Barrier(3, timeout=20)

    def work(number: int) -> tuple[int, bool]:
        names.add(threading.get_ident())
        if number < 3:
            started.wait()  # passes only when three are at work together
        return torch.get_num_threads(), torch.is_grad_enabled()

    assert set(map_in_order(work, range(12), CPU)) == {(1, False)}
    assert len(names) == 3
    assert torch.get_num_threads() == 3


def test_no_more_is_under_way_than_there_are_cores_and_one() -> None:
    begun = []
    for taken, _ in enumerate(map_in_order(begun.append, iter(range(30)), CPU)):
        assert len(begun) <= taken + 4


def test_an_error_reaches_the_caller_and_the_cores_are_given_back() -> None:
    def work(number: int) -> int:
        return 1 // (5 - number)

    with pytest.raises(ZeroDivisionError):
        list(map_in_order(work, range(100), CPU))
    assert torch.get_num_threads() == 3


def test_who_stops_early_gets_the_cores_back() -> None:
    results = map_in_order(abs, range(100), CPU)
    assert next(results) == 0
    assert torch.get_num_threads() == 1
    results.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == 3


def test_other_devices_work_in_the_callers_thread() -> None:
    found = map_in_order(
        lambda _: (threading.get_ident(), torch.get_num_threads()), range(5), torch.device("meta")
    )
    assert set(found) == {(threading.get_ident(), 3)}
