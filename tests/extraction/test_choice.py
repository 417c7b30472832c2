"""`--epoch`: which checkpoints are read, and that the others are rows and no failures."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cmon.checkpoints.checkpoint import Checkpoint
from cmon.errors import CmonError
from cmon.extraction.choice import choose_epochs


def checkpoints(run: str, *epochs: float) -> list[tuple[str, Checkpoint]]:
    return [(run, Checkpoint(Path(f"{epoch}.pt"), f"{epoch}.pt", epoch=epoch)) for epoch in epochs]


FOUND = [*checkpoints("a", 0, 1, 2.5, 10), *checkpoints("b", 1, 7)]


@pytest.mark.parametrize(
    ("epochs", "read"),
    [
        ((), "a0 a1 a2.5 a10 b1 b7"),
        (((1, 1),), "a1 b1"),
        (((0, 2.5),), "a0 a1 a2.5 b1"),
        (((0, 0), (7, 10)), "a0 a10 b7"),
    ],
)
def test_what_is_chosen_is_read_and_the_rest_left_out(
    epochs: tuple[tuple[float, float], ...], read: str
) -> None:
    chosen = choose_epochs(FOUND, epochs)
    assert [(run, one.name) for run, one in chosen] == [(run, one.name) for run, one in FOUND]
    assert " ".join(f"{run}{one.epoch:g}" for run, one in chosen if one.error is None) == read
    assert {one.status for _, one in chosen} <= {"ok", "left out"}


def test_what_could_not_be_read_keeps_its_reason() -> None:
    broken = [("a", checkpoints("a", 5)[0][1].skipped("damaged"))]
    chosen = choose_epochs([*FOUND, *broken], [(1, 1)])
    assert (chosen[-1][1].status, chosen[-1][1].error) == ("skipped", "damaged")
    assert chosen[0][1].error == "epoch 0 was not chosen"


def test_an_epoch_that_is_not_there_is_an_error_that_says_which_are() -> None:
    with pytest.raises(CmonError, match=r"--epoch 3:6: .*\n.*some of: 0, 1, 2\.5, 7, 10"):
        choose_epochs(FOUND, [(1, 1), (3, 6)])


def test_a_run_without_a_chosen_epoch_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "cmon"):
        chosen = choose_epochs(FOUND, [(10, 10)])
    assert [run for run, one in chosen if one.error is None] == ["a"]
    assert caplog.messages == ["b: has no checkpoint of the chosen epochs, and nothing of it is read"]
