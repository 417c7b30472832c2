"""Workspace, pictures and checkpoints in a store give the tables that they give in folders, value for value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import cmon
from cmon.cli.main import main
from cmon.distributed import on_ray
from cmon.errors import CmonError
from cmon.kept_options import read_calls
from cmon.reporting.figures import style
from cmon.storage import copies
from cmon.storage.url_path import UrlPath
from cmon.workspace.workspace import Workspace
from tests.storage.conftest import file_system, upload
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


def test_all_four_stages_in_memory(
    job: SpreadJob, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(style, "DPI", 20)  # small pictures are drawn sooner
    put_inputs(job, memory)
    here, there = tmp_path / "work", f"{memory}/work"
    few = {"layers": ["conv1"], "epochs": [0, (2, 4)]}
    assert extract(job, here, **few).made == extract(job, there, memory, **few).made == 5
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
    again = extract(job, there, memory, **few)
    assert (again.made, again.reused) == (0, 5)
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


def start_part(job: SpreadJob, store: str, part: str, cache: Path) -> subprocess.Popen[str]:
    """A program as on another machine: it shares nothing with others but the store."""
    code = (
        "import sys, json, cmon\n"
        "runs, probe, root, options = json.loads(sys.argv[1])\n"
        "print(cmon.extract(root, runs, probe, part=sys.argv[2], **options).made)"
    )
    runs = {name: f"{store}/runs/{name}" for name in job.runs}
    words = json.dumps([runs, f"{store}/probe", f"{store}/work", job.options])
    return subprocess.Popen(
        [sys.executable, "-c", code, words, part],
        cwd=REPOSITORY,
        env=os.environ | {"CMON_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_programs_on_s3_and_then_the_tables(job: SpreadJob, s3: str, tmp_path: Path) -> None:
    put_inputs(job, s3)
    caches = [tmp_path / f"cache-{number}" for number in (1, 2)]
    started = [
        start_part(job, s3, f"{number}/2", cache) for number, cache in zip((1, 2), caches, strict=True)
    ]
    made = []
    for one in started:
        found, said = one.communicate(timeout=240)
        assert one.returncode == 0, said
        made.append(int(found))
    assert sum(made) == 12
    assert min(made) > 0, "each did some"
    there = f"{s3}/work"
    assert not {name for name in keys(there) if "/" not in name}, "a part writes no table, and keeps no lock"
    bins = [[path.name for path in cache.rglob("pixels-*.bin")] for cache in caches]
    assert bins[0] == bins[1] != [], "each has the pixels, and one decoded them"
    assert extract(job, there, s3).made == 0
    extract(job, tmp_path / "work")
    assert_same_tables(tmp_path / "work", there, "extract")


def test_a_part_fetches_the_runs_that_it_has_checkpoints_of(
    job: SpreadJob, memory: str, tmp_path: Path
) -> None:
    put_inputs(job, memory)
    there = f"{memory}/work"
    assert extract(job, there, memory, part="1/8").made == 2
    assert copies.path_of(f"{memory}/runs/a").is_dir()
    assert not copies.path_of(f"{memory}/runs/b").exists()
    for number in range(2, 9):
        extract(job, there, memory, part=f"{number}/8")
    assert extract(job, there, memory).made == 0
    extract(job, tmp_path / "work")
    assert_same_tables(tmp_path / "work", there, "extract")


def test_another_machine_copies_the_pixels_and_makes_them_anew_where_they_are_damaged(
    job: SpreadJob, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_inputs(job, memory)
    there = f"{memory}/work"
    extract(job, there, memory)
    (name,) = (key for key in keys(there) if key.endswith(".bin"))
    whole = UrlPath(f"{there}/{name}").read_bytes()
    more = job.options["layers"][:1]

    def on_another_machine(number: int) -> Any:
        """With another layer's name, so that there is something to do."""
        monkeypatch.setenv("CMON_CACHE", str(tmp_path / f"machine-{number}"))
        for key in [key for key in keys(there) if key.startswith("activations/a/conv1/")]:
            UrlPath(f"{there}/{key}").unlink()
        return extract(job, there, memory, layers=more)

    before = Workspace(there).read("shards")
    system = type(file_system(there))
    puts = []
    put_file = system.put_file
    monkeypatch.setattr(
        system, "put_file", lambda self, own, key: (puts.append(key), put_file(self, own, key))[1]
    )
    assert on_another_machine(1).made == 5
    assert not [key for key in puts if key.endswith(".bin")], "copied, and not decoded again"
    UrlPath(f"{there}/{name}").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert on_another_machine(2).made == 5
    assert [key for key in puts if key.endswith(".bin")], "decoded, since the copy had other checksums"
    assert UrlPath(f"{there}/{name}").read_bytes() == whole
    assert Workspace(there).read("shards").equals(before)


def test_a_checkpoint_that_changed_in_the_store_is_extracted_again(job: SpreadJob, memory: str) -> None:
    put_inputs(job, memory)
    there = f"{memory}/work"
    extract(job, there, memory)
    first = Workspace(there).activation_frame("a", "conv1", 4.0)
    file = job.runs["a"] / "epoch_4.pt"
    held = torch.load(file)
    held["state_dict"]["conv1.weight"] += 1
    torch.save(held, file)
    upload(job.folder / "runs", f"{memory}/runs")
    assert extract(job, there, memory).made == 2
    assert not Workspace(there).activation_frame("a", "conv1", 4.0).equals(first)
    UrlPath(f"{memory}/runs/a/epoch_4.pt").unlink()
    result = extract(job, there, memory)
    assert (result.checkpoints, result.made) == (5, 0)


def test_a_put_that_is_stopped_leaves_nothing_to_be_seen(
    job: SpreadJob, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_inputs(job, memory)
    there = f"{memory}/work"
    system = type(file_system(there))
    put_file = system.put_file

    def broken(self: Any, own: str, key: str) -> None:
        if "activations" in key:
            raise ConnectionResetError("reset by peer")
        put_file(self, own, key)

    monkeypatch.setattr(system, "put_file", broken)
    with pytest.raises(CmonError, match="reset by peer"):
        extract(job, there, memory)
    left = {name for name in keys(there) if not name.startswith("cache/")}
    assert left == {"images.parquet"}, "nothing half written, and the lease is given back"
    monkeypatch.undo()


def test_the_command_line_takes_urls(job: SpreadJob, memory: str) -> None:
    put_inputs(job, memory)
    words = ["extract", f"{memory}/work", "--probe", f"{memory}/probe", "--model", job.options["model"],
        "--model-arg", f"hold={job.hold}", "--layer", "conv1", "--device", "cpu", "--workers", "0"]  # fmt: skip
    runs = [word for name in job.runs for word in ("--run", f"{name}={memory}/runs/{name}")]
    found = CliRunner().invoke(main, [*words, *runs])
    assert found.exit_code == 0, found.output
    assert "6 activation files made" in found.output
    (call,) = read_calls(Workspace(f"{memory}/work"))
    assert call.options["probe"] == f"{memory}/probe"
    assert call.options["runs"] == {name: f"{memory}/runs/{name}" for name in job.runs}
    refused = CliRunner().invoke(main, ["watch", f"{memory}/work"])
    assert refused.exit_code == 1
    assert "cannot be watched" in refused.output


def test_on_ray_each_machine_has_its_own_copies(
    job: SpreadJob, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'cmon[ray]'")
    put_inputs(job, s3)
    here, there = tmp_path / "work", f"{s3}/work"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray leaves files and sockets open
        monkeypatch.setenv("CMON_CACHE", str(tmp_path / "workers"))  # which they are begun with
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        with on_ray.connect("local", "cpu", 1, one_folder=False):
            monkeypatch.setenv("CMON_CACHE", str(tmp_path / "driver"))
            assert extract(job, there, s3, ray="local").made == 12
            job.score(there, ray="local")  # type: ignore[arg-type]
    extract(job, here)
    job.score(here)
    assert_same_tables(here, there, "extract")
    assert_same_tables(here, there, "score")
    for cache in ("driver", "workers"):
        assert len(list((tmp_path / cache / "copies").rglob("epoch_*.pt"))) >= 7, cache
