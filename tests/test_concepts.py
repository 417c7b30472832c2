from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon import concepts
from cmon.concepts import Concept
from cmon.errors import CmonError


def read(folder: Path, content: str | bytes) -> list[tuple[str, str | None]]:
    path = folder / "concepts.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(concept.name, concept.category) for concept in concepts.read(path)]


@pytest.mark.parametrize(
    "content",
    [
        "dog\ncat\n",
        "dog\ncat",
        "\ufeffdog\ncat\n",
        "dog\r\ncat\r\n",
        "\n\n dog \n\n\t\ncat\n\n",
    ],
)
def test_a_text_file_has_one_concept_a_line(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == [("dog", None), ("cat", None)]


@pytest.mark.parametrize(
    "content",
    [
        "concept,category\ndog,animal\nred,color\nthing,\n",
        "\ufeffconcept,category\r\ndog,animal\r\nred,color\r\nthing,\r\n",
        "\n\nConcept, Category\ndog,animal\n\nred, color \nthing\n",
        '"concept","category"\n"dog","animal"\n"red","color"\n"thing",""\n',
        "category,concept\nanimal,dog\ncolor,red\n,thing\n",
        "id,concept,category\n1,dog,animal\n2,red,color\n3,thing,\n",
    ],
)
def test_a_table_has_concepts_and_categories(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == [("dog", "animal"), ("red", "color"), ("thing", None)]


def test_words_are_kept_white_space_is_folded(tmp_path: Path) -> None:
    assert read(tmp_path, "polar   bear\nRed fox, Vulpes vulpes\nÉclair\n") == [
        ("polar bear", None),
        ("Red fox, Vulpes vulpes", None),
        ("Éclair", None),
    ]


def test_doubled_concepts_are_merged_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="cmon"):
        found = read(tmp_path, "concept,category\ndog,animal\ncat,\nDog,pet\n dog ,\n")
    assert found == [("dog", "animal"), ("cat", None)]
    (record,) = caplog.records
    assert "2 concepts are listed more than once" in record.getMessage()
    assert "'Dog', 'dog'" in record.getMessage()


def test_no_warning_without_doubles(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, "dog\ndogs\n")
    assert not caplog.records


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "an empty file"),
        ("\ufeff", "an empty file"),
        (" \n\n\t\n", "an empty file"),
        ("concept,category\n", "only blank lines or a header"),
        ("concept,category\n,animal\n", "only blank lines or a header"),
    ],
)
def test_a_list_of_nothing_is_refused(tmp_path: Path, content: str, found: str) -> None:
    with pytest.raises(CmonError, match=f"holds no concept\n.*\n.*{found}"):
        read(tmp_path, content)


@pytest.mark.parametrize(("content", "byte"), [("éclair\n".encode("latin1"), "0xe9"), (b"\xa0\n", "0xa0")])
def test_another_encoding_is_named_with_the_byte(tmp_path: Path, content: bytes, byte: str) -> None:
    with pytest.raises(CmonError, match=f"is not UTF-8 text\n.*\n.*byte {byte} at offset 0"):
        read(tmp_path, content)


def test_a_missing_file_a_folder_and_a_locked_file_say_so(
    tmp_path: Path, locked_folder: Path, without_rights: Callable[[], Any]
) -> None:
    with pytest.raises(CmonError, match="No such file"):
        concepts.read(tmp_path / "nothing.txt")
    with pytest.raises(CmonError, match="a folder, not a file"):
        concepts.read(tmp_path)
    with without_rights(), pytest.raises(CmonError, match="Permission denied"):
        concepts.read(locked_folder / "epoch_1.pt")


def test_anchors_are_the_concepts_with_a_category() -> None:
    listed = [Concept("dog", "animal"), Concept("thing", None), Concept("red", "color")]
    assert [concept.name for concept in concepts.with_category(listed)] == ["dog", "red"]


@given(st.text(max_size=60))
def test_any_text_gives_distinct_concepts_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = concepts.read(path)
    except CmonError:
        return
    assert found
    assert all(concept.name == " ".join(concept.name.split()) != "" for concept in found)
    assert len({concept.name.casefold() for concept in found}) == len(found)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("cut", [",", ";", "\t"])
def test_a_table_is_read_in_every_form_that_spreadsheets_write(
    tmp_path: Path, encoding: str, end: str, cut: str
) -> None:
    quoted = '"éclair, long; ""sweet"""'
    rows = [("Nr", "CONCEPT", "Category"), ("1", quoted, "object"), ("", "", ""), ("2", "red", "color")]
    content = end.join(cut.join(row) for row in rows) + end
    assert read(tmp_path, content.encode(encoding)) == [('éclair, long; "sweet"', "object"), ("red", "color")]


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_told_by_its_mark(tmp_path: Path, order: str) -> None:
    assert read(tmp_path, "\ufeffédredon\r\ncat\r\n".encode(order)) == [("édredon", None), ("cat", None)]


def test_utf_16_without_its_mark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CmonError, match=r"is not text\n.*\n.*zero byte in line 1"):
        read(tmp_path, "dog\ncat\n".encode("utf-16-le"))


def test_utf_16_cut_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CmonError, match=r"is not UTF-16 text\n.*\n.*in line"):
        read(tmp_path, "\ufeffdog\ncat\n".encode("utf-16-le")[:-1])


def test_latin_1_is_refused_with_the_line_as_it_would_read(tmp_path: Path) -> None:
    with pytest.raises(CmonError, match=r"in line 2, which in Latin-1 would read 'café'\n.*iconv -f latin1"):
        read(tmp_path, "dog\ncafé\ncat\n".encode("latin-1"))


def test_the_marks_of_joined_files_are_removed(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffdog\n\ufeffcat\n") == [("dog", None), ("cat", None)]


def test_a_line_of_text_is_a_concept_as_it_stands(tmp_path: Path) -> None:
    lines = [
        "# 1 fan",
        "church, outdoor",
        "salt; pepper",
        '"quoted"',
        "concept art, abstract",
        "form\x0cfeed",
    ]
    found = read(tmp_path, "\n".join(lines))
    assert [name for name, _ in found] == [*lines[:-1], "form feed"]


def test_an_accent_is_the_same_however_it_was_typed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="cmon"):
        assert read(tmp_path, "cafe\u0301\ncaf\u00e9\n") == [("caf\u00e9", None)]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("line", ["dog,animal", "name;group", "dog\tanimal"])
def test_a_table_without_a_column_of_concepts_is_not_taken_for_text(tmp_path: Path, line: str) -> None:
    with pytest.raises(CmonError, match=r"has no column named 'concept'\n.*\n.*(dog|name)"):
        read(tmp_path, f"\n{line}\n")


def test_the_same_lines_in_a_text_file_are_concepts(tmp_path: Path) -> None:
    path = tmp_path / "concepts.txt"
    path.write_text("church, outdoor\nchurch, indoor\n")
    assert [concept.name for concept in concepts.read(path)] == ["church, outdoor", "church, indoor"]


def test_a_comma_without_quotes_does_not_become_a_category(tmp_path: Path) -> None:
    with pytest.raises(
        CmonError, match=r"line 3: has more cells .*\n.*2 cells.*\n.*church, outdoor, scene\n.*quotes"
    ):
        read(tmp_path, "concept,category\ndog,animal\nchurch,outdoor,scene\n")


def test_empty_cells_beyond_the_header_are_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, "concept,category\ndog,animal,,\n") == [("dog", "animal")]


@pytest.mark.parametrize("row", ['"dog,animal', '"dog" house,animal'])
def test_an_open_quote_does_not_swallow_the_rest(tmp_path: Path, row: str) -> None:
    with pytest.raises(CmonError, match=r"line [23]: cannot be read as CSV"):
        read(tmp_path, f"concept,category\n{row}\ncat,animal\n")


# -- names on the command line -------------------------------------------------------------------------


def test_files_are_read_and_words_are_concepts(tmp_path: Path) -> None:
    path = tmp_path / "anchors"
    path.write_text("concept,category\ndog,object\nred,color\n", encoding="utf-8")
    found = concepts.files_or_words(["tennis court", str(path), "Red ", "U.S. flag"])
    assert [concept.name for concept in found] == ["tennis court", "dog", "red", "U.S. flag"]
    assert [concept.category for concept in found] == [None, "object", "color", None]


@pytest.mark.parametrize("given", ["no/such/place", "anchors.csv", "words.txt"])
def test_what_can_only_be_meant_as_a_file_is_not_taken_for_a_word(given: str) -> None:
    with pytest.raises(CmonError, match=given):
        concepts.files_or_words(["dog", given])


def test_concepts_of_a_program_are_treated_as_those_of_a_file() -> None:
    given = ["red  brick", Concept("Red brick", "material"), "", Concept("dog", "object")]
    assert concepts.of_values(given) == [Concept("red brick", None), Concept("dog", "object")]
    for none in ([], ["", " "]):
        with pytest.raises(CmonError, match="one concept or more"):
            concepts.of_values(none)
