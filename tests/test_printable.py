from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cmon.errors import CmonError
from cmon.printable import printable
from cmon.workspace.files import printable_path


def test_bytes_that_are_not_utf_8_are_escaped() -> None:
    path = Path(os.fsdecode(b"run/caf\xe9_\xc3\xa9.png"))
    assert printable_path(path) == "run/caf\\xe9_é.png"


@given(st.binary(max_size=20))
def test_every_name_of_a_file_becomes_utf_8(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert shown == name.decode("utf-8", "backslashreplace")
    shown.encode()


@given(st.text(st.characters(), max_size=20))
def test_every_text_becomes_utf_8_and_utf_8_stays(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert printable(shown) == shown


def test_an_error_can_be_printed_whatever_it_names() -> None:
    error = CmonError(os.fsdecode(b"caf\xe9.pt") + ": damaged", found="caf\udce9")
    assert str(error) == "caf\\xe9.pt: damaged\n  found:    caf\\xe9"
    assert error.line == "caf\\xe9.pt: damaged; found caf\\xe9"
