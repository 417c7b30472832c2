"""What the tables of an extraction keep of earlier ones, and what is said of what they do not keep."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.extraction.earlier import read_earlier
from cmon.extraction.shards import Shard, select_shards
from cmon.extraction.tables import write_tables
from cmon.workspace import schemas
from cmon.workspace.workspace import Workspace


def a_checkpoint(epoch: float, **more: Any) -> Checkpoint:
    return Checkpoint(Path(f"{epoch}.pt"), f"{epoch}.pt", sha256=str(epoch), epoch=epoch, **more)


def a_shard(run: str, layer: str, epoch: float) -> Shard:
    return Shard(run, layer, epoch, 8, "channels first", "avg", f"{run} {layer} {epoch}")


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """As an extraction of the layers conv1 and conv2 of run a left it."""
    place = Workspace(tmp_path)
    write(place, "a", "conv1", "conv2")
    return place


def write(place: Workspace, run: str, *layers: str, probe: str = "photos") -> None:
    shards = [a_shard(run, layer, 1.0) for layer in layers]
    write_tables(place, read_earlier(place), [(run, a_checkpoint(1.0))], [], shards, {"probe": probe})


def shards_of(place: Workspace) -> list[tuple[str, str]]:
    return [(row["run"], row["layer"]) for row in place.read("shards").to_pylist()]


def test_runs_that_were_not_asked_for_are_kept(place: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    write(place, "b", "conv1")
    assert shards_of(place) == [("a", "conv1"), ("a", "conv2"), ("b", "conv1")]
    assert [row["run"] for row in read_earlier(place).checkpoints] == ["a", "b"]
    assert caplog.messages == []


def test_runs_of_other_images_are_left_out_with_a_warning(
    place: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "cmon"):
        write(place, "b", "conv1", probe="drawings")
    assert shards_of(place) == [("b", "conv1")]
    assert [row["run"] for row in read_earlier(place).checkpoints] == ["b"]
    (warning,) = caplog.messages
    assert warning.startswith("runs left out")
    assert ": a; give them to `cmon extract` again" in warning


def test_layers_that_are_lost_are_named(place: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "cmon"):
        write(place, "a", "conv2", "fc")
    assert shards_of(place) == [("a", "conv2"), ("a", "fc")]
    (warning,) = caplog.messages
    assert warning.startswith("left out, since they were extracted from another model or in another way")
    assert warning.endswith(": layer conv1 of run a")


def test_the_same_rows_are_not_written_again(place: Workspace) -> None:
    times = {path: path.stat().st_mtime_ns for path in place.root.iterdir()}
    write(place, "a", "conv1", "conv2")
    assert times == {path: path.stat().st_mtime_ns for path in place.root.iterdir()}


def test_runs_of_another_schema_version_are_left_out(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their probing set has another hash, since the version is part of every origin."""
    monkeypatch.setattr(schemas, "VERSION", schemas.VERSION + 1)
    assert read_earlier(place).checkpoints == []
    write(place, "b", "conv1", probe="photos of the next version")
    assert shards_of(place) == [("b", "conv1")]


def test_a_row_has_every_column(place: Workspace) -> None:
    for name, schema in (("checkpoints", schemas.CHECKPOINTS), ("shards", schemas.SHARDS)):
        assert pq.read_schema(place.table(name)).names == schema.names


def test_no_shard_is_left_of_a_skipped_checkpoint() -> None:
    shards = [a_shard("a", "conv1", epoch) for epoch in (1.0, 2.0)]
    checkpoints = [("a", a_checkpoint(1.0)), ("a", a_checkpoint(2.0).skipped("gone"))]
    assert select_shards(shards, checkpoints) == shards[:1]
    assert select_shards(shards, [("b", a_checkpoint(1.0))]) == []
