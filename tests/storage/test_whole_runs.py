"""Workspace, pictures and checkpoints in a store give the tables that they give in folders, value for value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cmon
from cmon.workspace.workspace import Workspace
from tests.storage.conftest import upload
from tests.support.spread_job import TABLES, WORDS, SpreadJob

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def job(tmp_path: Path, probe_folder: Path) -> SpreadJob:
    made = SpreadJob(tmp_path, probe_folder)
    made.save()
    return made


def extract(job: SpreadJob, root: object, store: str | None = None, **more: Any) -> Any:
    """With the inputs of a store, or those of the job's folders."""
    runs = {name: f"{store}/runs/{name}" if store else folder for name, folder in job.runs.items()}
    return cmon.extract(root, runs, f"{store}/probe" if store else job.probe, **(job.options | more))  # type: ignore[arg-type]


def put_inputs(job: SpreadJob, store: str) -> None:
    upload(job.folder / "runs", f"{store}/runs")
    upload(job.probe, f"{store}/probe")


def without_places(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name not in ("path", "from_workspace")} for row in rows
    ]


def assert_same_tables(one: object, other: object, stage: str) -> None:
    first, second = Workspace(one), Workspace(other)  # type: ignore[arg-type]
    for name in TABLES[stage]:
        here, there = first.read(name), second.read(name)
        if name == "images":
            assert without_places(here.to_pylist()) == without_places(there.to_pylist())
        else:
            assert here.equals(there), name
            assert first.origin(name) == second.origin(name)
    for row in first.read("shards").to_pylist():
        assert first.read_group("activations", row).equals(second.read_group("activations", row)), row


def keys(root: str) -> set[str]:
    """What is in a store below a URL, without the URL."""
    from cmon.storage.urls import connect

    system, path = connect(root)
    return {name.removeprefix(path).lstrip("/") for name in system.find(path)}


def test_all_four_stages_in_memory(job: SpreadJob, memory: str, tmp_path: Path) -> None:
    put_inputs(job, memory)
    here, there = tmp_path / "work", f"{memory}/work"
    assert extract(job, here).made == extract(job, there, memory).made == 12
    assert_same_tables(here, there, "extract")
    paths = Workspace(there).read("images")["path"].to_pylist()
    assert paths[0].startswith(f"{memory}/probe/"), "the table names what the user gave, and no copy"
    job.score(here)
    job.score(there)  # type: ignore[arg-type]
    assert_same_tables(here, there, "score")
    anchors = list(WORDS[:4])
    for root in (here, there):
        cmon.embed(root, anchors, layout="pca", device="cpu")
    for name in ("layout", "fidelity"):
        assert Workspace(here).frame(name).equals(Workspace(there).frame(name)), name
    first, second = (cmon.report(root, max_html_mb=0) for root in (here, there))
    assert first.d_anchor.equals(second.d_anchor)
    assert first.missing_images == second.missing_images == 0
    assert first.images_beside == second.images_beside > 0
    own = {path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()}
    assert {name for name in own if not name.startswith(("cache/", ".lock"))} == {
        name for name in keys(there) if not name.startswith("cache/")
    }
    assert str(second.page) == f"{there}/report/index.html"
    again = extract(job, there, memory)
    assert (again.made, again.reused) == (0, 12)
    assert not cmon.report(there, max_html_mb=0).made


def test_a_folder_reads_inputs_of_a_store(job: SpreadJob, memory: str, tmp_path: Path) -> None:
    put_inputs(job, memory)
    extract(job, tmp_path / "one")
    extract(job, tmp_path / "other", memory)
    assert_same_tables(tmp_path / "one", tmp_path / "other", "extract")
    assert Workspace(tmp_path / "other").read("images")["from_workspace"].null_count == 40


def test_the_stages_on_s3(job: SpreadJob, s3: str, tmp_path: Path) -> None:
    put_inputs(job, s3)
    here, there = tmp_path / "work", f"{s3}/work"
    assert extract(job, here).made == extract(job, there, s3).made == 12
    assert_same_tables(here, there, "extract")
    job.score(here)
    job.score(there)  # type: ignore[arg-type]
    assert_same_tables(here, there, "score")
    assert not {name for name in keys(there) if ".lock" in name or name.endswith(".part")}
