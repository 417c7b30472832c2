from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.errors import CmonError
from cmon.printable import printable, printable_lines
from cmon.workspace.files import printable_path

MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_bytes_that_are_not_utf_8_are_escaped() -> None:
    path = Path(os.fsdecode(b"run/caf\xe9_\xc3\xa9.png"))
    assert printable_path(path) == "run/caf\\xe9_é.png"


@given(st.binary(max_size=20))
def test_every_name_of_a_file_becomes_utf_8(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert shown == printable(name.decode("utf-8", "backslashreplace"))
    shown.encode()


@given(st.text(st.characters(), max_size=20))
def test_every_text_becomes_utf_8_and_utf_8_stays(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert printable(shown) == shown


@given(st.text(st.characters(), max_size=20))
def test_nothing_that_acts_on_a_terminal_or_turns_a_text_round_is_left(text: str) -> None:
    acting = {"Cc", "Cs", "Zl", "Zp"}
    for shown, kept in ((printable(text), ""), (printable_lines(text), "\n\t")):
        left = {one for one in shown if unicodedata.category(one) in acting or one in MARKS}
        assert left <= set(kept)
    assert printable_lines(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("\x9b31m", "\\x9b31m"),
        ("gnp\u202e.exe", "gnp\\u202e.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("日本 é 👩\u200d🚀", "日本 é 👩\u200d🚀"),
    ],
)
def test_what_acts_stands_as_its_number(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_name_cannot_begin_a_line_of_a_message() -> None:
    error = CmonError("a\nerror: b", expected="c\n  d", found="e\x1b[2J")
    assert str(error) == "a\\x0aerror: b\n  expected: c d\n  found:    e\\x1b[2J"


def test_an_error_can_be_printed_whatever_it_names() -> None:
    error = CmonError(os.fsdecode(b"caf\xe9.pt") + ": damaged", found="caf\udce9")
    assert str(error) == "caf\\xe9.pt: damaged\n  found:    caf\\xe9"
    assert error.line == "caf\\xe9.pt: damaged; found caf\\xe9"
