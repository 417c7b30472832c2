"""Vectors in part files: nothing is lost, nothing damaged is used."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmon.clip import parts as module
from cmon.clip.parts import PART_ROWS, Parts
from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.workspace import Workspace

WIDTH = 4


def vector(key: str) -> np.ndarray:
    """The truth: a direction of each key's own."""
    found = np.random.default_rng(list(key.encode())).normal(size=WIDTH)
    return (found / np.linalg.norm(found)).astype(np.float32)


def rows(keys: Iterable[str], vectors: np.ndarray | None = None) -> pa.Table:
    keys = list(keys)
    vectors = np.stack([vector(key) for key in keys]) if vectors is None else vectors
    return pa.Table.from_arrays(
        [pa.array(keys, pa.string()), schemas.vectors(vectors)],
        schema=schemas.image_features(vectors.shape[1]),
    )


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return opened(tmp_path)


def opened(root: Path, origin: str = "origin") -> Parts:
    workspace = Workspace(root)
    return Parts(workspace, workspace.cache / "features", schemas.image_features, origin, {"clip": "x"})


def add(parts: Parts, *keys: str) -> Path:
    """One part."""
    before = set(files(parts))
    with parts.growing() as grow:
        grow(rows(keys))
    (new,) = set(files(parts)) - before
    return new


def files(parts: Parts) -> list[Path]:
    return sorted(parts.folder.glob("*")) if parts.folder.exists() else []


def names(start: int, stop: int) -> list[str]:
    return [f"key {number}" for number in range(start, stop)]


def assert_known(parts: Parts, keys: list[str]) -> None:
    """All these and no other, each with its own vector."""
    known = parts.read()
    assert sorted(known.index) == sorted(keys)
    table = known.rows(keys)
    assert table["sha256"].to_pylist() == keys
    np.testing.assert_array_equal(schemas.matrix(table["vector"]), np.stack([vector(key) for key in keys]))


# -- growing -------------------------------------------------------------------------------------------


def test_nothing_is_known_at_first(parts: Parts) -> None:
    known = parts.read()
    assert (known.width, known.missing(["b", "a", "b"]), parts.width()) == (None, ["b", "a"], None)
    with pytest.raises(KeyError):
        known.rows(["a"])


def test_rows_become_visible_by_the_part_and_stay_in_their_files(parts: Parts) -> None:
    with parts.growing() as grow:
        for start in range(0, 2 * PART_ROWS + 100, 64):
            grow(rows(names(start, min(start + 64, 2 * PART_ROWS + 100))))
            assert len(files(parts)) == min((start + 64) // PART_ROWS, 2)
    assert [pq.read_metadata(path).num_rows for path in files(parts)].count(PART_ROWS) == 2
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files(parts)}
    assert len(before) == 3
    add(parts, "more")
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in before} == before
    assert_known(parts, [*names(0, 2 * PART_ROWS + 100), "more"])
    assert parts.width() == WIDTH


@pytest.mark.parametrize("end", [KeyboardInterrupt, CmonError("no"), MemoryError])
def test_what_was_given_before_an_interruption_stays(parts: Parts, end: BaseException) -> None:
    def interrupted() -> None:
        with parts.growing() as grow:
            grow(rows(["a", "b"]))
            raise end

    with pytest.raises((KeyboardInterrupt, CmonError, MemoryError)):
        interrupted()
    assert_known(parts, ["a", "b"])


def test_a_key_is_there_once(parts: Parts) -> None:
    """As two processes leave it that embedded the same at the same time, but for rounding."""
    add(parts, "a", "b")
    with parts.growing() as grow:
        rounded = np.stack([vector("b"), vector("c")]) * (1 + 1e-6)
        grow(rows(["b", "c"], rounded.astype(np.float32)))
    known = parts.read()
    assert sorted(known.index) == ["a", "b", "c"]
    np.testing.assert_allclose(schemas.matrix(known.rows(["b"])["vector"])[0], vector("b"), atol=1e-5)


# -- merging -------------------------------------------------------------------------------------------


def test_many_small_parts_are_merged_and_large_ones_stay(parts: Parts) -> None:
    with parts.growing() as grow:
        grow(rows(names(0, PART_ROWS)))
    (large,) = files(parts)
    stamp = large.stat().st_mtime_ns
    for number in range(100):
        with parts.growing() as grow:
            grow(rows([f"small {number}"]))
        assert len(files(parts)) <= module.MOST_SMALL + 1
    assert large.stat().st_mtime_ns == stamp
    assert_known(parts, [*names(0, PART_ROWS), *(f"small {number}" for number in range(100))])


def test_merged_parts_are_no_larger_than_others(parts: Parts) -> None:
    size = PART_ROWS // 2 - 1
    for start in range(0, size * 17, size):
        with parts.growing() as grow:
            grow(rows(names(start, start + size)))
    sizes = sorted(pq.read_metadata(path).num_rows for path in files(parts))
    assert (max(sizes), sum(sizes), len(sizes)) == (PART_ROWS, size * 17, -(-size * 17 // PART_ROWS))
    assert_known(parts, names(0, size * 17))


@pytest.mark.parametrize("moment", ["write", "remove"])
@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_merge_that_is_interrupted_loses_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, moment: str, at: int
) -> None:
    size = PART_ROWS // 4
    keys = names(0, size * 17)
    for start in range(0, size * 16, size):
        with parts.growing() as grow:
            grow(rows(keys[start : start + size]))
    real: Callable[..., object] = Path.unlink if moment == "remove" else Workspace.write
    calls = [0]

    def interrupted(self: object, *given: object, **more: object) -> object:
        """The first write is the last part's own; the others are of the merge."""
        is_part = moment == "write" or str(self).endswith(".parquet")
        calls[0] += is_part
        if is_part and calls[0] > at + (moment == "write"):
            raise KeyboardInterrupt
        return real(self, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "unlink") if moment == "remove" else (Workspace, "write")), interrupted)
        with pytest.raises(KeyboardInterrupt), parts.growing() as grow:
            grow(rows(keys[size * 16 :]))
    assert calls[0] > at
    assert_known(parts, keys)
    with parts.growing() as grow:
        grow(rows(["last"]))
    assert_known(parts, [*keys, "last"])
    assert len(files(parts)) <= module.MOST_SMALL + 10


def test_readers_see_everything_while_another_merges(tmp_path: Path) -> None:
    add(opened(tmp_path), "first")
    over, found = threading.Event(), []

    def read() -> None:
        parts = opened(tmp_path)
        while not over.is_set():
            found.append(len(parts.read().missing(["first"])))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    writer = opened(tmp_path)
    for number in range(60):
        with writer.growing() as grow:
            grow(rows([f"small {number}"]))
    over.set()
    for reader in readers:
        reader.join()
    assert len(found) > 3
    assert not any(found)


def test_two_that_merge_at_once_lose_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def write(who: int) -> None:
        parts = opened(tmp_path)
        for number in range(60):
            with parts.growing() as grow:
                grow(rows([f"of {who}: {number}", f"of both: {number}"]))

    writers = [threading.Thread(target=write, args=[who]) for who in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    own = [f"of {who}: {number}" for who in range(2) for number in range(60)]
    assert_known(opened(tmp_path), [*own, *(f"of both: {number}" for number in range(60))])
    assert not caplog.records


# -- damage --------------------------------------------------------------------------------------------


def rewritten(path: Path, table: pa.Table, parts: Parts, origin: str = "origin") -> None:
    parts.workspace.write(path, table, origin)


def cut(path: Path, parts: Parts) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def emptied(path: Path, parts: Parts) -> None:
    path.write_bytes(b"")


def replaced_by_text(path: Path, parts: Parts) -> None:
    path.write_text("not a table")


def by_another_program(path: Path, parts: Parts) -> None:
    pq.write_table(rows(["b", "c"]), path)


def of_another_model(path: Path, parts: Parts) -> None:
    rewritten(path, rows(["b", "c"]), parts, "another origin")


def with_other_columns(path: Path, parts: Parts) -> None:
    rewritten(path, rows(["b", "c"]).rename_columns(["text", "vector"]), parts)


def with_doubles(path: Path, parts: Parts) -> None:
    table = rows(["b", "c"])
    rewritten(path, table.set_column(1, "vector", table["vector"].cast(pa.list_(pa.float64(), WIDTH))), parts)


def with_nan(path: Path, parts: Parts) -> None:
    rewritten(path, rows(["b", "c"], np.array([vector("b"), [np.nan, 0, 0, 1]], np.float32)), parts)


def with_zeros(path: Path, parts: Parts) -> None:
    rewritten(path, rows(["b", "c"], np.array([vector("b"), [0, 0, 0, 0]], np.float32)), parts)


def with_a_long_vector(path: Path, parts: Parts) -> None:
    rewritten(path, rows(["b", "c"], np.array([vector("b"), 1.01 * vector("c")], np.float32)), parts)


def with_a_key_twice(path: Path, parts: Parts) -> None:
    rewritten(path, rows(["b", "b"]), parts)


def without_a_key(path: Path, parts: Parts) -> None:
    table = rows(["b", "c"])
    rewritten(path, table.set_column(0, "sha256", pa.array(["b", None])), parts)


def without_a_vector(path: Path, parts: Parts) -> None:
    table = rows(["b", "c"])
    hole = pa.array([vector("b").tolist(), None], pa.list_(pa.float32(), WIDTH))
    rewritten(path, table.set_column(1, table.schema.field(1), hole), parts)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "cannot be read"),
        (emptied, "cannot be read"),
        (replaced_by_text, "cannot be read"),
        (by_another_program, "(vectors of another model|was not written by cmon)"),
        (of_another_model, "vectors of another model"),
        (with_other_columns, "other columns than sha256, vector"),
        (with_doubles, "other columns than sha256, vector"),
        (with_nan, "not of length 1"),
        (with_zeros, "not of length 1"),
        (with_a_long_vector, "not of length 1"),
        (with_a_key_twice, "a key twice"),
        (without_a_key, "other columns than sha256, vector"),
        (without_a_vector, "(empty cells|was changed)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_part_is_dropped_with_a_warning(
    parts: Parts, caplog: pytest.LogCaptureFixture, damage: Callable[[Path, Parts], None], message: str
) -> None:
    add(parts, "a")
    path = add(parts, "b", "c")
    damage(path, parts)
    caplog.set_level(logging.WARNING)
    assert parts.read().missing(["a", "b", "c"]) == ["b", "c"]
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{path}: ")
    assert said.endswith("; it is removed, and what it held is made again")
    assert re.search(message, said)
    assert not path.exists()
    add(parts, "b", "c")
    caplog.clear()
    assert_known(parts, ["a", "b", "c"])
    assert not caplog.records


def test_parts_that_contradict_each_other_are_both_dropped(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    """Which of the two is right cannot be told; a third one of the same key is not in doubt alone."""
    add(parts, "a")
    add(parts, "b", "c")
    with parts.growing() as grow:
        grow(rows(["c", "d"], np.stack([vector("x"), vector("d")])))
    assert parts.read().missing(["a", "b", "c", "d"]) == ["b", "c", "d"]
    assert len(caplog.records) == 2
    assert all("another vector of the same key" in record.getMessage() for record in caplog.records)
    assert_known(parts, ["a"])


def test_parts_of_several_widths_are_all_dropped(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    add(parts, "a")
    with parts.growing() as grow:
        grow(rows(["b"], np.array([[1, 0, 0]], np.float32)))
    assert parts.read().missing(["a", "b"]) == ["a", "b"]
    assert not files(parts)
    assert len(caplog.records) == 2


def test_what_the_disk_refuses_is_an_error_and_not_damage(
    parts: Parts, without_rights: Callable[[], object]
) -> None:
    path = add(parts, "a")
    path.chmod(0)
    for folder in [path.parent, *path.parent.parents][:-1]:
        folder.chmod(folder.stat().st_mode | 0o055)
    with without_rights(), pytest.raises(CmonError, match=r"cannot be read.*\n.*\n.*[Pp]ermission denied"):
        parts.read()
    path.chmod(0o600)
    assert_known(parts, ["a"])


def test_a_damaged_part_that_cannot_be_removed_is_not_used(
    parts: Parts, without_rights: Callable[[], object]
) -> None:
    path = add(parts, "a")
    add(parts, "b")
    cut(path, parts)
    for folder in [path.parent, *path.parent.parents][:-1]:
        folder.chmod(folder.stat().st_mode | 0o055)
    with without_rights():
        assert parts.read().missing(["a", "b"]) == ["a"]
    assert path.exists()


def test_a_part_changed_by_hand_is_dropped(parts: Parts) -> None:
    add(parts, "a")
    path = add(parts, "b", "c")
    note = pq.read_table(path).schema.metadata
    pq.write_table(rows(["b", "x"]).replace_schema_metadata(note), path)
    assert parts.read().missing(["a", "b", "c"]) == ["b", "c"]
