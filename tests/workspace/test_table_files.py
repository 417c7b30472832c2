"""The one reader: what cmon wrote comes back, and whatever else lies there is an error that names the file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmon.errors import CmonError
from cmon.workspace import schemas
from cmon.workspace.table_files import content_digest, is_fresh, read_table, stamp
from cmon.workspace.workspace import Workspace

ROW = {"image_id": 0, "path": "/a.png", "sha256": "0", "status": "ok"}
ROWS = [{**ROW, "image_id": number} for number in range(200)]


def images(*changes: dict[str, object]) -> pa.Table:
    rows = [{**row} for row in ROWS]
    for row, change in zip(rows, changes, strict=False):
        row.update(change)
    return pa.Table.from_pylist(rows, schema=schemas.IMAGES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = Workspace(tmp_path / "work")
    place.write(place.table("images"), images(), "origin", {"a": 1}, {"of": "these"})
    return place.table("images")


def test_a_table_comes_back_as_it_was_written(path: Path) -> None:
    assert read_table(path).equals(images())
    note = stamp(path)
    assert (note["origin"], note["parameters"], note["inputs"]) == ("origin", {"a": 1}, {"of": "these"})
    assert (note["schema_version"], note["place"]) == (schemas.VERSION, "images.parquet")
    assert pd.read_parquet(path)["image_id"].tolist() == list(range(200))  # readable without cmon


def test_only_the_same_origin_is_fresh(path: Path) -> None:
    assert is_fresh(path, "origin")
    assert not is_fresh(path, "other")
    assert not is_fresh(path.with_name("shards.parquet"), "origin")
    os.utime(path, (0, 0))
    assert is_fresh(path, "origin"), "dates must not decide"
    path.write_bytes(path.read_bytes()[:-20])
    assert not is_fresh(path, "origin"), "a damaged file is not fresh"


def hand_edited(path: Path) -> None:
    """As a careful hand would do it: with cmon's note."""
    table = pq.ParquetFile(path).read()
    changed = table.set_column(0, table.schema.field(0), pa.array([7, *range(1, 200)], pa.int32()))
    pq.write_table(changed, path)


def rewritten_by_pandas(path: Path) -> None:
    pd.read_parquet(path).to_parquet(path)


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


def swapped(path: Path) -> None:
    shutil.copy(path, path.with_name("checkpoints.parquet"))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-30]), "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "text": (lambda path: path.write_text("hello, I am no table at all"), "cannot be read"),
    "one bit": (one_bit, "cannot be read"),
    "hand-edited": (hand_edited, "was changed since cmon wrote it"),
    "by pandas": (rewritten_by_pandas, "was not written by cmon"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cmon_did_not_write_so_is_an_error_by_name(path: Path, fault: str) -> None:
    damage, words = FAULTS[fault]
    damage(path)
    with pytest.raises(CmonError, match=words) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert "delete it, and run `cmon extract` again" in str(caught.value)


def test_every_bit_of_the_values_is_guarded(path: Path) -> None:
    """Flipping any bit of the file gives an error, or the same table (unused bits of Parquet's own headers)."""
    whole, content = read_table(path), path.read_bytes()
    random = np.random.default_rng(0)
    caught = 0
    for at in random.choice(len(content), 150, replace=False):
        damaged = bytearray(content)
        damaged[at] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            assert read_table(path).equals(whole)
        except CmonError:
            caught += 1
    assert caught > 75


def test_a_column_of_a_type_that_cmon_never_writes_is_damage(path: Path) -> None:
    """A flipped bit in the schema can make bytes of a text; only with the note does it get as far as the content."""
    table = pq.read_table(path)
    at = table.column_names.index("path")
    changed = table.set_column(at, "path", table["path"].cast(pa.binary()))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(CmonError, match="was changed since cmon wrote it"):
        read_table(path)


def test_a_file_under_another_name_is_not_that_table(path: Path) -> None:
    other = path.with_name("shards.parquet")
    shutil.copy(path, other)
    assert not is_fresh(other, "origin")
    with pytest.raises(CmonError, match=r"(?s)is another file under this name.*wrote as images\.parquet"):
        read_table(other)


def test_files_of_two_epochs_cannot_be_swapped(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    values = pa.table(
        {"image_id": pa.array([0], pa.int32()), "activations": schemas.vectors(np.ones((1, 3), np.float32))},
        schema=schemas.activations(3),
    )
    one, other = (place.activations("a", "layer1", epoch) for epoch in (1.0, 2.0))
    place.write(one, values, "origin")
    shutil.copy(one, other)
    read_table(one)
    with pytest.raises(CmonError, match="is another file under this name"):
        read_table(other)


def test_a_workspace_can_be_moved(path: Path) -> None:
    moved = shutil.move(path.parent, path.parents[1] / "elsewhere")
    assert read_table(Path(moved) / "images.parquet").equals(images())


def test_a_table_of_another_version_is_not_misread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "VERSION", schemas.VERSION + 1)
    with pytest.raises(CmonError, match=r"(?s)another version of cmon.*run `cmon extract` again"):
        read_table(path)


WRONG: dict[str, tuple[pa.Table, str]] = {
    "two rows of one image": (images({}, {"image_id": 0}), "two rows of image_id 0"),
    "below 0": (images({"image_id": -1}), "column image_id: -1, which is below 0"),
    "no such status": (images({"status": "fine"}), "column status: 'fine', which is none of ok, skipped"),
    "other columns": (images().rename_columns(["id", *images().column_names[1:]]), "the columns id, path"),
    "another type": (
        images().set_column(0, pa.field("image_id", pa.int64(), False), pa.array(range(200), pa.int64())),
        "a column image_id of int64, not of int32",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_a_table_cannot_hold_is_refused(tmp_path: Path, wrong: str) -> None:
    table, words = WRONG[wrong]
    place = Workspace(tmp_path)
    place.write(place.table("images"), table, "origin")
    with pytest.raises(CmonError, match="holds what it cannot hold") as caught:
        read_table(place.table("images"))
    assert words in str(caught.value)


def test_numbers_that_are_not_finite_are_refused_but_as_activations(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    cost = {"stage": "score", "seconds": float("nan"), "items": 1, "item": "units", "items_per_second": 1.0}
    costs = pa.Table.from_pylist([{**cost, "peak_memory_mb": 1.0, "written_mb": 1.0}], schema=schemas.COSTS)
    place.write(place.table("costs"), costs, "origin")
    with pytest.raises(CmonError, match="column seconds: a value that is not finite"):
        place.read("costs")
    values = np.array([[np.nan, np.inf]], np.float32)
    own = [pa.array([0], pa.int32()), schemas.vectors(values)]
    place.write(
        place.activations("a", "b", 0.0), pa.Table.from_arrays(own, schema=schemas.activations(2)), "origin"
    )
    found = schemas.matrix(read_table(place.activations("a", "b", 0.0))["activations"])
    np.testing.assert_array_equal(found, values)


def test_the_digest_is_of_the_content_however_it_lies_in_memory() -> None:
    table = pa.table(
        {
            "number": pa.array([1.5, None, -0.0, 2.0]),
            "text": pa.array(["a", None, "", "bc"]),
            "list": pa.array([[1, 2], [], None, [3]], pa.list_(pa.int32())),
            "flag": pa.array([True, False, None, True]),
        }
    )
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 3)])
    rebuilt = pa.Table.from_pylist(table.to_pylist(), schema=table.schema)
    assert len({content_digest(one) for one in (table, chunked, rebuilt)}) == 1
    others = [
        table.slice(0, 3),
        table.slice(1),
        table.set_column(1, "text", pa.array(["ab", None, "", "c"])),
        table.set_column(1, "text", pa.array(["a", "", None, "bc"])),
        table.set_column(2, "list", pa.array([[1], [2], None, [3]], pa.list_(pa.int32()))),
        table.set_column(0, "number", pa.array([1.5, 0.0, None, 2.0])),
        table.rename_columns(["number", "word", "list", "flag"]),
    ]
    assert len({content_digest(one) for one in (table, *others)}) == len(others) + 1


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_a_table_of_any_kind_has_the_digest_of_its_copy_on_disk(tmp_path: Path, rows: int) -> None:
    place = Workspace(tmp_path)
    unit = {
        "run": "a", "layer": "é", "epoch": 0.5, "status": "ok", "label": None, "category": None, "score": None,
        "margin": None, "p_value": None, "interpretable": False, "top_images": [], "top_activations": [1.0],
    }  # fmt: skip
    table = pa.Table.from_pylist([{**unit, "unit": number} for number in range(rows)], schema=schemas.UNITS)
    place.write(place.group_file("units", "a", "é", 0.5), table, "origin")
    assert read_table(place.group_file("units", "a", "é", 0.5)).equals(table)
