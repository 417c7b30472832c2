from __future__ import annotations

from pathlib import Path

from cmon.watching.settling import Settling

A, B = Path("a.pt"), Path("b.pt")
SMALL, LARGE, LATER = (("a.pt", 1, 10),), (("a.pt", 2, 20),), (("a.pt", 2, 30),)


def test_a_file_settles_when_it_was_the_same_for_long_enough() -> None:
    settling = Settling(5)
    assert settling.look({A: SMALL}, 0) == {}
    assert settling.moving == {A}
    assert settling.look({A: SMALL}, 4.9) == {}
    assert settling.look({A: SMALL}, 5) == {A: SMALL}
    assert settling.moving == set()


def test_a_file_that_grows_or_is_written_anew_begins_again() -> None:
    settling = Settling(5)
    settling.look({A: SMALL}, 0)
    assert settling.look({A: LARGE}, 6) == {}
    assert settling.look({A: LATER}, 10) == {}, "the same size, another time"
    assert settling.look({A: LATER}, 14) == {}
    assert settling.look({A: LATER}, 15) == {A: LATER}
    assert settling.look({A: SMALL}, 20) == {}, "also one that had settled"


def test_files_settle_one_by_one_and_a_removed_one_is_forgotten() -> None:
    settling = Settling(5)
    settling.look({A: SMALL}, 0)
    settling.look({A: SMALL, B: LARGE}, 3)
    assert settling.look({A: SMALL, B: LARGE}, 6) == {A: SMALL}
    assert settling.moving == {B}
    assert settling.look({B: LARGE}, 9) == {B: LARGE}
    assert settling.look({A: SMALL, B: LARGE}, 12) == {B: LARGE}, "back again, and young"


def test_without_a_time_all_is_settled_at_once() -> None:
    assert Settling(0).look({A: SMALL}, 0) == {A: SMALL}
