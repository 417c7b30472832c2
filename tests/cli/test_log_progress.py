import time

import pytest

from cmon.cli import log_progress, terminal
from cmon.cli.log_progress import duration, progress_line, track


def test_a_line_tells_counts_speed_and_what_is_left():
    assert progress_line("scoring", 0, 1844, 75) == "scoring: 0 of 1,844, 75 s gone"
    later = progress_line("scoring", 461, 1844, 300)
    assert later == "scoring: 461 of 1,844 (25%), 1.54 per second, about 15 min left"
    assert [duration(seconds) for seconds in (0.4, 119, 120)] == ["0 s", "119 s", "2 min"]
    assert [duration(seconds) for seconds in (7140, 9000)] == ["119 min", "2 h 30 min"]


def test_a_slow_item_is_spoken_of_while_it_lasts_and_every_task_once_it_is_done():
    said: list[str] = []
    found = []
    for item in track([1, 2], "reading", 2, said.append, every=0.05):
        found.append(item)
        time.sleep(0.2)
    assert found == [1, 2]
    assert said[0].startswith("reading: 0 of 2, ")
    assert any(line.startswith("reading: 1 of 2 (50%), ") for line in said)
    assert said[-1].startswith("reading: 2 of 2 in ")
    assert 4 <= len(said) <= 9


def test_a_task_that_fails_is_not_said_to_be_done():
    said: list[str] = []

    def fails():
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(track(fails(), "reading", 2, said.append))
    assert said == []


def test_a_log_gets_lines_and_no_bars(capsys, monkeypatch):
    monkeypatch.setattr(log_progress, "EVERY", 0.05)
    with terminal.session(quiet=False) as (_, progress):
        for _ in progress(range(3), "counting", 3):
            pass
        assert list(progress([], "nothing", 0)) == []
    with terminal.session(quiet=True) as (_, progress):
        assert list(progress(range(3), "in silence", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == "counting: 3 of 3 in 0 s\n"


def test_people_see_twenty_rows_and_where_the_rest_is_and_programs_all(capsys):
    rows = [{"run": "a", "epoch": float(epoch)} for epoch in range(23)]
    terminal.print_table(rows, "table", "title", rest="report/x.csv")
    said = capsys.readouterr().out
    assert "19" in said
    assert "20 " not in said.partition("3 more")[0]
    assert said.splitlines()[-1] == "3 more rows: report/x.csv"
    terminal.print_table(rows, "csv")
    assert len(capsys.readouterr().out.splitlines()) == 24
    terminal.print_table(rows[:20], "table")
    assert "more" not in capsys.readouterr().out
    terminal.print_table(rows, "table")
    assert capsys.readouterr().out.splitlines()[-1] == "3 more rows: --format csv"
