"""What a row is of: run, layer, epoch and unit, the keys of every table, and the order of rows that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

GROUP = ["run", "layer", "epoch"]
"""Of a row about the units of one layer at one epoch of one run."""
UNIT_KEYS = [*GROUP, "unit"]
"""Of a row about one unit at one epoch."""
TRAJECTORY = ["run", "layer", "unit"]
"""Of a row about one unit over all epochs."""


def sort_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Sorted by run and layer in order of appearance, then by epoch and unit."""

    def rank(column: pd.Series) -> pd.Series:
        if column.name in ("run", "layer"):
            return column.map({name: position for position, name in enumerate(column.unique())})
        return column

    by = [name for name in (*GROUP, "unit") if name in frame]
    return frame.sort_values(by, key=rank, kind="stable", ignore_index=True)


def epoch_text(epoch: float) -> str:
    """How an epoch is named in paths, tables and figures.

    >>> epoch_text(10.0), epoch_text(0.5)
    ('10', '0.5')
    """
    return str(epoch_number(epoch))


def epoch_number(epoch: float) -> int | float:
    """10 for 10.0 and 0.5 for 0.5: how an epoch is printed as data."""
    return int(epoch) if float(epoch).is_integer() else float(epoch)
