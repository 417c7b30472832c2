from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cmon.checkpoints import checkpoint, runs
from cmon.checkpoints.checkpoint import Checkpoint
from cmon.checkpoints.find import find_checkpoints
from cmon.errors import CmonError

TENSORS = {"conv.weight": torch.arange(6.0).view(2, 3)}


def saved(path: Path, seed: float = 0, **beside: Any) -> None:
    torch.save({"state_dict": {"conv.weight": TENSORS["conv.weight"] + seed}, **beside}, path)


def deduplicated(folder: Path) -> dict[str, Checkpoint]:
    found = [checkpoint.inspect(path, folder) for path in find_checkpoints(folder)]
    return {one.name: one for one in runs.deduplicate(found)[0]}


def read(folder: Path) -> dict[str, float | None]:
    return {name: one.epoch for name, one in deduplicated(folder).items() if one.error is None}


def test_hard_links_and_equal_bytes_count_once(tmp_path: Path) -> None:
    for epoch in (3, 7):  # the best ones only, so there are gaps
        saved(tmp_path / f"checkpoint-{epoch}.pth.tar", epoch, epoch=epoch)
    os.link(tmp_path / "checkpoint-7.pth.tar", tmp_path / "last.pth.tar")
    (tmp_path / "best.pth.tar").write_bytes((tmp_path / "checkpoint-3.pth.tar").read_bytes())
    (tmp_path / "newest.pth.tar").symlink_to(tmp_path / "last.pth.tar")
    found = deduplicated(tmp_path)
    assert read(tmp_path) == {"checkpoint-3.pth.tar": 3, "checkpoint-7.pth.tar": 7}
    assert found["last.pth.tar"].error == "the same file as checkpoint-7.pth.tar"
    assert found["newest.pth.tar"].error == "the same file as checkpoint-7.pth.tar"
    assert found["best.pth.tar"].error == "the same content as checkpoint-3.pth.tar"


def test_a_copy_without_an_epoch_is_a_copy(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "epoch_2.pt")
    (tmp_path / "best.pt").write_bytes((tmp_path / "epoch_2.pt").read_bytes())
    assert deduplicated(tmp_path)["best.pt"].error == "the same content as epoch_2.pt"


def test_a_network_that_stood_still_has_all_its_epochs(tmp_path: Path) -> None:
    for epoch in (1, 2):
        save_file(TENSORS, tmp_path / f"epoch_{epoch}.safetensors")
    assert list(read(tmp_path).values()) == [1, 2]


@pytest.mark.parametrize(
    ("names", "wins"),
    [
        (["checkpoint.pth", "model_3.pth"], "model_3.pth"),
        (["recovery-3-500.pth.tar", "checkpoint-3.pth.tar"], "checkpoint-3.pth.tar"),
        (["epoch=3-step=300.ckpt", "epoch=3-step=450.ckpt"], "epoch=3-step=450.ckpt"),
        (["epoch=3-step=300.ckpt", "epoch=3-step=300-v1.ckpt"], "epoch=3-step=300-v1.ckpt"),
        (["last.ckpt", "epoch=3-step=300.ckpt"], "epoch=3-step=300.ckpt"),
        (["model_ep3_it0.pth", "model_ep3_it40.pth"], "model_ep3_it0.pth"),
        (["checkpoint.pt.latest", "2_checkpoint.pt"], "2_checkpoint.pt"),
    ],
)
def test_of_one_epoch_the_whole_and_the_latest_counts(tmp_path: Path, names: list[str], wins: str) -> None:
    for seed, name in enumerate(names):
        saved(tmp_path / name, seed, epoch=3)
    saved(tmp_path / "epoch=4-step=600.ckpt", 9, epoch=4)  # else the step would count
    assert read(tmp_path) == {wins: 3, "epoch=4-step=600.ckpt": 4}
    (lost,) = [one for one in deduplicated(tmp_path).values() if one.error]
    assert lost.error == f"epoch 3 is already given by {wins}"


def test_where_only_steps_are_known_they_stand_for_epochs(tmp_path: Path) -> None:
    for step in (500, 1000):
        saved(tmp_path / f"step_{step}.pt", step)
    assert read(tmp_path) == {"step_500.pt": 500, "step_1000.pt": 1000}
    saved(tmp_path / "epoch_1.pt", 1)
    assert read(tmp_path) == {"epoch_1.pt": 1}
    error = deduplicated(tmp_path)["step_500.pt"].error
    assert error == "no epoch, only step 500, where others of the run have an epoch"


def test_stored_epochs_that_names_contradict_are_told(tmp_path: Path) -> None:
    for epoch in (0, 1):
        saved(tmp_path / f"{epoch}_checkpoint.pt", epoch, epoch=epoch + 1)
    saved(tmp_path / "last.pt", 9, epoch=9)
    found = runs.find_disagreements(list(deduplicated(tmp_path).values()))
    assert [(one.name, one.epoch, named) for one, named in found] == [
        ("0_checkpoint.pt", 1, 0),
        ("1_checkpoint.pt", 2, 1),
    ]


def test_a_run_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    saved(tmp_path / "good" / "epoch_1.pt")
    (tmp_path / "bad" / "epoch_1.pt").write_bytes(b"broken")
    found = runs.inspect_runs({"good": tmp_path / "good", "bad": tmp_path / "bad"})
    with pytest.raises(CmonError, match=r"none of the 1 checkpoints of run 'bad'(.|\n)*damaged"):
        runs.deduplicate_runs(found)
