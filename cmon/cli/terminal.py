"""What the terminal shows: progress, warnings and summaries on stderr, tables on stdout."""

from __future__ import annotations

import csv
import json
import logging
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import rich.progress
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from cmon.cli import log_progress
from cmon.printable import printable, printable_lines
from cmon.progress import Progress
from cmon.workspace.keys import epoch_number

Row = Mapping[str, Any]
MOST_ROWS = 20
"""Rows of a table that people see."""


class Rate(ProgressColumn):
    """Steps per second, once there is one."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.3g}/s" if speed else "", style="progress.data.speed")


class Terminal:
    """stderr, with or without progress and summaries."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line of the summary."""
        if not self.quiet:
            self.errors.print(escape(printable_lines(text)))

    def warn(self, text: str) -> None:
        self.errors.print(f"[yellow]warning:[/yellow] {escape(printable(text))}")

    def error(self, text: str) -> None:
        self.errors.print(f"[red]error:[/red] {escape(printable_lines(text))}")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Give `progress(iterable, description, total)`, the form in which stages take it.

        Bars on a terminal, and lines in a log, which a bar would fill or leave empty.
        """
        if not (self.quiet or self.errors.is_terminal):
            yield self._lines
            return
        with self._bars() as bars:

            def track(items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
                # Nothing to do shows nothing: an empty bar looks like work that failed.
                return bars.track(items, total=total, description=description) if total else items

            yield track

    def _lines(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        if not total:
            return items
        return log_progress.track(items, description, total, self.say, log_progress.EVERY)

    def passing_progress(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """A `Progress` whose bars are gone once they are full, for commands that run for days; none in a file."""
        if not (total and self.errors.is_terminal):
            yield from items
            return
        with self._bars(transient=True) as bars:
            yield from bars.track(items, total=total, description=description)

    def _bars(self, transient: bool = False) -> rich.progress.Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        return rich.progress.Progress(*columns, console=self.errors, disable=self.quiet, transient=transient)


class WarningLines(logging.Handler):
    """Shows cmon's log records as warnings of the terminal, each text once."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self.terminal = terminal
        self.shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self.shown:  # said of each layer or epoch, it is still one thing to know
            self.shown.add(text)
            self.terminal.warn(text)


@contextmanager
def session(quiet: bool) -> Iterator[tuple[Terminal, Progress]]:
    """A terminal that shows what `cmon`'s modules log, and its progress bars, as long as the block lasts."""
    shown = Terminal(quiet)
    with warnings_shown(shown), shown.progress() as progress:
        yield shown, progress


@contextmanager
def warnings_shown(shown: Terminal) -> Iterator[None]:
    """Show what `cmon`'s modules log on a terminal, as long as the block lasts.

    Only it does: libraries put handlers on the root logger (open_clip does by `logging.info`), which would show the
    same once more.
    """
    handler = WarningLines(shown)
    logger = logging.getLogger("cmon")
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def print_tables(tables: Mapping[str, Sequence[Row]], form: str) -> None:
    """Tables by name to stdout: as JSON one object, as CSV one after the other with an empty line between."""
    if form == "json":
        print(json.dumps({name: _records(rows) for name, rows in tables.items()}, indent=1))
        return
    for position, (name, rows) in enumerate(tables.items()):
        if position and form == "csv":
            print()
        print_table(rows, form, name.capitalize())


def print_table(
    rows: Sequence[Row], form: str, title: str = "", rest: str = "--format csv", left_out: int = 0
) -> None:
    """Rows with the same keys to stdout: 'table' for people, 'json' and 'csv' for programs.

    A table shows MOST_ROWS rows and then how many there are more, `left_out` before among them, and where: `rest`.
    """
    if form == "json":
        print(json.dumps(_records(rows), indent=1))
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(_shown(record) for record in _records(rows))
    else:
        table = Table(title=title or None, title_justify="left", header_style="bold")
        for name in rows[0] if rows else ():
            numbers = any(isinstance(row[name], (int, float)) for row in rows)
            table.add_column(name, justify="right" if numbers else "left")
        for row in rows[:MOST_ROWS]:
            table.add_row(*(_cell(value) for value in row.values()))
        # A pipe has no width, and a row cut to 80 columns would lose what is read there.
        Console(width=None if sys.stdout.isatty() else 1000, highlight=False).print(table)
        more = left_out + max(0, len(rows) - MOST_ROWS)
        if more:
            print(f"{count(more, 'more row')}: {rest}")


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 image`, `3 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def outcome(made: bool) -> str:
    """How a stage's summary begins."""
    return "done" if made else "nothing to do, all is fresh"


def _records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {
            name: epoch_number(value) if name == "epoch" and value is not None else _plain(value)
            for name, value in row.items()
        }
        for row in rows
    ]


def _shown(record: Row) -> Row:
    """With control characters shown in texts: a terminal may read what is meant for a program."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in record.items()}


def _plain(value: Any) -> Any:
    """For programs: no number is null, as JSON has neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> str:
    if _plain(value) is None:
        return ""
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value))
        return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.1e}"
    return escape(printable(str(value)))
