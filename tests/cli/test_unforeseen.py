"""An error that nobody foresaw: one paragraph, and the traceback in a file of the user's own."""

from __future__ import annotations

import errno
import re
import stat
import tempfile
from pathlib import Path

import pytest

from cmon.cli.unforeseen import describe


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are written."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def caught(error: BaseException) -> BaseException:
    """The error with a traceback."""
    try:
        raise error
    except BaseException as found:
        return found


def test_one_paragraph_says_what_happened_and_where_the_traceback_is(folder: Path) -> None:
    said = describe(caught(KeyError("layer9")))
    assert [line.split(":")[0].strip() for line in said.splitlines()] == [
        "cmon failed where it should not have",
        "found",
        "next",
    ]
    assert "KeyError: 'layer9'" in said
    assert "Traceback" not in said
    (file,) = folder.iterdir()
    assert str(file) in said
    written = file.read_text()
    assert "Traceback (most recent call last)" in written
    assert "raise error" in written
    assert re.match(r"cmon \S+, Python 3\.", written)


def test_the_file_is_the_users_alone(folder: Path) -> None:
    describe(caught(ValueError()))
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cmon could not go on: the disk is full"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "a name or path is too long for this disk"),
        (MemoryError(), "cmon could not go on: the memory is used up"),
        (RecursionError("maximum recursion depth exceeded"), "an error that nobody foresaw"),
    ],
)
def test_what_is_wrong_with_the_machine_is_named(error: BaseException, says: str) -> None:
    said = describe(caught(error))
    assert says in said
    assert ("report it" in said) == ("nobody foresaw" in said)


def test_words_of_an_error_are_shortened_and_act_on_no_terminal() -> None:
    said = describe(caught(ValueError("\x1b[2J\nerror: all is well\n" + 10_000 * "x")))
    assert "\x1b" not in said
    assert "\\x1b[2J error: all is well" in said
    assert len(said.splitlines()) == 3
    assert len(said) < 1_000


def test_without_a_place_for_the_file_it_still_says_what_happened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    said = describe(caught(ValueError("odd")))
    assert "ValueError: odd" in said
    assert "could not be written to a file" in said
