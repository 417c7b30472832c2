from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cmon.errors import CmonError
from cmon.watching.folders import list_checkpoints, list_files
from tests.support.checkpoints import save_hugging_face, train_network
from tests.support.watched import save


def test_checkpoints_are_listed_with_size_and_time_and_nothing_else_is(tmp_path: Path) -> None:
    first, second = save(tmp_path / "a", 0), save(tmp_path / "b", 1)
    (tmp_path / "a/training.csv").write_text("epoch,loss\n")
    listing = list_checkpoints([tmp_path / "a", tmp_path / "b"])
    assert list(listing) == [first, second]
    at = first.stat()
    assert listing[first] == (("epoch_0.pt", at.st_size, at.st_mtime_ns),)


def test_nothing_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "epoch_1.pt"
    os.mkfifo(tmp_path / "pipe")
    path.symlink_to(tmp_path / "pipe")  # whoever opens it waits for ever
    save(tmp_path, 2)
    assert tmp_path / "epoch_2.pt" in list_checkpoints([tmp_path])


def test_a_folder_that_is_one_checkpoint_changes_with_any_file_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-10"
    save_hugging_face(folder, train_network(0), 1.0, 10, "safetensors")
    before = list_checkpoints([tmp_path])
    assert list(before) == [folder]
    torch.save({"state": {1: 2}}, folder / "optimizer.pt")
    assert list_checkpoints([tmp_path]) != before


def test_a_link_that_leads_nowhere_is_left_out(tmp_path: Path) -> None:
    path = save(tmp_path, 0)
    (tmp_path / "epoch_1.pt").symlink_to(tmp_path / "gone.pt")
    assert list(list_checkpoints([tmp_path])) == [path]
    assert list_files([tmp_path / "none"]) == {}


def test_a_folder_without_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CmonError, match="holds no checkpoint"):
        list_checkpoints([tmp_path])
    with pytest.raises(CmonError, match="no such folder"):
        list_checkpoints([tmp_path / "none"])
