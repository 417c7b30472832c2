"""Checkpoints beside each other: the values of one after the other, a network each, and an end that leaves nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.extraction.beside import MOST, how_many, run_beside
from cmon.extraction.conditions import Conditions
from cmon.extraction.fitting import Fit
from cmon.extraction.settings import ExtractResult, ExtractSettings
from cmon.extraction.shards import Job
from cmon.extraction.stage import extract
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models
from tests.support.torch_threads import torch_threads

NETWORK = ExtractSettings(
    f"python:{tiny_models.__file__}:network", ("conv1", "conv2"), workers=0, batch_size=4
)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    with torch_threads(2):
        yield


def jobs(count: int, network: nn.Module | None = None, fused: bool = True) -> list[Job]:
    """Named by their run; without files."""
    fit = Fit(network or nn.Linear(2, 2), Conditions(), [], {}, "", 2, [], fused)
    checkpoint: Any = object.__new__(Checkpoint)
    return [Job(f"run {number}", checkpoint, fit, (), ()) for number in range(count)]


@pytest.fixture
def epochs(tmp_path: Path) -> Path:
    """Six epochs, of networks that differ in every weight."""
    folder = tmp_path / "runs" / "six"
    folder.mkdir(parents=True)
    for epoch in range(6):
        torch.manual_seed(epoch)
        torch.save(tiny_models.network().state_dict(), folder / f"epoch_{epoch}.pt")
    return folder


def extracted(root: Path, runs: Path, probe: Path, threads: int, **more: Any) -> ExtractResult:
    torch.set_num_threads(threads)
    return extract(Workspace(root), {"run": runs}, probe, NETWORK, **more)


def test_values_and_tables_are_those_of_one_after_the_other(
    tmp_path: Path, epochs: Path, probe_folder: Path
) -> None:
    for threads in (1, 2):
        assert extracted(tmp_path / str(threads), epochs, probe_folder, threads).made == 12
        assert torch.get_num_threads() == threads
    alone, beside = (Workspace(tmp_path / str(threads)) for threads in (1, 2))
    for name in ("checkpoints", "images", "shards"):
        assert beside.frame(name).equals(alone.frame(name))
    for layer in ("conv1", "conv2"):
        for epoch in range(6):
            pair = [work.activation_frame("run", layer, epoch) for work in (alone, beside)]
            np.testing.assert_array_equal(*pair)
            if epoch:  # a negative control: epochs are not each other's
                assert not pair[1].equals(beside.activation_frame("run", layer, epoch - 1))


def test_what_can_no_longer_be_read_is_skipped_and_the_others_are_not(
    tmp_path: Path, epochs: Path, probe_folder: Path
) -> None:
    def removing(items: Any, description: str = "", total: int | None = None) -> Iterator[Any]:
        if description == "extracting activations":
            (epochs / "epoch_5.pt").unlink()
        yield from items

    result = extracted(tmp_path / "work", epochs, probe_folder, 2, progress=removing)
    ((name, why),) = result.skipped_checkpoints
    assert name == "run/epoch_5.pt"
    assert why == "cannot be read; found No such file or directory"
    assert sorted(Workspace(tmp_path / "work").frame("shards")["epoch"].unique()) == [0, 1, 2, 3, 4]


def test_an_interruption_leaves_whole_files_only_and_a_run_that_goes_on(
    tmp_path: Path, epochs: Path, probe_folder: Path
) -> None:
    def interrupted(items: Any, description: str = "", total: int | None = None) -> Iterator[Any]:
        for number, item in enumerate(items):
            if description == "extracting activations" and number == 25:
                raise KeyboardInterrupt
            yield item

    root = tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        extracted(root, epochs, probe_folder, 2, progress=interrupted)
    assert torch.get_num_threads() == 2
    there = [path for path in (root / "activations").rglob("*") if path.is_file()]
    assert 0 < len(there) < 12
    assert all(path.suffix == ".parquet" and not path.name.startswith(".") for path in there)
    assert extracted(root, epochs, probe_folder, 2).made == 12 - len(there)


def test_two_are_under_way_at_once_each_with_a_network_of_its_own() -> None:
    both = threading.Barrier(2)
    seen: dict[str, tuple[nn.Module, int, int]] = {}
    fitted = jobs(4)

    def run(job: Job) -> Iterator[int]:
        both.wait(timeout=60)
        seen[job.run] = job.fit.network, threading.get_ident(), torch.get_num_threads()
        yield 3
        yield 1

    assert sorted(run_beside(fitted, run, 2)) == [1] * 4 + [3] * 4  # type: ignore[arg-type]
    assert len(seen) == 4
    assert {threads for *_, threads in seen.values()} == {1}
    networks = {thread: id(network) for network, thread, _ in seen.values()}
    assert len(networks) == len(set(networks.values())) == 2
    assert id(fitted[0].fit.network) not in networks.values()
    for network, *_ in seen.values():
        for copied, given in zip(network.parameters(), fitted[0].fit.network.parameters(), strict=True):
            assert torch.equal(copied, given)
            assert copied.data_ptr() != given.data_ptr()


def test_an_error_ends_all_and_is_raised() -> None:
    begun = []

    def run(job: Job) -> Iterator[int]:
        begun.append(job.run)
        yield 1
        if job.run == "run 1":
            raise ValueError("one of ours")
        while True:  # ends at a batch, since another one failed
            yield 1

    with pytest.raises(ValueError, match="one of ours"):
        list(run_beside(jobs(50), run, 2))  # type: ignore[arg-type]
    assert len(begun) <= 3
    assert torch.get_num_threads() == 2


def test_how_many_are_run_beside_each_other() -> None:
    assert how_many([], "cpu") == 1
    assert how_many(jobs(9), "cpu") == 2
    assert how_many(jobs(1), "cpu") == 1
    assert how_many(jobs(9), "cuda") == 1
    assert how_many([*jobs(8), *jobs(1, fused=False)], "cpu") == 1
    torch.set_num_threads(64)
    assert how_many(jobs(90), "cpu") == MOST
    with torch.device("meta"):
        heavy = nn.Linear(10_000, 10_000)  # 400 MB
    assert how_many(jobs(90, heavy), "cpu") == 1
    assert replace(jobs(1)[0].fit, network=heavy).fused
