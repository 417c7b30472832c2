"""Annotated probe sets: both forms, how paths are matched, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmon.errors import CmonError
from cmon.evaluation.annotations import look_up, read

LONG = "path,concept\na.png,red\na.png,dog\nb.png,dog\nc.png,\n"
LISTS = "path,object,color\na.png,dog,red\nb.png,dog,\nc.png,,\n"
WIDE = "path,red,dog,cat\na.png,1,1,0\nb.png,0,1,\nc.png,0,0,0\n"
IMAGES, CONCEPTS = ["a.png", "b.png", "c.png", "d.png"], ["dog", "red", "moon"]


def given(tmp_path: Path, text: str, name: str = "tags.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        LISTS,
        WIDE,
        LISTS.replace(",", ";"),
        LISTS.replace(",", "\t"),
        "\ufeff" + LONG,
        "concept,path\nred|dog,a.png\n Dog ,b.png\n,c.png\n",
        "Path,concept\na.png,red;DOG\n\nb.png,dog;;dog\nc.png\n",
        "path,Red,Dog\na.png,True,yes\nb.png,FALSE,1.0\nc.png,no,\n",
        'path,concept\n"a.png","red; dog"\nb.png,dog\nc.png,cat\n',
    ],
)
def test_the_forms_say_the_same(tmp_path: Path, text: str) -> None:
    found = look_up(read(given(tmp_path, text)), IMAGES, CONCEPTS)
    assert found.known.tolist() == [True, True, True, False]
    assert found.annotated.tolist() == [True, True, False]
    shown = [[True, True, False], [True, False, False], [False] * 3, [False] * 3]
    assert found.present.tolist() == shown


def test_a_concept_that_no_image_shows_is_annotated_where_it_has_a_column(tmp_path: Path) -> None:
    found = look_up(read(given(tmp_path, WIDE)), IMAGES, ["cat", "dog"])
    assert found.annotated.tolist() == [True, True]
    assert not found.present[:, 0].any()


def test_accents_and_white_space_are_folded(tmp_path: Path) -> None:
    truth = read(given(tmp_path, "path,concept\na.png,cafe\u0301  bar\n"))
    assert look_up(truth, ["a.png"], ["Caf\u00e9 bar"]).present.all()


@pytest.mark.parametrize(
    ("listed", "image"),
    [
        ("images/7.png", "/data/probe/images/7.png"),
        ("7.png", "/data/probe/images/7.png"),
        ("probe/images/7.png", "7.png"),
        ("./images/7.png", "images/7.png"),
        ("images\\7.png", "images/7.png"),
    ],
)
def test_a_path_fits_if_one_ends_in_the_other(tmp_path: Path, listed: str, image: str) -> None:
    truth = read(given(tmp_path, f"path,concept\n{listed},dog\n"))
    found = look_up(truth, [image, "17.png", "other/8.png"], ["dog"])
    assert found.known.tolist() == [True, False, False]


def test_of_several_paths_the_one_that_agrees_the_furthest_is_meant(tmp_path: Path) -> None:
    truth = read(given(tmp_path, "path,concept\na/7.png,dog\nb/7.png,cat\n7.png,cow\n"))
    found = look_up(truth, ["x/a/7.png", "x/b/7.png"], ["dog", "cat", "cow"])
    assert found.present.tolist() == [[True, False, False], [False, True, False]]


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("path,concept\n7.png,dog\n", ["a/7.png", "b/7.png"]),
        ("path,concept\na/7.png,dog\nb/7.png,cat\n", ["7.png"]),
    ],
)
def test_a_path_that_fits_two_images_is_refused(tmp_path: Path, text: str, images: list[str]) -> None:
    with pytest.raises(CmonError, match="not clear which image is meant"):
        look_up(read(given(tmp_path, text)), images, ["dog"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column named 'path'"),
        ("image,concept\na.png,dog\n", "no column named 'path'"),
        ("path,concept\n", "holds no image"),
        ("path,concept\na.png,\n", "names no concept"),
        ("path\na.png\n", "names no concept"),
        ("path,concept\n,dog\n", "line 2: has no path"),
        ("path,concept\na.png,dog,cat\n", "line 2: has more cells"),
        ('path,concept\na.png,"dog\n', "cannot be read as CSV"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CmonError, match=says):
        read(given(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CmonError, match="cannot be read"):
        read(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("path,concept\na.png,café\n".encode("latin-1"))
    with pytest.raises(CmonError, match="cannot be read"):
        read(tmp_path / "latin.csv")


def test_utf_16_and_empty_cells_beyond_the_header_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes("path;concept\r\na.png;dog;\r\n".encode("utf-16"))
    assert look_up(read(path), ["a.png"], ["dog"]).present.all()


def test_a_truth_of_other_images_or_concepts_is_refused(tmp_path: Path) -> None:
    truth = read(given(tmp_path, LONG))
    with pytest.raises(CmonError, match="none of the probe images"):
        look_up(truth, ["x.png"], CONCEPTS)
    with pytest.raises(CmonError, match="none of the scored concepts"):
        look_up(truth, IMAGES, ["moon"])
