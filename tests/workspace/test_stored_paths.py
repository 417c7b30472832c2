from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.workspace import stored_paths
from cmon.workspace.files import file_digest
from cmon.workspace.stored_paths import find_image, to_path, to_text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"a.png", "a.png"),
        ("übung/日本.png".encode(), "übung/日本.png"),
        (b"with \\ backslash.png", "with \\ backslash.png"),
        (b"caf\xe9.png", r"caf\xe9.png"),
        (b"\xff\xfe/\xe9.png", r"\xff\xfe/\xe9.png"),
        (b"two\nlines.png", r"two\x0alines.png"),
        (rb"caf\xe9.png", r"caf\\xe9.png"),  # written out in the name: not to be taken for the byte
        (b"a\\b\xe9", r"a\\b\xe9"),
        (b"\x1b[31mred", r"\x1b[31mred"),
    ],
)
def test_a_path_is_kept_as_text_that_gives_it_back(name: bytes, text: str) -> None:
    path = Path(os.fsdecode(name))
    assert to_text(path) == text
    assert to_path(text) == path


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_no_two_paths_have_one_text(name: bytes) -> None:
    path = Path(os.fsdecode(name))
    text = to_text(path)
    assert to_path(text) == path
    assert not any(letter < " " for letter in text)
    assert json.loads(json.dumps(text, ensure_ascii=False).encode()) == text
    assert pa.array([text]).to_pylist() == [text]


# -- where images are now ------------------------------------------------------------------------------


def a_row(path: Path, root: Path) -> dict[str, str | None]:
    """As the table `images` has it."""
    return {
        "path": to_text(stored_paths.absolute(path)),
        "from_workspace": stored_paths.from_workspace(stored_paths.absolute(path), root),
        "sha256": file_digest(path),
    }


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A place with a workspace and images."""
    for name in ("a/1.png", "b/1.png"):
        path = tmp_path / "there" / "probe" / name
        path.parent.mkdir(parents=True)
        path.write_text(name)
    (tmp_path / "there" / "work").mkdir()
    return tmp_path / "there"


def test_images_are_found_where_they_were(there: Path) -> None:
    image, work = there / "probe/a/1.png", there / "work"
    assert find_image(a_row(image, work), work) == image
    assert a_row(image, work)["from_workspace"] == "../probe/a/1.png"


def test_images_moved_together_with_the_workspace_are_found(there: Path, tmp_path: Path) -> None:
    row = a_row(there / "probe/a/1.png", there / "work")
    there.rename(tmp_path / "here")
    assert find_image(row, tmp_path / "here/work") == tmp_path / "here/probe/a/1.png"
    (tmp_path / "here/work").rename(tmp_path / "elsewhere")  # now they lie otherwise to each other
    assert find_image(row, tmp_path / "elsewhere") == there / "probe/a/1.png"


def test_another_file_at_the_old_place_is_not_taken(there: Path, tmp_path: Path) -> None:
    row = a_row(there / "probe/a/1.png", there / "work")
    there.rename(tmp_path / "here")
    (there / "probe/a").mkdir(parents=True)
    (there / "probe/a/1.png").write_text("of other pixels")
    assert find_image(row, tmp_path / "here/work") == tmp_path / "here/probe/a/1.png"


def test_the_user_can_say_where_the_images_are(there: Path, tmp_path: Path) -> None:
    rows = [a_row(there / f"probe/{name}/1.png", there / "work") for name in "ab"]
    (there / "probe").rename(tmp_path / "pictures")
    for row, name in zip(rows, "ab", strict=True):
        assert find_image(row, there / "work") == there / f"probe/{name}/1.png"  # not there: named as it was
        assert find_image(row, there / "work", tmp_path / "pictures") == tmp_path / f"pictures/{name}/1.png"
        assert find_image(row, there / "work", tmp_path / "pictures" / name).parent.name == name


def test_a_workspace_far_from_its_images_has_no_way_to_them(tmp_path: Path) -> None:
    assert stored_paths.from_workspace(Path("/data/probe/1.png"), Path("/home/user/work")) is None


def test_links_in_a_path_keep_their_names(there: Path, tmp_path: Path) -> None:
    (tmp_path / "cats").symlink_to(there / "probe/a")
    assert stored_paths.absolute(tmp_path / "cats/1.png") == tmp_path / "cats/1.png"
    around = tmp_path / "cats" / ".." / "b" / "1.png"  # as the system reads it: beside the link's target
    assert stored_paths.absolute(around) == there / "probe/b/1.png"
