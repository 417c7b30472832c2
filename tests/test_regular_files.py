"""Only regular files are opened, and never waited for."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cmon import regular_files
from cmon.regular_files import NotAFile, TooLarge, open_regular, read_regular


def test_a_file_and_a_link_to_one_are_opened_at_their_beginning(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to("a")
    for name in ("a", "b"):
        with open_regular(tmp_path / name) as file:
            assert (file.read(), file.seek(1), file.read()) == (b"abc", 1, b"bc")


@pytest.mark.parametrize(
    ("name", "says"),
    [("pipe", "a named pipe"), ("folder", "a folder"), ("zero", "a device"), ("to pipe", "a named pipe")],
)
def test_everything_else_is_named_and_not_waited_for(tmp_path: Path, name: str, says: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "to pipe").symlink_to("pipe")
    with pytest.raises(NotAFile) as caught:
        open_regular(tmp_path / name)
    assert caught.value.strerror == f"{says}, not a file"


def test_what_becomes_a_pipe_between_looking_and_opening_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    look = regular_files._require_regular

    def exchange(own: Path, at: os.stat_result) -> None:
        look(own, at)
        if path.is_file():
            path.unlink()
            os.mkfifo(path)

    monkeypatch.setattr(regular_files, "_require_regular", exchange)
    done: list[str] = []

    def attempt() -> None:
        try:
            open_regular(path)
        except NotAFile as error:
            done.append(error.strerror)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert done == ["a named pipe, not a file"]


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 300])
def test_names_that_no_file_can_have_are_an_error_of_the_system(name: str) -> None:
    with pytest.raises(OSError, match=r"no file can have this name|File name too long|codec"):
        open_regular(Path(name))


def test_what_is_not_there_says_so() -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(Path("nowhere"))


def test_no_more_is_read_than_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert read_regular(path, 3) == b"abc"
    with pytest.raises(TooLarge) as caught:
        read_regular(path, 2)
    assert caught.value.strerror == "3 bytes, where 2 at most are read"


def test_no_file_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        with pytest.raises(NotAFile):
            open_regular(tmp_path / "pipe")
    assert len(os.listdir("/dev/fd")) == before
