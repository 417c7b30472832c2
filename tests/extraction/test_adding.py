"""An extraction adds to what is there, and nothing stays that could be of another training, network or image."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cmon.errors import CmonError
from cmon.extraction.dropping import drop
from cmon.extraction.settings import ExtractResult, ExtractSettings
from cmon.extraction.stage import extract
from cmon.workspace.workspace import Workspace

MODEL = f"python:{Path(__file__).parents[1] / 'support' / 'tiny_models.py'}:network"
ONE = ExtractSettings(MODEL, ("conv1",), workers=0, batch_size=4)
OTHER = replace(ONE, layers=("conv2",))
BOTH = replace(ONE, layers=("conv1", "conv2"))


class Job:
    def __init__(self, folder: Path, checkpoints: Path, probe: Path) -> None:
        self.root, self.run, self.probe = folder / "work", checkpoints, probe

    def extract(
        self, settings: ExtractSettings = ONE, root: Path | None = None, **runs: Path
    ) -> ExtractResult:
        return extract(Workspace(root or self.root), runs or {"a": self.run}, self.probe, settings)

    @property
    def place(self) -> Workspace:
        return Workspace(self.root)

    @property
    def checkpoints(self) -> list[Path]:
        return sorted(self.run.iterdir())

    def groups(self) -> list[tuple[str, str, float]]:
        return [(row["run"], row["layer"], row["epoch"]) for row in self.place.read("shards").to_pylist()]

    def statuses(self) -> dict[float, str]:
        return {row["epoch"]: row["status"] for row in self.place.read("checkpoints").to_pylist()}


@pytest.fixture
def job(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path) -> Job:
    return Job(tmp_path, checkpoints_folder, probe_folder)


def same_activations(one: Workspace, other: Workspace) -> bool:
    shards = one.read("shards")
    return shards.equals(other.read("shards")) and all(
        one.read_group("activations", row).equals(other.read_group("activations", row))
        for row in shards.to_pylist()
    )


def test_a_second_layer_is_added_and_the_first_gets_later_epochs(job: Job, tmp_path: Path) -> None:
    last = job.checkpoints[-1]
    late = last.read_bytes()
    last.unlink()
    epochs = len(job.checkpoints)
    assert job.extract(ONE).made == epochs
    assert job.extract(OTHER).made == epochs
    assert {layer for _, layer, _ in job.groups()} == {"conv1", "conv2"}
    last.write_bytes(late)
    assert job.extract(OTHER).made == 2, "both layers of the new epoch"
    job.extract(BOTH, root=tmp_path / "at once")
    assert same_activations(job.place, Workspace(tmp_path / "at once"))


def test_layers_of_another_network_or_pooling_do_not_stay(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    job.extract(ONE)
    with caplog.at_level(logging.WARNING, "cmon"):
        job.extract(replace(OTHER, pooling="max"))
    assert {layer for _, layer, _ in job.groups()} == {"conv2"}
    assert not (job.root / "activations" / "a" / "conv1").exists()
    assert "another model or in another way than is asked for now: layer conv1 of run a" in caplog.text


def test_epochs_that_are_not_chosen_now_stay(job: Job) -> None:
    job.extract(replace(ONE, epochs=((0, 0),)))
    assert [epoch for _, _, epoch in job.groups()] == [0]
    job.extract(replace(ONE, epochs=((1, 1),)))
    assert [epoch for _, _, epoch in job.groups()] == [0, 1]
    assert job.statuses()[0] == job.statuses()[1] == "ok"


def test_a_checkpoint_that_was_removed_keeps_its_activations(job: Job, tmp_path: Path) -> None:
    job.extract(BOTH)
    shutil.copytree(job.root, tmp_path / "before")
    first = job.checkpoints[0]
    first.unlink()
    result = job.extract(BOTH)
    assert (result.made, result.checkpoints) == (0, len(job.checkpoints))
    assert same_activations(job.place, Workspace(tmp_path / "before"))
    assert job.statuses()[0] == "gone"
    assert job.extract(BOTH).made == 0
    assert job.statuses()[0] == "gone"


def retrained(path: Path) -> None:
    content = torch.load(path)
    content["state_dict"]["conv1.weight"] += 1
    torch.save(content, path)


@pytest.mark.parametrize("how", ["one was retrained", "none of then is there"])
def test_epochs_of_what_may_be_another_training_are_left_out(
    job: Job, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    job.extract(ONE)
    first, *others = job.checkpoints
    first.unlink()
    if how == "one was retrained":
        retrained(others[0])
    else:
        for path in others[:-1]:
            path.unlink()
        content = torch.load(others[-1])
        torch.save({**content, "epoch": 70}, job.run / "epoch_70.pt")
        others[-1].unlink()
    with caplog.at_level(logging.WARNING, "cmon"):
        job.extract(ONE)
    assert 0 not in [epoch for _, _, epoch in job.groups()]
    assert "a: left out, since their checkpoints are no longer there" in caplog.text
    listed = {job.place.activations(*group) for group in job.groups()}
    assert set((job.root / "activations").rglob("*.parquet")) == listed


def test_a_run_is_dropped_and_the_others_stay(job: Job, tmp_path: Path) -> None:
    job.extract(BOTH)
    shutil.copytree(job.root, tmp_path / "before")
    extract(job.place, {"b": job.run}, job.probe, BOTH)
    assert {run for run, _, _ in job.groups()} == {"a", "b"}
    assert drop(job.place, runs=["b"]) == 2 * len(job.checkpoints)
    assert same_activations(job.place, Workspace(tmp_path / "before"))
    assert not (job.root / "activations" / "b").exists()
    assert job.extract(BOTH).made == 0


def test_a_layer_is_dropped_and_not_brought_back_by_others(job: Job) -> None:
    job.extract(BOTH)
    assert drop(job.place, layers=["conv1"]) == len(job.checkpoints)
    job.extract(OTHER)
    assert {layer for _, layer, _ in job.groups()} == {"conv2"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"runs": ["c"]}, "has no run 'c'"),
        ({"layers": ["conv9"]}, "has no layer 'conv9'"),
        ({"runs": ["a"]}, "nothing would be left"),
        ({"layers": ["conv*"]}, "nothing would be left"),
    ],
)
def test_what_is_not_there_or_all_is_not_dropped(job: Job, given: dict[str, Any], words: str) -> None:
    job.extract(BOTH)
    before = job.groups()
    with pytest.raises(CmonError, match=words.replace("(", r"\(")):
        drop(job.place, **given)
    assert job.groups() == before


def add_one(job: Job) -> None:
    Image.new("RGB", (30, 30), (9, 99, 199)).save(job.probe / "0 first of all.png")


def remove_one(job: Job) -> None:
    sorted(job.probe.rglob("*.png"))[2].unlink()


def copy_one(job: Job) -> None:
    shutil.copy(sorted(job.probe.rglob("*.png"))[2], job.probe / "a copy.png")


@pytest.mark.parametrize(
    ("change", "new"), [(add_one, ["0 first of all.png"]), (remove_one, []), (copy_one, [])]
)
def test_only_new_images_are_decoded(
    job: Job, tmp_path: Path, decoded: list[str], change: Callable[[Job], None], new: list[str]
) -> None:
    job.extract(ONE)
    decoded.clear()
    change(job)
    job.extract(ONE)
    assert decoded == new
    job.extract(ONE, root=tmp_path / "afresh")
    assert same_activations(job.place, Workspace(tmp_path / "afresh"))
    assert (
        job.place.read("images")
        .drop(["from_workspace"])
        .equals(Workspace(tmp_path / "afresh").read("images").drop(["from_workspace"]))
    )


@pytest.mark.parametrize("damage", ["a byte", "cut", "its table"])
def test_damaged_pixels_are_never_read_as_others(job: Job, tmp_path: Path, damage: str) -> None:
    job.extract(ONE)
    (pixels,) = job.place.cache.glob("pixels-*.bin")
    if damage == "a byte":
        content = bytearray(pixels.read_bytes())
        content[len(content) // 2] ^= 1
        pixels.write_bytes(content)
    elif damage == "cut":
        pixels.write_bytes(pixels.read_bytes()[:-10])
    else:
        pixels.with_suffix(".parquet").unlink()
    if damage == "a byte":
        with pytest.raises(CmonError, match=r"(?s)is damaged, and was removed.*run `cmon extract` again"):
            job.extract(BOTH)
    job.extract(BOTH)
    job.extract(BOTH, root=tmp_path / "afresh")
    assert same_activations(job.place, Workspace(tmp_path / "afresh"))
    np.testing.assert_equal(len(list(job.place.cache.glob("pixels-*.bin"))), 1)
