"""The one reader of text and CSV: encodings, lines, delimiters, and errors that name the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cmon import text_files
from cmon.errors import CmonError
from cmon.text_files import Format, Row

FORMAT = Format("a list of fruit", "one fruit a line, or CSV with the column fruit")


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "fruit.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# -- decoding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_utf_8_or_utf_16_with_its_mark(tmp_path: Path, encoding: str) -> None:
    assert (
        text_files.read_text(written(tmp_path, "pêche\nkiwi\n".encode(encoding)), FORMAT) == "pêche\nkiwi\n"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "kiwi\npêche\n".encode("latin-1"),
            "(?s)is not UTF-8 text.*0xea at offset 6, in line 2.*'pêche'.*iconv",
        ),
        ("kiwi\n".encode("utf-16-le"), "(?s)is not text.*a zero byte in line 1.*UTF-16"),
        (b"kiwi\nfig\n\xff\x00\n", "(?s)is not text.*a zero byte in line 3"),
        ("\ufeffkiwi\n\0".encode("utf-16-le"), "(?s)is not text.*a zero byte in line 2"),
        ("\ufeffkiwi\n".encode("utf-16-le")[:-1], "(?s)is not UTF-16 text.*in line"),
    ],
)
def test_other_bytes_are_refused_with_their_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(CmonError, match=says) as caught:
        text_files.read_text(path, FORMAT)
    assert f"{path}: cannot be read as a list of fruit" in str(caught.value)
    assert "one fruit a line, or CSV with the column fruit, in UTF-8" in str(caught.value)


def test_a_missing_file_and_a_locked_one_say_what_was_expected(
    tmp_path: Path, locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    with pytest.raises(
        CmonError, match=r"(?s)cannot be read as a list of fruit.*one fruit a line.*No such file"
    ):
        text_files.read_text(tmp_path / "none.txt", FORMAT)
    with without_rights(), pytest.raises(CmonError, match="Permission denied"):
        text_files.read_text(locked_folder / "epoch_1.pt", FORMAT)


# -- lines ---------------------------------------------------------------------------------------------


def test_lines_are_normalized_and_blank_ones_at_the_end_dropped(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffpe\u0302che   plate\r\n\r\nform\x0cfeed\rkiwi\n\n \n")
    assert text_files.read_lines(path, FORMAT) == ["pêche plate", "", "form feed", "kiwi"]


# -- CSV -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", text_files.DELIMITERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_found_by_its_column(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = [
        ("Nr", ' "FRUIT"', "Color"),
        ("1", ' "fig, dried; ""sweet"""', "brown"),
        ("", "", ""),
        ("2", "kiwi"),
    ]
    table = text_files.read_table(
        written(tmp_path, end + end.join(map(delimiter.join, rows))), "fruit", FORMAT
    )
    assert table.columns == ["nr", "fruit", "color"]
    assert table.rows == [Row(3, ["1", 'fig, dried; "sweet"', "brown"]), Row(5, ["2", "kiwi", ""])]
    assert table.column("color") == ["brown", ""]
    assert table.column("weight") == ["", ""]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("name,color\nfig,brown\n", "(?s)has no column named 'fruit'.*found:    'name,color'"),
        ("", "(?s)has no column named 'fruit'.*found:    ''"),
        (
            "fruit,color\nfig,brown\n\nfig,dried,brown\n",
            "(?s)line 4: has more cells.*2 cells.*3 cells.*','.*quotes",
        ),
        ('fruit,color\nfig,"brown\n', "line 2: cannot be read as CSV"),
    ],
)
def test_a_table_that_cannot_be_read_names_the_line(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(CmonError, match=says):
        text_files.read_table(written(tmp_path, content), "fruit", FORMAT)


def test_empty_cells_beyond_the_header_are_ignored(tmp_path: Path) -> None:
    table = text_files.read_table(written(tmp_path, "fruit,color\nfig,brown,,\n"), "fruit", FORMAT)
    assert table.rows == [Row(2, ["fig", "brown"])]


@pytest.mark.parametrize(
    "content",
    [
        "fig, dried.png\n\n  kiwi.png\nfig, dried.png\n",
        "\ufefffig, dried.png\r\nkiwi.png\r\nfig, dried.png",
        'Fruit;color\n"fig, dried.png";brown\n;\nkiwi.png;green\nfig, dried.png;\n',
        'color,fruit\nbrown,"fig, dried.png"\ngreen, kiwi.png\n,\nred,\n,"fig, dried.png"\n',
    ],
)
def test_a_list_is_text_or_a_column_and_its_entries_stay_as_they_are(tmp_path: Path, content: str) -> None:
    wanted = ["fig, dried.png", "kiwi.png", "fig, dried.png"]
    assert text_files.read_column(written(tmp_path, content), "fruit", FORMAT) == wanted


def test_an_entry_keeps_its_white_space_and_its_accents(tmp_path: Path) -> None:
    """They may be the path of a file."""
    path = written(tmp_path, "pe\u0302che  1.png\n")
    assert text_files.read_column(path, "fruit", FORMAT) == ["pe\u0302che  1.png"]
