"""Columns that several tables of the report have."""

from __future__ import annotations

import pyarrow as pa

from cmon.workspace.schemas import column

N_UNITS = column("n_units", pa.int32(), "all units of the layer, dead ones included")
PLANE_UNIT = "where 1 is the anchors' RMS distance from their centroid"
"""What lengths in the plane are measured in."""


def bounds(name: str, of: str = "bootstrap interval") -> list[pa.Field]:
    """The ends of an interval of the column `name`."""
    return [
        column(f"{name}_low", pa.float64(), f"lower end of the {of} of `{name}`", null=True),
        column(f"{name}_high", pa.float64(), f"upper end of the {of} of `{name}`", null=True),
    ]
