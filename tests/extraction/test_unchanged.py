"""That nothing changed is seen without a network, and that anything that did change is never overlooked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image

from cmon.extraction import stage, unchanged
from cmon.extraction.settings import ExtractResult, ExtractSettings
from cmon.extraction.unchanged import find_unchanged
from cmon.workspace.files import digest
from cmon.workspace.table_files import read_table
from cmon.workspace.workspace import Workspace

SETTINGS = ExtractSettings(
    "torchvision:squeezenet1_1", ("features.0", "features.3"), image_size=32, workers=0, batch_size=4
)


class Job:
    """Two epochs of a network that torchvision brings, one file that is no checkpoint, three images."""

    def __init__(self, folder: Path) -> None:
        self.place = Workspace(folder / "work")
        self.runs, self.probe = {"a": folder / "runs"}, folder / "probe"
        self.runs["a"].mkdir()
        self.probe.mkdir()
        for epoch in range(2):
            self.save(epoch, f"epoch_{epoch}.pt")
        (self.runs["a"] / "epoch_2.pt").write_bytes(b"cut off")
        for number in range(3):
            Image.new("RGB", (40, 40), (90 * number, 30, 60)).save(self.probe / f"{number}.png")
        (self.probe / "notes.txt").write_text("no image")

    def save(self, seed: int, name: str) -> None:
        torch.manual_seed(seed)
        torch.save(torchvision.models.squeezenet1_1().state_dict(), self.runs["a"] / name)

    def extract(self, settings: ExtractSettings = SETTINGS) -> ExtractResult:
        return stage.extract(self.place, self.runs, self.probe, settings)

    def unchanged(self, settings: ExtractSettings = SETTINGS) -> ExtractResult | None:
        return find_unchanged(self.place, self.runs, self.probe, settings)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_the_result_of_what_is_unchanged_is_that_of_the_extraction(job: Job) -> None:
    assert job.unchanged() is None
    first = job.extract()
    assert (first.made, first.reused, first.checkpoints, first.images, first.skipped) == (4, 0, 2, 3, 2)
    assert job.unchanged() == job.extract() == replace(first, made=0, reused=4)
    elsewhere = replace(SETTINGS, device="cuda", batch_size=64, workers=8)
    assert job.unchanged(elsewhere) == job.unchanged()


def _retrain(job: Job) -> None:
    job.save(7, "epoch_1.pt")


def _add(job: Job) -> None:
    job.save(2, "epoch_3.pt")


def _mend(job: Job) -> None:
    job.save(2, "epoch_2.pt")


def _rename(job: Job) -> None:
    (job.runs["a"] / "epoch_1.pt").rename(job.runs["a"] / "epoch_5.pt")


def _repaint(job: Job) -> None:
    Image.new("RGB", (40, 40), (1, 2, 3)).save(job.probe / "1.png")


def _one_image_less(job: Job) -> None:
    (job.probe / "1.png").unlink()


def _lose_a_file(job: Job) -> None:
    job.place.activations("a", "features.3", 1).unlink()


def _swap_two_files(job: Job) -> None:
    first, second = (job.place.activations("a", "features.3", epoch) for epoch in (0, 1))
    second.write_bytes(first.read_bytes())


def _rewrite_a_table(job: Job) -> None:
    path = job.place.table("shards")
    job.place.write(path, read_table(path).slice(1), digest("another"))


def _rewrite_shards(job: Job, **parameters: str) -> None:
    """The same rows with other parameters."""
    path = job.place.table("shards")
    job.place.write(
        path, read_table(path), digest(parameters), {**job.place.parameters("shards"), **parameters}
    )


def _an_older_cmon(job: Job) -> None:
    path = job.place.table("shards")
    older = {name: value for name, value in job.place.parameters("shards").items() if name != "request"}
    job.place.write(path, read_table(path), digest(older), older)


def _another_torch(job: Job) -> None:
    _rewrite_shards(job, request=digest("of torch 3"))


def _other_inputs(job: Job) -> None:
    _rewrite_shards(job, inputs=digest("others"))


def _lose_a_table(job: Job) -> None:
    job.place.table("checkpoints").unlink()


def _decode_other_images(job: Job) -> None:
    path = job.place.table("images")
    job.place.write(path, read_table(path), digest("of another extraction, which was stopped"))


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (_retrain, 2),
        (_add, 2),
        (_mend, 2),
        (_rename, 2),
        (_repaint, 4),
        (_one_image_less, 4),
        (_lose_a_file, 1),
        (_swap_two_files, 1),
        (_rewrite_a_table, 0),
        (_an_older_cmon, 0),
        (_another_torch, 0),
        (_other_inputs, 0),
        (_lose_a_table, 0),
        (_decode_other_images, 0),
    ],
)
def test_any_change_is_left_to_the_extraction(job: Job, change: Callable[[Job], None], made: int) -> None:
    job.extract()
    change(job)
    assert job.unchanged() is None
    done = job.extract()
    assert done.made == made
    assert job.unchanged() == replace(done, made=0, reused=done.made + done.reused)


@pytest.mark.parametrize("name", ["checkpoints", "images", "shards"])
def test_a_damaged_table_is_left_to_the_extraction(job: Job, name: str) -> None:
    job.extract()
    job.place.table(name).write_bytes(b"PAR1")
    assert job.unchanged() is None


def test_no_file_but_the_tables_knows_the_request(job: Job) -> None:
    job.extract()
    assert sorted(path.suffix for path in job.place.cache.iterdir()) == [".bin", ".parquet"]
    for path in job.place.cache.iterdir():
        path.unlink()
    assert job.unchanged() is not None


def test_checkpoints_of_other_names_are_seen_before_anything_is_hashed(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.extract()
    hashed: list[Path] = []
    monkeypatch.setattr(unchanged, "hash_checkpoint", hashed.append)
    job.save(5, "epoch_5.pt")
    assert job.unchanged() is None
    assert job.unchanged(replace(SETTINGS, precision="bf16")) is None
    assert hashed == []


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, layers=("features.3",)),
        replace(SETTINGS, pooling="max"),
        replace(SETTINGS, precision="bf16"),
        replace(SETTINGS, image_size=40),
        replace(SETTINGS, mean=(0.5, 0.5, 0.5)),
        replace(SETTINGS, weights="ema"),
        replace(SETTINGS, model_arguments={"dropout": 0.1}),
    ],
)
def test_another_request_is_left_to_the_extraction(job: Job, settings: ExtractSettings) -> None:
    job.extract()
    assert job.unchanged(settings) is None
    assert job.unchanged() is not None


def test_the_users_own_code_can_change_unseen_and_leaves_no_request(job: Job) -> None:
    job.extract()
    for own in (replace(SETTINGS, trust_pickle=True), _own_network(job)):
        job.extract(own)
        assert job.unchanged(own) is None
        assert job.unchanged() is None  # nor is an earlier one left
        assert not {"request", "inputs"} & set(job.place.parameters("shards"))


def test_a_second_command_loads_no_torch(job: Job) -> None:
    job.extract()
    program = (
        "import sys; from cmon.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: code = end.code\n"
        "print(sorted({'torch', 'torchvision'} & set(sys.modules))); sys.exit(code)"
    )
    command = ["extract", str(job.place.root), "--run", f"a={job.runs['a']}", "--probe", str(job.probe)]
    command += ["--model", SETTINGS.model, "--image-size", "32", "--strict"]
    command += [part for layer in SETTINGS.layers for part in ("--layer", layer)]
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert done.returncode == 3  # what was skipped then is skipped now
    assert "nothing to do, all is fresh: 0 activation files made, 4 fresh" in done.stderr
    assert "skipped a/epoch_2.pt" in done.stderr
    assert "notes.txt" in done.stderr


def _own_network(job: Job) -> ExtractSettings:
    path = job.place.root.parent / "own.py"
    path.write_text(
        "import torchvision\ndef make(**more):\n    return torchvision.models.squeezenet1_1(**more)\n"
    )
    return replace(SETTINGS, model=f"python:{path}:make")
