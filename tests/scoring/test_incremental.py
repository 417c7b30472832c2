"""A run, layer and epoch is scored by itself: what is new alone, with the tables of one scoring of everything."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cmon.cli.main import main
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.workspace.keys import GROUP
from cmon.workspace.workspace import Workspace

MODEL = ["--model", "python:tests.support.tiny_models:network"]
TABLES = ("vocabulary", "units", "concepts", "scores")


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


class Job:
    """A folder of checkpoints of which some are there, and a workspace made of them."""

    def __init__(self, folder: Path, checkpoints: Path, probe: Path, concepts: Path) -> None:
        self.all, self.probe, self.concepts = checkpoints, probe, concepts
        self.root, self.there = folder / "work", folder / "checkpoints"
        self.there.mkdir()

    def add(self, *names: str) -> None:
        for name in names:
            shutil.copy(self.all / name, self.there / name)

    def extract(self, *more: object, root: Path | None = None) -> Result:
        options = [
            "--run",
            f"standard={self.there}",
            "--probe",
            self.probe,
            "--workers",
            0,
            "--device",
            "cpu",
        ]
        return run("extract", root or self.root, *options, *MODEL, *(more or ("--layer", "conv*")))

    def score(self, *more: object, root: Path | None = None) -> Result:
        embedder = "python:tests.support.tiny_models:embedder"
        options = ["--concepts", self.concepts, "--clip", embedder, "--pseudo-units", 50]
        return run("score", root or self.root, *options, "--workers", 0, "--device", "cpu", *more)

    @property
    def place(self) -> Workspace:
        return Workspace(self.root)


@pytest.fixture
def job(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path) -> Job:
    return Job(tmp_path, checkpoints_folder, probe_folder, concepts_file)


def names_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".pt", ".pth"))


def assert_same_tables(one: Workspace, other: Workspace) -> None:
    for name in TABLES:
        assert one.read(name).equals(other.read(name)), name


def times(place: Workspace) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in place.root.glob("[uc]*/*/*/*.parquet")}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_a_new_epoch_is_scored_alone_and_as_it_would_be_with_all(
    job: Job, tmp_path: Path, name: str, prior: str
) -> None:
    *_, last = names_of(job.all)
    method = ["--similarity", name, "--prior", prior]
    job.add(*(one for one in names_of(job.all) if one != last))
    job.extract()
    job.score(*method)
    before = times(job.place)
    job.add(last)
    job.extract()
    job.score(*method)
    after = times(job.place)
    assert before.items() <= after.items(), "what was scored was scored again"
    assert len(after) > len(before)
    job.extract(root=tmp_path / "at once")
    job.score(*method, root=tmp_path / "at once")
    assert_same_tables(job.place, Workspace(tmp_path / "at once"))
    said = job.score(*method)
    assert "nothing to do" in said.stderr


def test_a_scoring_that_was_stopped_goes_on_where_it_was(job: Job, tmp_path: Path) -> None:
    job.add(*names_of(job.all))
    job.extract()
    job.score()
    shutil.copytree(job.root, tmp_path / "whole")
    row = job.place.read("scores").to_pylist()[-1]
    job.place.group_file("units", *(row[key] for key in GROUP)).unlink()
    job.place.table("scores").unlink()
    before = times(job.place)
    job.score()
    after = times(job.place)
    changed = [path for path in after if after[path] != before.get(path)]
    assert {path.stem for path in changed} == {f"{row['epoch']:g}"}
    assert_same_tables(job.place, Workspace(tmp_path / "whole"))


def test_a_run_that_is_taken_out_leaves_nothing(job: Job, tmp_path: Path) -> None:
    job.add(*names_of(job.all))
    job.extract()
    job.score()
    shutil.copytree(job.root, tmp_path / "one run")
    run(
        "extract", job.root, "--run", f"other={job.there}", "--probe", job.probe, "--workers", 0,
        "--device", "cpu", *MODEL, "--layer", "conv*",
    )  # fmt: skip
    job.score()
    assert set(job.place.frame("units")["run"]) == {"standard", "other"}
    run("drop", job.root, "--run", "other")
    assert not (job.root / "activations" / "other").exists()
    embedding = CliRunner().invoke(main, ["embed", str(job.root)])
    assert embedding.exit_code == 1
    assert "are no longer there" in embedding.stderr
    job.score()
    assert not (job.root / "units" / "other").exists()
    assert_same_tables(job.place, Workspace(tmp_path / "one run"))


def test_a_damaged_cache_is_not_believed(job: Job) -> None:
    first, *rest = names_of(job.all)
    job.add(first)
    job.extract()
    job.score()
    (shared,) = job.place.cache.glob("shared-*.parquet")
    whole = shared.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 255
    shared.write_bytes(damaged)
    job.add(*rest)
    job.extract()
    job.score()
    assert shared.read_bytes() == whole, "found again"


def test_a_stopped_scoring_leaves_no_cache_behind(job: Job) -> None:
    """Of other parameters: when the first ones are asked for again, all is fresh, and nothing is scored."""
    job.add(*names_of(job.all))
    job.extract()
    job.score()
    (shared,) = job.place.cache.glob("shared-*.parquet")
    shutil.copy(shared, shared.with_name("shared-0123456789abcdef.parquet"))
    job.score()
    assert [*job.place.cache.glob("shared-*.parquet")] == [shared]


def test_images_of_another_probing_set_are_never_scored_as_these(job: Job, tmp_path: Path) -> None:
    """As when an extraction on another probing set is stopped after its first table."""
    job.add(*names_of(job.all))
    job.extract()
    job.score()
    other = tmp_path / "fewer"
    shutil.copytree(job.probe, other)
    next(path for path in sorted(other.rglob("*")) if path.is_file()).unlink()
    elsewhere = tmp_path / "elsewhere"
    run(
        "extract", elsewhere, "--run", f"standard={job.there}", "--probe", other, "--workers", 0,
        "--device", "cpu", *MODEL, "--layer", "conv*",
    )  # fmt: skip
    shutil.copy(elsewhere / "images.parquet", job.root / "images.parquet")
    for command in ("score", "embed", "report"):
        more = ["--concepts", str(job.concepts)] if command == "score" else []
        clip = ["--clip", "python:tests.support.tiny_models:embedder"] if command == "score" else []
        result = CliRunner().invoke(main, [command, str(job.root), *more, *clip])
        assert result.exit_code == 1, command
    np.testing.assert_equal(
        len(Workspace(elsewhere).frame("images")) + 1, len(list(job.probe.rglob("*.png")))
    )
