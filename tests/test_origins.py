"""A stage that was not run again is not taken for fresh."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import scored_tables

from cmon import origins
from cmon.errors import CmonError
from cmon.store import Workspace

SHARDS = [{"run": "good", "layer": "late", "epoch": 0.0, "key": "a", "units": 4}]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return scored_tables.write(tmp_path, *scored_tables.units({"good": 2}, {"late": 4}))


@pytest.mark.parametrize("name", ["vocabulary", "concepts", "units"])
def test_tables_of_two_scorings_are_told_apart(workspace: Workspace, name: str) -> None:
    origins.check_scores(workspace)
    workspace.write(workspace.table(name), workspace.read(name), "another", {})
    with pytest.raises(CmonError, match=r"(?s)do not belong together.*run `cmon score .*again"):
        origins.check_scores(workspace)


@pytest.mark.parametrize(
    "change",
    [{"key": "b"}, {"epoch": 1.0}, {"layer": "early"}, {"run": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_activations_are_the_same_if_every_file_of_them_is(change: dict[str, object]) -> None:
    assert origins.of_activations(SHARDS) == origins.of_activations([SHARDS[0] | {"layout": "flat"}])
    assert origins.of_activations(SHARDS) != origins.of_activations([SHARDS[0] | change])
    assert origins.of_activations(SHARDS) != origins.of_activations([*SHARDS, SHARDS[0] | change])


def test_a_layout_of_earlier_scores_is_refused(workspace: Workspace) -> None:
    table = workspace.read("units")
    workspace.write(workspace.table("layout"), table, "layout", {"units": workspace.key("units")})
    origins.check_layout(workspace)
    workspace.write(workspace.table("units"), table, "scored again", {})
    with pytest.raises(CmonError, match=r"(?s)made from other scores.*run `cmon embed .*again"):
        origins.check_layout(workspace)


def test_scores_without_a_record_of_their_activations_are_taken_as_they_are(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        origins.check_scores(workspace)
    assert caplog.text == ""
