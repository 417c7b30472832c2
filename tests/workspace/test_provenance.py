"""A stage that was not run again, or was stopped, is not taken for fresh."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa
import pytest

from cmon.errors import CmonError
from cmon.workspace import provenance, schemas
from cmon.workspace.workspace import Workspace
from tests.support import stored_scores, synthetic_tables
from tests.support.synthetic_tables import World


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return synthetic_tables.write(tmp_path, World(units=8, epochs=(0.0, 1.0), images=12))


def write_again(place: Workspace, name: str, table: pa.Table, inputs: dict[str, str] | None = None) -> None:
    place.write(
        place.table(name), table, f"another {name}", place.parameters(name), inputs or place.inputs(name)
    )


def test_a_workspace_whose_tables_belong_together_is_in_order(
    place: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        provenance.check(place, "layout")
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["images", "vocabulary"])
def test_scores_of_other_images_or_words_are_refused(place: Workspace, name: str) -> None:
    write_again(place, name, place.read(name))
    for asked in ("scores", "units", "concepts", "layout"):
        with pytest.raises(CmonError, match=rf"(?s)made from other {name}.*run `cmon score .*again"):
            provenance.check(place, asked)


def test_a_layout_of_earlier_scores_is_refused(place: Workspace) -> None:
    stored_scores.rewrite(place, place.frame("units").assign(interpretable=False))
    provenance.check(place, "scores")
    with pytest.raises(CmonError, match=r"(?s)made from other scores.*run `cmon embed .*again"):
        provenance.check(place, "layout")


def test_activations_of_other_images_are_refused(place: Workspace) -> None:
    write_again(place, "shards", place.read("shards"), {"images": "others"})
    with pytest.raises(CmonError, match=r"(?s)made from other images.*run `cmon extract .*again"):
        provenance.check(place, "layout")


@pytest.mark.parametrize("change", ["other", "gone"])
def test_scores_of_activations_that_changed_since_are_refused(place: Workspace, change: str) -> None:
    rows = place.read("shards").to_pylist()
    if change == "other":
        rows[3]["origin"] = "extracted again"
    else:
        del rows[3]
    write_again(place, "shards", pa.Table.from_pylist(rows, schema=schemas.SHARDS))
    words = "are others" if change == "other" else "are no longer there"
    with pytest.raises(CmonError, match=rf"(?s)is of other activations.*{words}.*run `cmon score .*again"):
        provenance.check(place, "layout")


def test_of_activations_that_are_not_scored_yet_there_is_a_warning(
    place: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    rows = place.read("shards").to_pylist()
    new = {**rows[0], "epoch": 7.0, "origin": "new"}
    write_again(place, "shards", pa.Table.from_pylist([*rows, new], schema=schemas.SHARDS))
    with caplog.at_level(logging.WARNING):
        provenance.check(place, "layout")
    (said,) = set(caplog.messages)
    assert "not scored yet: run standard, layer layer3, epoch 7; run `cmon score" in said


def test_a_missing_table_says_what_makes_it(place: Workspace) -> None:
    place.table("images").unlink()
    with pytest.raises(CmonError, match=r"(?s)not there yet.*run `cmon extract"):
        provenance.check(place, "layout")
