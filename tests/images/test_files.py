from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cmon.errors import CmonError
from cmon.images.files import find_images
from cmon.images.preprocessing import Decoder, ResizeCrop


def test_a_folder_is_listed_in_natural_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "b/img1.png", ".DS_Store", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    files = find_images(tmp_path)
    assert [file.name for file in files] == ["b/img1.png", "img2.png", "img10.png", "notes.txt"]
    assert len({file.sha256 for file in files}) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.write_text(""), "holds no image"),
        (lambda path: path.mkdir(), "holds no image"),
    ],
)
def test_a_folder_without_images_says_so(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "probe")
    with pytest.raises(CmonError, match=message):
        find_images(tmp_path / "probe")


def test_a_folder_that_may_not_be_read_says_so(
    locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    with without_rights(), pytest.raises(CmonError, match="Permission denied"):
        find_images(locked_folder)


def test_an_image_that_may_not_be_read_is_skipped_with_the_reason(
    tmp_path: Path, without_rights: Callable[[], Any], locked_folder: Path
) -> None:
    locked_folder.chmod(0o755)
    (locked_folder / "epoch_1.pt").chmod(0)
    with without_rights():
        (file,) = find_images(locked_folder)
    assert file.error == "cannot be read: Permission denied"
    assert Decoder([file], ResizeCrop(8, 8))[0] == (0, None, file.error, ())


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for name in ("a b.png", "ü.png", "c.png"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "c.png\n\na b.png\n  ü.png\nc.png\n",
        "\ufeffc.png\r\na b.png\r\nü.png\r\n",
        'path,object\nc.png,"car;bus"\n"a b.png",\nü.png,dog\n',
        "object,path\ncar,c.png\n,a b.png\n,ü.png\n",
    ],
)
def test_a_list_gives_its_images_in_its_order_and_each_once(three: Path, text: str) -> None:
    (three / "list.txt").write_text(text, encoding="utf-8")
    found = find_images(three / "list.txt")
    assert [file.name for file in found] == ["c.png", "a b.png", "ü.png"]
    assert {file.sha256 for file in found} == {find_images(three)[0].sha256}


def test_a_list_names_what_is_not_there(three: Path) -> None:
    (three / "list.txt").write_text("gone.png\nc.png\n")
    gone, there = find_images(three / "list.txt")
    assert (there.error, gone.error) == (None, "cannot be read: No such file or directory")


def test_a_picture_is_no_list(three: Path) -> None:
    with pytest.raises(CmonError, match="cannot be read as a list of images"):
        find_images(three / "c.png")
