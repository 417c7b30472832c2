"""Tables of results as text: CSV for programs, Markdown for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from cmon.schemas import epoch_text


def csv(table: pa.Table) -> str:
    """With a header and all digits; what is null is an empty cell, and a whole epoch has no decimals."""
    frame = pd.DataFrame(_rows(table), columns=table.column_names, dtype=object)
    return frame.to_csv(index=False, lineterminator="\n")


def markdown(table: pa.Table) -> str:
    """The same with three decimals; bars and line breaks inside cells are made harmless."""

    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, float):
            return f"{value:.3f}"
        return " ".join(str(value).replace("|", "\\|").split())

    lines = [table.column_names, ["---"] * table.num_columns]
    lines += [[cell(value) for value in row.values()] for row in _rows(table)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    return (
        {name: epoch_text(value) if name == "epoch" else value for name, value in row.items()}
        for row in table.to_pylist()
    )
