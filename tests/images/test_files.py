from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cmon.errors import CmonError
from cmon.images.files import find_images, list_paths
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


def test_a_list_may_name_a_file_as_cmon_shows_it(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"1")
    (tmp_path / "list.csv").write_text("object;PATH\ncup;caf\\xe9.png\n")
    (file,) = find_images(tmp_path / "list.csv")
    assert (file.path, file.error) == (tmp_path / os.fsdecode(b"caf\xe9.png"), None)


def test_a_file_that_a_list_names_in_two_ways_counts_once(
    three: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (three / "list.txt").write_text(f"c.png\n./c.png\n../{three.name}/c.png\n{three}/c.png\na b.png\n")
    assert [file.name for file in find_images(three / "list.txt")] == ["c.png", "a b.png"]
    assert "through links or other names, counts once: 1 (c.png)" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('path\n"c.png\n', "line 2: cannot be read as CSV"),
        ("path,object\nc.png,a,b\n", "line 2: has more cells"),
        ("caf\xe9.png\n", "it is not UTF-8 text"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_by_line(three: Path, text: str, message: str) -> None:
    (three / "list.txt").write_text(text, encoding="latin-1")
    with pytest.raises(CmonError, match=message):
        find_images(three / "list.txt")


# -- links and hidden files ----------------------------------------------------------------------------


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names_in(folder: Path) -> list[str]:
    return [file.name for file in find_images(folder)]


def test_hidden_and_system_files_and_folders_are_passed_over_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(
        tmp_path,
        "a/1.png",
        "a/.ipynb_checkpoints/1-checkpoint.png",
        "a/._1.png",
        "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
        ".Trash-1000/files/2.png",
        "__MACOSX/a/._1.png",
        "$RECYCLE.BIN/3.png",
        "lost+found/4.png",
        "Thumbs.db",
        "b/Desktop.ini",
        "b/notes.txt",
        "b/dotted.name/..5.png",
        "b/dotted.name/6.png",
    )
    assert names_in(tmp_path) == ["a/1.png", "b/dotted.name/6.png", "b/notes.txt"]
    (record,) = caplog.records
    assert (
        "hidden and system files and folders are passed over: 10 ($RECYCLE.BIN, .Trash-1000,"
        in record.getMessage()
    )
    assert list_paths(tmp_path, say=False)
    assert len(caplog.records) == 1


def test_a_folder_that_is_hidden_itself_is_read_when_it_is_given(tmp_path: Path) -> None:
    assert names_in(make(tmp_path / ".cache/@eaDir", "1.png")) == ["1.png"]


def test_a_folder_of_hidden_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(CmonError, match=r"holds no image[^$]*hidden and system files .*: 1 \(\.a\.png\)"):
        find_images(make(tmp_path, ".a.png"))


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    elsewhere = make(tmp_path / "elsewhere", "n1/1.png", "n1/deep/2.png", "n2/3.png", "4.png")
    probe = make(tmp_path / "probe", "real/5.png")
    (probe / "cat").symlink_to(elsewhere / "n1")
    (probe / "real" / "dog").symlink_to(os.path.relpath(elsewhere / "n2", probe / "real"))
    (probe / "one.png").symlink_to(elsewhere / "4.png")
    found = find_images(probe)
    assert [file.name for file in found] == [
        "cat/1.png",
        "cat/deep/2.png",
        "one.png",
        "real/5.png",
        "real/dog/3.png",
    ]
    assert not any(file.error for file in found)
    assert [file.name for file in find_images(probe / "cat")] == ["1.png", "deep/2.png"]


def test_links_that_lead_back_are_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    probe = make(tmp_path / "outside" / "probe", "a/1.png", "b/2.png")
    make(tmp_path / "outside", "not one of the set.png")
    (probe / "up").symlink_to("..")
    (probe / "a" / "self").symlink_to(".")
    (probe / "b" / "top").symlink_to(probe)
    assert names_in(probe) == ["a/1.png", "b/2.png"]
    assert "links to folders above them are not followed: 3 (up, a/self, b/top)" in caplog.text


def test_folders_that_link_to_each_other_are_read_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With n of them, following each link anew would give n! ways."""
    for name in "abcdefghij":
        make(tmp_path / "elsewhere", f"{name}/{name}.png")
        for other in "abcdefghij":
            if other != name:
                (tmp_path / "elsewhere" / name / f"to {other}").symlink_to(f"../{other}")
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe" / "a").symlink_to("../elsewhere/a")
    assert sorted(Path(name).name for name in names_in(tmp_path / "probe")) == [
        f"{name}.png" for name in "abcdefghij"
    ]
    assert "what is reached again, through links or other names, counts once" in caplog.text


def test_a_file_reached_twice_counts_once_by_its_own_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "z/1.png")
    (tmp_path / "a").symlink_to("z")
    (tmp_path / "b.png").symlink_to("z/1.png")
    assert names_in(tmp_path) == ["z/1.png"]
    assert "through links or other names, counts once: 2 (a, b.png)" in caplog.text


def test_broken_links_are_rows_with_the_reason(tmp_path: Path) -> None:
    make(tmp_path, "1.png")
    (tmp_path / "gone.png").symlink_to("nowhere/2.png")
    (tmp_path / "ring.png").symlink_to("ring.png")
    first, gone, ring = find_images(tmp_path)
    assert first.error is None
    assert gone.error == "cannot be read: a link to nowhere/2.png: No such file or directory"
    assert ring.error is not None
    assert ring.error.startswith("cannot be read: a link to ring.png: ")


def test_a_folder_below_that_may_not_be_read_is_a_row(
    locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    locked_folder.chmod(0o755)
    (locked_folder / "epoch_1.pt").chmod(0o644)
    (locked_folder / "locked").mkdir(mode=0)
    with without_rights():
        one, locked = find_images(locked_folder)
    assert (one.error, locked.name, locked.error) == (None, "locked", "cannot be read: Permission denied")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (file,) = find_images(tmp_path)
    assert file.error == "a named pipe, not a file"


@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.png",
        b"\xff\xfe",
        b"two\nlines.png",
        b'\'"quotes".png',
        b"a:b;c,d.png",
        b"x" * 255,
        b" .png",
        b"%41.png",
        b"*?[1].png",
    ],
)
def test_names_of_every_kind_are_read(tmp_path: Path, name: bytes) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / os.fsdecode(name))
    (file,) = find_images(tmp_path)
    assert os.fsencode(file.path.name) == name
    assert Decoder([file], ResizeCrop(4, 4))[0].array is not None
