"""Several programs at once, each with its part, and then one that gathers: the tables of one program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cmon.cli.main import main
from cmon.distributed.parts import Part
from cmon.errors import CmonError
from cmon.workspace.workspace import Workspace
from tests.support.spread_job import SpreadJob, assert_same_tables, files

REPOSITORY = Path(__file__).parents[2]


def start(job: SpreadJob, root: Path, stage: str, part: str) -> subprocess.Popen[str]:
    code = (
        "import sys; from pathlib import Path; from tests.support.spread_job import SpreadJob\n"
        "job = SpreadJob(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "getattr(job, sys.argv[3])(Path(sys.argv[4]), part=sys.argv[5])"
    )
    words = [sys.executable, "-c", code, str(job.folder), str(job.probe), stage, str(root), part]
    return subprocess.Popen(words, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)


def test_six_at_once_and_then_the_tables(job: SpreadJob, tmp_path: Path) -> None:
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    job.extract(alone)
    started = [start(job, spread, "extract", f"{number}/6") for number in range(1, 7)]
    for one in started:
        _, said = one.communicate(timeout=120)
        assert one.returncode == 0, said
    assert files(spread) == files(alone)
    assert not [*spread.glob("*.parquet")], "a part writes no table"
    written = {name: (spread / name).stat().st_mtime_ns for name in files(spread)}
    assert job.extract(spread).made == 0
    assert {name: (spread / name).stat().st_mtime_ns for name in written} == written
    assert Workspace(spread).read("shards").num_rows == 12
    assert_same_tables(alone, spread, "extract")


@pytest.mark.parametrize("baseline", ["chance", "first"])
def test_parts_of_a_scoring(job: SpreadJob, tmp_path: Path, baseline: str) -> None:
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    for root in (alone, spread):
        job.extract(root)
    job.score(alone, baseline=baseline)
    for number in (2, 1, 3, 4, 5):  # there are four runs and layers
        found = job.score(spread, baseline=baseline, part=f"{number}/5").labels
        groups = Part(number, 5).choose(range(4))
        assert len({(row["run"], row["layer"]) for row in found.layers}) == len(groups)
    assert not (spread / "scores.parquet").exists()
    before = {name: (spread / name).stat().st_mtime_ns for name in files(spread, "[uc]*/*/*/*.parquet")}
    assert len(before) == 2 * 12
    job.score(spread, baseline=baseline)
    assert {name: (spread / name).stat().st_mtime_ns for name in before} == before
    assert_same_tables(alone, spread, "score")


def test_a_part_keeps_no_options(job: SpreadJob, tmp_path: Path) -> None:
    job.extract(tmp_path / "work", part="1/2")
    assert not (tmp_path / "work" / "requests").exists()


def test_what_a_part_did_not_do_is_done_with_the_tables(job: SpreadJob, tmp_path: Path) -> None:
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    job.extract(alone)
    done = job.extract(spread, part="1/3")
    assert (done.checkpoints, done.made) == (2, 4), "of its own checkpoints alone"
    assert job.extract(spread, part="1/3").made == 0
    assert job.extract(spread, part="40/50").made == 0, "more parts than checkpoints"
    assert job.extract(spread).made == 12 - 4
    assert_same_tables(alone, spread, "extract")


def test_only_runs_of_the_part_are_read(
    job: SpreadJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cmon.checkpoints import checkpoint

    seen = []
    real = checkpoint.read_bytes
    monkeypatch.setattr(checkpoint, "read_bytes", lambda path, some: (seen.append(path), real(path, some))[1])
    job.extract(tmp_path / "work", part="1/2")
    assert {path.parent.name for path in seen} == {"a"}


def test_a_copy_of_a_checkpoint_in_another_part_is_not_run(job: SpreadJob, tmp_path: Path) -> None:
    """The names sort so that the copy lies in the last part."""
    first = job.runs["b"] / "epoch_0.pt"
    (job.runs["b"] / "last.pt").write_bytes(first.read_bytes())
    made = [job.extract(tmp_path / "work", part=f"{number}/9").made for number in range(1, 10)]
    assert sum(made) == 12
    assert made[-1] == 0
    assert job.extract(tmp_path / "work").made == 0


def test_a_scoring_before_the_tables_of_extract_says_what_is_missing(job: SpreadJob, tmp_path: Path) -> None:
    job.extract(tmp_path, part="1/2")
    with pytest.raises(CmonError, match="which `cmon extract` writes"):
        job.score(tmp_path, part="1/2")


def test_a_part_of_a_function_that_no_other_process_knows_is_refused(job: SpreadJob, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\nfrom tests.support.tiny_models import Tiny\n"
        "def network():\n    made = Tiny()\n    inner = made.preprocess\n"
        "    made.preprocess = lambda image: torch.from_numpy(inner.pixels(image)).permute(2, 0, 1) / 255\n"
        "    return made\n"
    )
    with pytest.raises(CmonError, match="leave out --part, or use --ray"):
        job.extract(
            tmp_path / "work", part="1/2", model=f"python:{tmp_path / 'own.py'}:network", model_arguments={}
        )


def test_the_command_says_that_it_is_a_part(job: SpreadJob, tmp_path: Path) -> None:
    options = [f"--run={name}={path}" for name, path in job.runs.items()]
    words = ["--probe", str(job.probe), "--model", job.options["model"], "--model-arg", f"hold={job.hold}"]
    more = ["--layer", "conv1", "--device", "cpu", "--workers", "0"]
    result = CliRunner().invoke(
        main, ["extract", str(tmp_path / "work"), *options, *words, *more, "--part", "1/2"]
    )
    assert result.exit_code == 0, result.output
    assert "part 1/2; when all parts are done, run the same `cmon extract` without --part" in result.stderr
    both = CliRunner().invoke(
        main, ["extract", str(tmp_path / "work"), *options, *words, *more, "--part", "1/2", "--ray", "auto"]
    )
    assert both.exit_code == 2
    assert "--part and --ray" in both.stderr
