"""Which epochs are shown where there is no room for all."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def last_epochs(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of every run's last epoch."""
    return rows[rows["epoch"] == rows.groupby("run")["epoch"].transform("max")]


def first_middle_last(epochs: Iterable[float]) -> list[float]:
    """The first, the middle and the last, each once."""
    known = sorted(set(epochs))
    return sorted({known[0], known[len(known) // 2], known[-1]})
