"""Which rows are chosen, and what is said when there are none."""

from __future__ import annotations

import pandas as pd
import pytest

from cmon.errors import CmonError
from cmon.workspace.selection import Choice

UNITS = pd.DataFrame(
    [
        (run, layer, epoch)
        for run, last in (("a", 3), ("b", 1))
        for layer in ("x", "y")
        for epoch in range(last)
    ],
    columns=["run", "layer", "epoch"],
).astype({"epoch": float})


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (Choice(), "ax0 ax1 ax2 ay0 ay1 ay2 bx0 by0"),
        (Choice(runs=("b", "a")), "ax0 ax1 ax2 ay0 ay1 ay2 bx0 by0"),
        (Choice(runs=("b",)), "bx0 by0"),
        (Choice(layers=("y",)), "ay0 ay1 ay2 by0"),
        (Choice(runs=("*b*",), layers=("[xz]",)), "bx0"),
        (Choice(epochs=((1, 2),)), "ax1 ax2 ay1 ay2"),
        (Choice(epochs=((0, 0), (2, 2))), "ax0 ax2 ay0 ay2 bx0 by0"),
        (Choice(runs=("a",), layers=("x",), epochs=((0.5, 1.5),)), "ax1"),
    ],
)
def test_the_rows_with_all_that_was_chosen_in_their_order(choice: Choice, wanted: str) -> None:
    found = choice.of(UNITS)
    assert " ".join(f"{row.run}{row.layer}{row.epoch:.0f}" for row in found.itertuples()) == wanted
    assert found.index.tolist() == list(range(len(found)))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(runs=("c",)), "--run c: was not scored.*one of: a, b"),
        (Choice(layers=("x", "z")), "--layer z: was not scored.*one of: x, y"),
        (Choice(layers=("z*",)), r"--layer z\*: was not scored.*one of: x, y"),
        (Choice(epochs=((0, 0), (7, 9))), "--epoch 7:9: no such epoch was scored.*some of: 0, 1, 2"),
        (Choice(runs=("b",), epochs=((2, 2),)), "--epoch 2: no such epoch.*some of: 0"),
    ],
)
def test_what_is_not_there_is_named_beside_what_is(choice: Choice, message: str) -> None:
    with pytest.raises(CmonError, match=f"(?s){message}"):
        choice.of(UNITS)


def test_a_name_that_looks_like_a_pattern_is_that_name() -> None:
    units = UNITS.replace({"run": {"b": "a[1]"}})
    assert set(Choice(runs=("a[1]",)).of(units)["run"]) == {"a[1]"}
    assert set(Choice(runs=("a*",)).of(units)["run"]) == {"a", "a[1]"}


def test_nothing_left_is_an_error_of_its_own() -> None:
    ragged = UNITS[(UNITS["run"] == "a") | (UNITS["layer"] == "x")]
    with pytest.raises(CmonError, match="nothing is left to place"):
        Choice(runs=("b",), layers=("y",)).of(ragged)


def test_a_choice_is_read_back_from_a_tables_parameters() -> None:
    stored = {"runs": ["a"], "layers": ["x"], "epochs": [[0, 2]], "seed": 0}  # lists, as JSON holds them
    assert Choice.of_parameters(stored) == Choice(("a",), ("x",), ((0, 2),))
    assert Choice.of_parameters({}) == Choice()
