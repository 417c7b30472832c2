"""A stage that was not run again is not taken for fresh."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cmon.errors import CmonError
from cmon.workspace import provenance
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables

SHARDS = [{"run": "good", "layer": "late", "epoch": 0.0, "origin": "a", "units": 4}]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return scored_tables.write(tmp_path, *scored_tables.units({"good": 2}, {"late": 4}))


@pytest.mark.parametrize("name", ["vocabulary", "concepts", "units"])
def test_tables_of_two_scorings_are_told_apart(workspace: Workspace, name: str) -> None:
    provenance.check_scores(workspace)
    workspace.write(workspace.table(name), workspace.read(name), "another", {})
    with pytest.raises(CmonError, match=r"(?s)do not belong together.*run `cmon score .*again"):
        provenance.check_scores(workspace)


@pytest.mark.parametrize(
    "change",
    [{"origin": "b"}, {"epoch": 1.0}, {"layer": "early"}, {"run": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_activations_are_the_same_if_every_file_of_them_is(change: dict[str, object]) -> None:
    assert provenance.of_activations(SHARDS) == provenance.of_activations([SHARDS[0] | {"axes": "flat"}])
    assert provenance.of_activations(SHARDS) != provenance.of_activations([SHARDS[0] | change])
    assert provenance.of_activations(SHARDS) != provenance.of_activations([*SHARDS, SHARDS[0] | change])


def test_a_layout_of_earlier_scores_is_refused(workspace: Workspace) -> None:
    table = workspace.read("units")
    workspace.write(workspace.table("layout"), table, "layout", {"units": workspace.origin("units")})
    provenance.check_layout(workspace)
    workspace.write(workspace.table("units"), table, "scored again", {})
    with pytest.raises(CmonError, match=r"(?s)made from other scores.*run `cmon embed .*again"):
        provenance.check_layout(workspace)


def test_scores_without_a_record_of_their_activations_are_taken_as_they_are(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        provenance.check_scores(workspace)
    assert caplog.text == ""
