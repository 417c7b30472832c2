from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmon.checkpoints.find import find_checkpoints
from cmon.errors import CmonError


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
