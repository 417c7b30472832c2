from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cmon.errors import CmonError
from cmon.watching.json_lines import JsonLines
from cmon.watching.measures import Findings, Measures

FIRST = Measures("a", "layer4", 0.0, None, 64, 20, 0.3125, None, None, None, 0.1 + 0.2, 0.7, 9, 2.0, 4.0)
SECOND = replace(FIRST, epoch=1.0, step=100, born=3, lost=0, relabelled=2, d_anchor=0.25)
HALF = replace(FIRST, epoch=1.5, d_anchor=None, run="é\u2028")


def findings(*measures: Measures) -> Findings:
    return Findings(measures)


def lines(path: Path) -> list[dict[str, Any]]:
    assert path.read_bytes().endswith(b"\n")
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_each_row_is_one_line_with_all_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "rows.jsonl"
    JsonLines(path).write(findings(FIRST, SECOND, HALF))
    assert lines(path) == [vars(FIRST), vars(SECOND), vars(HALF)]
    assert '"epoch": 0, "step": null' in path.read_text()
    assert '"epoch": 1.5' in path.read_text()


def test_what_is_there_is_not_added_again_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = JsonLines(path)
    rows.write(findings(FIRST))
    rows.write(findings(FIRST, SECOND))
    JsonLines(path).write(findings(FIRST, SECOND, HALF))
    assert lines(path) == [vars(FIRST), vars(SECOND), vars(HALF)]


def test_what_has_changed_is_added_and_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    changed = replace(FIRST, d_anchor=0.5)
    JsonLines(path).write(findings(FIRST, SECOND))
    again = JsonLines(path)
    again.write(findings(changed, SECOND))
    again.write(findings(changed, SECOND))
    JsonLines(path).write(findings(changed, SECOND))
    assert lines(path) == [vars(FIRST), vars(SECOND), vars(changed)]


@pytest.mark.parametrize("size", [1, 60, 5000])
def test_a_line_that_was_cut_off_is_replaced(tmp_path: Path, size: int) -> None:
    path = tmp_path / "rows.jsonl"
    JsonLines(path).write(findings(FIRST))
    with path.open("ab") as file:
        file.write(b'{"run": "a", "layer": "layer4", "epoch": 1, ' + b" " * size)
    JsonLines(path).write(findings(FIRST, SECOND))
    assert lines(path) == [vars(FIRST), vars(SECOND)]


def test_a_file_of_something_else_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "training.log"
    path.write_text("epoch 1: loss 0.5\n")
    with pytest.raises(CmonError, match="line 1: was not written by `cmon watch`"):
        JsonLines(path)
    assert path.read_text() == "epoch 1: loss 0.5\n"


def test_standard_output_begins_with_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        rows = JsonLines(None)
        rows.write(findings(FIRST))
        rows.write(findings(FIRST, SECOND))
        shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert shown == [vars(FIRST), vars(SECOND)]


def test_a_file_that_cannot_be_written_is_an_error_and_nothing_counts_as_written(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "rows.jsonl"
    rows = JsonLines(path)
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(CmonError, match="cannot be written"):
        rows.write(findings(FIRST))
    (tmp_path / "folder").unlink()
    rows.write(findings(FIRST))
    assert lines(path) == [vars(FIRST)]
