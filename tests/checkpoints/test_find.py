from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cmon.checkpoints import checkpoint
from cmon.checkpoints.find import find_checkpoints
from cmon.errors import CmonError
from tests.support.checkpoints import check_folder, train_network


def test_a_folder_is_listed_in_natural_order_with_its_sub_folders(tmp_path: Path) -> None:
    for name in ("epoch_10.pt", "epoch_2.pt", "Epoch_3.pth", "b/epoch_1.pth.tar", "log.txt", "x.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in find_checkpoints(tmp_path)]
    assert names == ["b/epoch_1.pth.tar", "epoch_2.pt", "Epoch_3.pth", "epoch_10.pt", "x.safetensors"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text(""), "not a folder"),
        (lambda path: path.mkdir(), "an empty folder"),
        (lambda path: (path.mkdir(), (path / "log.txt").touch()), "1 other entries"),
    ],
)
def test_a_folder_without_checkpoints_says_so(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "runs")
    with pytest.raises(CmonError, match=message):
        find_checkpoints(tmp_path / "runs")


def test_a_folder_that_may_not_be_read_says_so(
    locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    with without_rights(), pytest.raises(CmonError, match="cannot be read\n  found:    Permission denied"):
        find_checkpoints(locked_folder)


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_checkpoints(folder)]


def test_links_to_folders_are_followed_and_never_in_circles(tmp_path: Path) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    for epoch in (3, 4):
        (outside / f"save_{epoch}").mkdir(parents=True)
        (outside / f"save_{epoch}" / "model.pt").touch()
    run.mkdir()
    for epoch in (3, 4):
        (run / f"epoch_{epoch}").symlink_to(outside / f"save_{epoch}")
    (run / "again").symlink_to(run)
    (outside / "save_4" / "up").symlink_to(outside)
    found = names(run)
    assert found[:1] == ["epoch_3/model.pt"]
    assert "epoch_4/model.pt" in found
    assert not any("again" in name for name in found)
    assert len(found) < 8


def test_a_link_to_nothing_is_a_checkpoint_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "epoch_1.pt").symlink_to(tmp_path / "gone.pt")
    (path,) = find_checkpoints(tmp_path)
    assert checkpoint.inspect(path, tmp_path).error == "cannot be read: No such file or directory"


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", ".Trash-1000", "__MACOSX", "@eaDir", ".git"])
def test_hidden_folders_and_files_are_passed_over(tmp_path: Path, hidden: str) -> None:
    (tmp_path / hidden / "sub").mkdir(parents=True)
    for path in (hidden + "/epoch_2.pt", hidden + "/sub/epoch_3.pt", "._epoch_1.pt", "epoch_1.pt"):
        (tmp_path / path).touch()
    assert names(tmp_path) == ["epoch_1.pt"]


def test_deepspeeds_folder_within_the_trainers_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-5" / "global_step5").mkdir(parents=True)
    for name in ("model.safetensors", "trainer_state.json", "global_step5/mp_rank_00_model_states.pt"):
        (tmp_path / "checkpoint-5" / name).touch()
    assert names(tmp_path) == ["checkpoint-5"]
    (tmp_path / "checkpoint-5" / "model.safetensors").unlink()
    assert names(tmp_path) == ["checkpoint-5/global_step5"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_name_that_is_not_utf_8_is_read_and_shown_escaped(tmp_path: Path, suffix: str) -> None:
    network = train_network(1)
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    path = folder / (os.fsdecode(b"\xe9t\xe9_epoch_1") + suffix)
    if suffix == ".pt":
        torch.save(network.state_dict(), path)
    else:
        save_file(network.state_dict(), path)
    (found,) = check_folder(tmp_path, {1.0: network})
    assert found.name == "caf\\xe9/\\xe9t\\xe9_epoch_1" + suffix
    path.write_bytes(path.read_bytes()[:50])
    error = checkpoint.inspect(path, tmp_path).error
    assert error is not None
    assert error.startswith("damaged")


@pytest.mark.parametrize(
    ("name", "says"), [("a.onnx", "1 of ONNX"), ("m.keras", "1 of Keras"), ("a.pkl", "1 of pickle")]
)
def test_files_of_other_programs_are_named_where_there_is_no_checkpoint(
    tmp_path: Path, name: str, says: str
) -> None:
    (tmp_path / name).touch()
    with pytest.raises(CmonError, match=f"1 other entries: {says}"):
        find_checkpoints(tmp_path)
