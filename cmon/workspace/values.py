"""Whether a table's values are among those that its schema allows, and its keys tell the rows apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cmon.workspace import schemas


def find_fault(table: pa.Table, schema: pa.Schema, keys: Sequence[str]) -> str | None:
    """The first value that cannot be, in words; None if there is none.

    Empty cells where the schema has none, numbers that are not finite or outside their range, words that are none of
    those allowed, rows that share their keys.
    """
    for field in schema:
        fault = _fault_of_column(table[field.name], field)
        if fault:
            return f"column {field.name}: {fault}"
    names = [name for name in keys if name in table.column_names]
    groups = table.select(names).group_by(names).aggregate([([], "count_all")])
    if groups.num_rows < table.num_rows:
        row = groups.filter(pc.greater(groups["count_all"], 1)).slice(0, 1).to_pylist()[0]
        return "two rows of " + ", ".join(f"{name} {row[name]}" for name in names if row[name] is not None)
    return None


def _fault_of_column(column: pa.ChunkedArray, field: pa.Field) -> str | None:
    if column.null_count and not field.nullable:
        return f"{column.null_count} empty cells"
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        column = pc.list_flatten(column)
        if column.null_count:
            return f"{column.null_count} empty places in lists"
    if pa.types.is_floating(column.type):
        finite = pc.is_finite(column)
        if pc.min(finite).as_py() is False and not schemas.may_be_infinite(field):
            return "a value that is not finite"
    within, one_of = schemas.within(field), schemas.one_of(field)
    if within:
        least, most = within
        found = pc.min_max(column).as_py()
        if least is not None and found["min"] is not None and found["min"] < least:
            return f"{found['min']}, which is below {least}"
        if most is not None and found["max"] is not None and found["max"] > most:
            return f"{found['max']}, which is above {most}"
    if one_of:
        others: list[Any] = [
            value for value in column.unique().to_pylist() if value is not None and value not in one_of
        ]
        if others:
            return f"{others[0]!r}, which is none of {', '.join(one_of)}"
    return None
