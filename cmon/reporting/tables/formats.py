"""Tables of results as text: CSV for programs, Markdown for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from cmon.printable import printable, printable_lines
from cmon.workspace.keys import epoch_text

_MARKUP = re.compile(r"[\\`*\[\]<|~$&]|(?<!\w)_|_(?!\w)")
"""What Markdown would read as more than text; an underscore inside a word is one."""


def csv(table: pa.Table) -> str:
    """With a header and all digits; what is null is an empty cell, and a whole epoch has no decimals.

    Control characters in a text are shown, since CSV is also looked at in a terminal. A text that begins with = is
    left so, though a spreadsheet takes it as a formula: a program must read the name that it is (docs/security.md).
    """
    rows = (
        {name: printable_lines(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows_of(table)
    )
    frame = pd.DataFrame(rows, columns=table.column_names, dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


def markdown(table: pa.Table, caption: str = "") -> str:
    """The same with three decimals, under its caption; no cell can end a cell, a row or the table."""

    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, float):
            return short_number(value)
        return markdown_text(str(value))

    lines = [[markdown_text(name) for name in table.column_names], ["---"] * table.num_columns]
    lines += [[cell(value) for value in row.values()] for row in rows_of(table)]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{markdown_text(caption)}\n\n{body}" if caption else body


def markdown_text(text: str) -> str:
    r"""Text in one line that Markdown shows as it is: no HTML, no bars, no emphasis, no links.

    >>> print(markdown_text("snake_case | *bold*"))
    snake_case \| \*bold\*
    """
    return _MARKUP.sub(r"\\\g<0>", printable(" ".join(text.split())))


def short_number(value: float) -> str:
    """Three decimals, and small numbers with two digits, so that none is shown as 0.

    >>> short_number(0.12345), short_number(0.000012), short_number(0.0)
    ('0.123', '1.2e-05', '0.000')
    """
    if not math.isfinite(value):
        return ""
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3f}"


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows, with every epoch as text."""
    epochs = {"epoch", "other_epoch", "first_epoch", "last_epoch"}
    return (
        {
            name: epoch_text(value) if name in epochs and value is not None else value
            for name, value in row.items()
        }
        for row in table.to_pylist()
    )
