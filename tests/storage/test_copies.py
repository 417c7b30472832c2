"""A copy is what the store has now, and nothing lies where its URL does not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmon.errors import CmonError
from cmon.images.files import fetch, find_images
from cmon.storage import copies
from tests.storage.conftest import file_system


def put(url: str, content: bytes) -> None:
    file_system(url).pipe_file(url, content)


def put_as_is(run: str, name: str) -> None:
    """As a store has it: the functions of the file system in memory would refuse the name, or tidy it up."""
    store = file_system(run).store
    key = f"{run.removeprefix('memory:/')}/"
    store[key + name] = store[f"{key}epoch_1.pt"]


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def run(memory: str) -> str:
    put(f"{memory}/run/epoch_1.pt", b"one")
    put(f"{memory}/run/folder/part.bin", b"part")
    return f"{memory}/run"


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_the_copy_s_path_names_its_url(run: str, own_cache: Path) -> None:
    copy = copies.path_of(run)
    assert copy == own_cache / "copies" / "memory" / run.removeprefix("memory://")
    assert copies.url_of(copy / "epoch_1.pt") == f"{run}/epoch_1.pt"
    assert copies.url_of(Path("/elsewhere/epoch_1.pt")) is None
    copies.refresh(copy)
    assert content_of(copy) == {"epoch_1.pt": b"one", "folder/part.bin": b"part"}


def test_what_is_unchanged_is_not_fetched_again_and_what_changed_is(run: str) -> None:
    copy = copies.path_of(run)
    copies.refresh(copy)
    before = inodes(copy)
    copies.refresh(copy)
    assert inodes(copy) == before
    put(f"{run}/epoch_1.pt", b"two")  # as many bytes
    copies.refresh(copy)
    assert (copy / "epoch_1.pt").read_bytes() == b"two"
    assert inodes(copy)["part.bin"] == before["part.bin"]


def test_a_copy_that_was_written_to_is_fetched_again(run: str) -> None:
    copy = copies.path_of(run)
    copies.refresh(copy)
    (copy / "epoch_1.pt").write_bytes(b"six")
    copies.refresh(copy)
    assert (copy / "epoch_1.pt").read_bytes() == b"one"


def test_what_vanished_in_the_store_vanishes_here(run: str) -> None:
    copy = copies.path_of(run)
    copies.refresh(copy)
    file_system(run).rm_file(f"{run}/folder/part.bin")
    put(f"{run}/folder", b"now a file")
    copies.refresh(copy)
    assert content_of(copy) == {"epoch_1.pt": b"one", "folder": b"now a file"}
    file_system(run).rm_file(f"{run}/folder")
    file_system(run).rm_file(f"{run}/epoch_1.pt")
    with pytest.raises(CmonError, match="there is nothing"):
        copies.refresh(copy)
    assert not content_of(copy), "what is gone is not read any more"


def test_hidden_folders_are_left_and_hidden_files_are_not(run: str) -> None:
    put(f"{run}/.cache/large.bin", b"x")
    put(f"{run}/.metadata", b"of a checkpoint in many files")
    copies.refresh(copies.path_of(run))
    assert set(content_of(copies.path_of(run))) == {"epoch_1.pt", "folder/part.bin", ".metadata"}


@pytest.mark.parametrize(
    "name", ["../../outside.pt", "a/../../../outside.pt", "a//b.pt", "back\\slash.pt", "./a.pt", "n" * 256]
)
def test_names_that_would_lie_elsewhere_are_refused(run: str, name: str, own_cache: Path) -> None:
    put_as_is(run, name)
    with pytest.raises(CmonError, match="no folder can hold"):
        copies.refresh(copies.path_of(run))
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_a_name_that_is_a_file_and_a_folder_is_refused(run: str) -> None:
    put_as_is(run, "epoch_1.pt/inside")
    with pytest.raises(CmonError, match="a file and a folder of one name"):
        copies.refresh(copies.path_of(run))


def test_a_fetch_that_is_stopped_leaves_no_file_that_could_be_read(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full, or the line breaks, in the middle of a file."""
    system = type(file_system(run))

    def half(self: object, key: str, path: str) -> None:
        Path(path).write_bytes(b"o")
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(system, "get_file", half)
    copy = copies.path_of(run)
    with pytest.raises(CmonError, match=r"cannot be fetched\n.*reset by peer\n.*can be reached"):
        copies.refresh(copy)
    assert not content_of(copy)
    monkeypatch.undo()


def test_a_file_of_which_the_store_says_nothing_is_always_fetched() -> None:
    assert copies._says({"name": "a", "size": 3}) is None
    one, other = ({"name": "a", "size": 3, "ETag": tag, "LastModified": "now"} for tag in "xy")
    assert copies._says(one) != copies._says(other)
    assert copies._says(one) == copies._says({**one, "LastModified": "later"}), "the tag is of the content"


def test_a_list_in_a_store_names_pictures_beside_it(memory: str, probe_folder: Path) -> None:
    names = sorted(path.name for path in probe_folder.iterdir())[:3]
    for name in names:
        put(f"{memory}/probe/{name}", (probe_folder / name).read_bytes())
    put(f"{memory}/lists/some.txt", "\n".join(f"../probe/{name}" for name in names).encode())
    source = copies.path_of(f"{memory}/lists/some.txt")
    fetch(source)
    found = find_images(source)
    assert [one.name for one in found] == [f"../probe/{name}" for name in names]
    assert not [one.error for one in found if one.error]


@pytest.mark.parametrize("name", ["/etc/passwd", "../../other/a.png", "../../../../../../etc/passwd"])
def test_a_list_in_a_store_names_nothing_outside_of_its_bucket(memory: str, name: str) -> None:
    put(f"{memory}/lists/some.txt", name.encode())
    with pytest.raises(CmonError, match="outside of its store"):
        fetch(copies.path_of(f"{memory}/lists/some.txt"))


def test_the_tag_of_s3_says_what_changed(s3: str) -> None:
    put(f"{s3}/run/epoch_1.pt", b"one")
    put(f"{s3}/run/", b"")  # what a console makes of a new folder
    copy = copies.path_of(f"{s3}/run")
    copies.refresh(copy)
    before = inodes(copy)
    assert set(before) == {"epoch_1.pt"}
    put(f"{s3}/run/epoch_1.pt", b"one")  # written again, the same
    copies.refresh(copy)
    assert inodes(copy) == before
    put(f"{s3}/run/epoch_1.pt", b"two")
    copies.refresh(copy)
    assert (copy / "epoch_1.pt").read_bytes() == b"two"


def test_copies_lie_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CMON_CACHE", str(tmp_path / "one"))
    assert copies.cache_folder() == tmp_path / "one"
    monkeypatch.delenv("CMON_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    if os.name == "posix" and os.uname().sysname == "Linux":
        assert copies.cache_folder() == tmp_path / "two" / "cmon"
