"""Pieces: where they are cut, and that what is joined of them is what one process writes, whatever fails meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmon.errors import CmonError
from cmon.extraction import pieces
from cmon.extraction.pieces import LEAST, cut, pieces_each
from cmon.extraction.settings import ExtractResult, ExtractSettings
from cmon.extraction.stage import extract
from cmon.workspace import top_images
from cmon.workspace.table_files import read_noted, stamp
from cmon.workspace.workspace import Workspace
from tests.support import held_network, tiny_models
from tests.support.runner_here import RunnerHere, Stopped
from tests.support.spread_job import assert_same_tables
from tests.support.torch_threads import torch_threads


@pytest.mark.parametrize(
    ("checkpoints", "slots", "expected"),
    [(1, 1, 1), (100, 1, 1), (0, 8, 1), (1, 64, 256), (9000, 64, 1), (256, 64, 1), (64, 64, 4), (90, 64, 3)],
)
def test_there_are_about_four_tasks_a_slot_and_one_piece_where_checkpoints_are_enough(
    checkpoints: int, slots: int, expected: int
) -> None:
    assert pieces_each(checkpoints, slots) == expected


@pytest.mark.parametrize(
    ("images", "most", "batch_size", "sizes"),
    [
        (50_000, 1, 8, [50_000]),
        (2 * LEAST - 1, 99, 8, [2 * LEAST - 1]),
        (2 * LEAST, 99, 8, [LEAST, LEAST]),
        (50_000, 4, 1000, [12_000, 13_000, 12_000, 13_000]),
        (13_000, 99, 256, [4096, 4352, 4552]),
        (3, 99, 8, [3]),
    ],
)
def test_where_pieces_are_cut(images: int, most: int, batch_size: int, sizes: list[int]) -> None:
    assert [len(one) for one in cut(images, (), most, batch_size)] == sizes


@given(st.integers(1, 300_000), st.integers(1, 400), st.integers(1, 1024))
def test_pieces_are_all_images_in_order_between_batches(images: int, most: int, batch_size: int) -> None:
    found = cut(images, (), most, batch_size)
    assert (found[0].start, found[-1].stop) == (0, images)
    assert all(one.stop == following.start for one, following in pairwise(found))
    assert all(one.start % batch_size == 0 for one in found)
    assert len(found) == 1 or min(map(len, found)) >= LEAST
    assert len(found) <= most
    assert max(map(len, found)) - min(map(len, found)) < 2 * batch_size
    if most > 1 and images >= 2 * (LEAST + batch_size):
        assert len(found) > 1


@given(st.data(), st.integers(1, 60), st.integers(1, 9))
def test_pieces_that_are_there_stay_and_what_is_between_them_is_cut(
    data: Any, batches: int, most: int
) -> None:
    size = 2048
    images = batches * size - 5
    borders = st.integers(0, batches).map(lambda number: min(number * size, images))
    pairs = data.draw(st.lists(st.tuples(borders, borders), max_size=6))
    there = {range(*sorted(pair)) for pair in pairs if pair[0] != pair[1]}
    found = cut(images, there, most, size)
    assert [at for one in found for at in one] == list(range(images))
    assert all(one.start % size == 0 and one for one in found)
    apart = [one for one in there if not any(one != other and set(one) & set(other) for other in there)]
    assert set(apart) <= set(found)


def test_what_is_there_stays_though_another_number_of_workers_would_cut_elsewhere() -> None:
    before = cut(100_000, (), 5, 8)
    found = cut(100_000, {before[0], before[3]}, 12, 8)
    assert found == [
        range(0, 20_000), *(range(at, at + 8000) for at in range(20_000, 60_000, 8000)), range(60_000, 80_000),
        range(80_000, 90_000), range(90_000, 100_000),
    ]  # fmt: skip


class Job:
    """Two checkpoints on 40 images in batches of 4, where pieces of 8 images are let be."""

    def __init__(self, folder: Path, probe: Path) -> None:
        self.folder, self.probe, self.runs = folder, probe, {"run": folder / "run"}
        for epoch in range(2):
            self.save(epoch)
        self.settings = ExtractSettings(
            "python:tests.support.held_network:network", ("conv1", "conv2"), workers=0, batch_size=4,
            model_arguments={"hold": "nowhere"},
        )  # fmt: skip

    def save(self, epoch: int, does: float = 0.0) -> None:
        held_network.save(self.folder / "run", epoch, does)

    def run(self, root: str | Path, runner: RunnerHere | None = None, **more: Any) -> ExtractResult:
        return extract(Workspace(root), self.runs, self.probe, replace(self.settings, **more), runner=runner)


def run_and_stop(job: Job, root: Any, tasks: int) -> None:
    """On a cluster of two slots, whose driver is killed after so many tasks."""
    with pytest.raises(Stopped):
        job.run(root, RunnerHere(slots=2, stops_after=tasks))


def left(root: Path) -> dict[Path, int]:
    """Pieces, with the times at which they were written."""
    return {path: path.stat().st_mtime_ns for path in (root / "cache").glob("pieces/*")}


@pytest.fixture
def job(tmp_path: Path, probe_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    monkeypatch.setattr(pieces, "LEAST", 8)
    with torch_threads(1):
        yield Job(tmp_path, probe_folder)


@pytest.fixture
def alone(job: Job, tmp_path: Path) -> Path:
    """What one process makes of the job."""
    job.run(tmp_path / "alone")
    return tmp_path / "alone"


def test_two_checkpoints_on_two_workers_give_the_tables_of_one_process(
    job: Job, alone: Path, tmp_path: Path
) -> None:
    spread, runner = tmp_path / "spread", RunnerHere(slots=2)
    assert job.run(spread, runner).made == 4
    assert runner.done == ["extract_one"] * 2 * 4 + ["join_one"] * 2
    assert_same_tables(alone, spread, "extract")
    for path in (alone / "activations").rglob("*.parquet"):
        assert stamp(path) == stamp(spread / path.relative_to(alone))
    assert not (spread / "cache" / "pieces").exists()
    (cost,) = Workspace(spread).read("costs").to_pylist()
    assert cost["items"] == 2 * 40
    assert cost["written_mb"] > 0
    assert job.run(spread, runner).made == 0
    assert len(runner.done) == 10


FUSED = """
import torch
from tests.support.tiny_models import Normed

class Fused(Normed):
    pass

class Differs(Normed):
    def forward(self, images):
        return super().forward(images if isinstance(images, torch.Tensor) else -images)
"""


@pytest.mark.parametrize(("factory", "warnings"), [("Fused", 0), ("Differs", 2)])
def test_a_network_that_is_fused_and_one_that_cannot_be(
    job: Job, tmp_path: Path, factory: str, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "own.py").write_text(FUSED)
    for epoch in range(2):
        torch.manual_seed(epoch)
        content = {"state_dict": tiny_models.normed().state_dict(), "epoch": epoch}
        torch.save(content, tmp_path / "run" / f"epoch_{epoch}.pt")
    network: dict[str, Any] = {
        "model": f"python:{tmp_path / 'own.py'}:{factory}", "model_arguments": {}, "layers": ("norm1", "out"),
        "precision": "bf16",
    }  # fmt: skip
    roots = tmp_path / "alone", tmp_path / "spread"
    job.run(roots[0], **network)
    caplog.clear()
    runner = RunnerHere(slots=2)
    job.run(roots[1], runner, **network)
    assert len(runner.done) == 10
    assert_same_tables(*roots, "extract")
    said = "its network runs as it is written"
    assert caplog.text.count(said) == warnings, "once for each checkpoint, not for each piece"


def test_top_images_of_pieces_are_those_of_one_process(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_images, "WORTHWHILE", 40)
    monkeypatch.setattr(top_images, "KEPT", 5)
    roots = tmp_path / "alone", tmp_path / "spread"
    job.run(roots[0])
    job.run(roots[1], RunnerHere(slots=2))
    names = [sorted(path.name for path in (root / "cache").glob("top-images-*")) for root in roots]
    assert len(names[0]) == 4
    assert names[0] == names[1]
    for name in names[0]:
        (one, note), (other, of_other) = (read_noted(root / "cache" / name) for root in roots)
        assert one.equals(other)
        assert note["origin"] == of_other["origin"]


def test_one_worker_or_many_checkpoints_need_no_pieces(job: Job, tmp_path: Path) -> None:
    for epoch in range(2, 6):
        job.save(epoch)
    for slots in (1, 2):
        runner = RunnerHere(slots)
        job.run(tmp_path / f"on {slots}", runner)
        assert runner.done == ["extract_one"] * 6


@pytest.mark.parametrize(("after", "slots"), [(5, 2), (5, 7), (9, 7)])
def test_what_was_stopped_goes_on_and_does_nothing_twice(
    job: Job, alone: Path, tmp_path: Path, after: int, slots: int
) -> None:
    """With as many workers or more; in the middle of the pieces, and after one of two is joined."""
    spread = tmp_path / "spread"
    run_and_stop(job, spread, after)
    before = left(spread)
    assert len(before) == (10 if after == 5 else 8)
    runner = RunnerHere(slots)
    job.run(spread, runner)
    if after == 9:
        assert runner.done == ["join_one"]
    elif slots == 2:
        assert runner.done == ["extract_one"] * 3 + ["join_one"] * 2
    else:  # what is left is cut smaller
        assert runner.done.count("extract_one") in range(3, 7)
    assert_same_tables(alone, spread, "extract")
    assert not left(spread)


def test_two_runs_with_the_same_checkpoint(job: Job, tmp_path: Path) -> None:
    job.runs["again"] = job.runs["run"]
    job.run(tmp_path / "alone")
    runner = RunnerHere(slots=3)
    job.run(tmp_path / "spread", runner)
    assert runner.done == ["extract_one"] * 4 * 3 + ["join_one"] * 4
    assert_same_tables(tmp_path / "alone", tmp_path / "spread", "extract")


def test_a_piece_of_other_batches_is_made_again(job: Job, tmp_path: Path) -> None:
    spread, alone = tmp_path / "spread", tmp_path / "alone"
    run_and_stop(job, spread, 8)
    runner = RunnerHere(slots=2)
    job.run(spread, runner, batch_size=8)
    assert runner.done.count("extract_one") == 2 * 4
    job.run(alone, batch_size=8)
    assert_same_tables(alone, spread, "extract")
    assert not left(spread)


def test_a_piece_that_is_gone_or_of_something_else_is_made_again(
    job: Job, alone: Path, tmp_path: Path
) -> None:
    spread = tmp_path / "spread"
    run_and_stop(job, spread, 8)
    gone, changed, source, *_ = sorted(left(spread))
    gone.unlink()
    changed.write_bytes(source.read_bytes())
    runner = RunnerHere(slots=2)
    job.run(spread, runner)
    assert 1 <= runner.done.count("extract_one") <= 2
    assert_same_tables(alone, spread, "extract")


def test_a_damaged_piece_is_an_error_by_name_and_then_made_again(
    job: Job, alone: Path, tmp_path: Path
) -> None:
    spread = tmp_path / "spread"
    run_and_stop(job, spread, 8)
    damaged, *_ = left(spread)
    content = bytearray(damaged.read_bytes())
    content[40] ^= 0xFF
    damaged.write_bytes(content)
    with pytest.raises(CmonError, match=rf"{damaged.name}: was damaged(?s:.*)run the command again"):
        job.run(spread, RunnerHere(slots=2))
    runner = RunnerHere(slots=2)
    job.run(spread, runner)
    assert runner.done.count("extract_one") == 1
    assert_same_tables(alone, spread, "extract")


def test_without_a_cluster_nothing_that_was_left_stays(job: Job, alone: Path, tmp_path: Path) -> None:
    spread = tmp_path / "spread"
    run_and_stop(job, spread, 5)
    assert left(spread)
    job.run(spread)
    assert not left(spread)
    assert_same_tables(alone, spread, "extract")


def test_pieces_of_checkpoints_that_are_no_more_go(job: Job, tmp_path: Path) -> None:
    spread = tmp_path / "spread"
    run_and_stop(job, spread, 6)
    job.save(0, does=1.0)
    job.save(1, does=2.0)
    runner = RunnerHere(slots=2)
    job.run(spread, runner)
    assert runner.done.count("extract_one") == 2 * 4
    assert not left(spread)


def test_a_checkpoint_that_fails_has_the_reason_of_one_process(job: Job, tmp_path: Path) -> None:
    job.save(2, does=held_network.FAILS)
    roots = [tmp_path / "alone", tmp_path / "spread"]
    runner = RunnerHere(slots=2)
    results = [job.run(root, runner if root == roots[1] else None) for root in roots]
    assert runner.done == ["extract_one"] * 3 * 3 + ["join_one"] * 2
    for result in results:
        ((name, reason),) = result.skipped_checkpoints
        assert name == "run/epoch_2.pt"
        assert "images 0 to 3" in reason
    assert_same_tables(*roots, "extract")
    assert not left(roots[1])


def test_a_workspace_in_a_store(
    job: Job, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMON_CACHE", str(tmp_path / "cache"))
    url = f"memory://{tmp_path.name}/work"
    run_and_stop(job, url, 5)
    store = Workspace(url)
    assert len(list((store.cache / "pieces").iterdir())) == 10
    runner = RunnerHere(slots=2)
    job.run(url, runner)
    assert runner.done == ["extract_one"] * 3 + ["join_one"] * 2
    assert not list((store.cache / "pieces").iterdir())
    for row in Workspace(alone).read("shards").to_pylist():
        here = Workspace(alone).read_group("activations", row)
        assert store.read_group("activations", row).equals(here)
