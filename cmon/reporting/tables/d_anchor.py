"""d_anchor: the mean distance of a layer's live units to their nearest anchor (Concept-Monitor, arXiv 2304.13346).

DataFrames in the order of `keys.sort_rows` in, the same order out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon.reporting.tables.bootstrap import RESAMPLES, interval, resampled_groups
from cmon.reporting.tables.columns import N_UNITS, PLANE_UNIT, bounds
from cmon.workspace.keys import GROUP
from cmon.workspace.schemas import GROUP_FIELDS, column

D_ANCHOR = pa.schema(
    [
        *GROUP_FIELDS,
        column(
            "d_anchor",
            pa.float64(),
            f"mean distance from the live units to their nearest anchor, in the plane, {PLANE_UNIT}; empty where no "
            "unit is live",
            null=True,
        ),
        *bounds("d_anchor"),
        column(
            "d_anchor_clip",
            pa.float64(),
            "the same between unit vectors of CLIP's text space, 0 to 2; empty where no unit is live",
            null=True,
        ),
        *bounds("d_anchor_clip"),
        N_UNITS,
        column("n_live", pa.int32(), "units with status `ok`"),
        column(
            "n_dead", pa.int32(), "units with status `dead`; constant, tied and non-finite ones are the rest"
        ),
        column("n_interpretable", pa.int32(), "units whose label beats chance"),
    ]
)

DISTANCES = {"": "distance", "_clip": "distance_clip"}
"""Suffix of a result's columns to the column of `layout` that it is made from: in the plane, in CLIP's text space."""


def d_anchor(
    units: pd.DataFrame, layout: pd.DataFrame, seed: int, confidence: float, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Mean distance from the live units to their nearest anchor, with bootstrap intervals and counts: D_ANCHOR.

    units, layout: the tables of those names, layout's units only. Per run, layer, epoch: `d_anchor` in the
    plane (lengths in units of the anchors' RMS radius; 0 or more), `d_anchor_clip` between unit vectors of CLIP's
    text space (0 to 2), each with `_low` and `_high`, a percentile bootstrap interval over units; NaN where no unit
    is live, no width where one is. `n_units` counts all units, `n_live` those with status 'ok', `n_dead` those with
    status 'dead'; constant, tied and non-finite units are the rest. An interval depends on its own units and the seed
    alone, not on other runs, layers and epochs.
    """
    status = units["status"]
    flags = units[GROUP].assign(
        n_units=1, n_live=status == "ok", n_dead=status == "dead", n_interpretable=units["interpretable"]
    )
    counts = flags.groupby(GROUP, sort=False).sum().astype(int)
    distances = live_distances(layout)
    values = [distances[key].to_numpy() if key in distances else np.empty((0, 2)) for key in counts.index]
    means = np.array([own.mean(axis=0) if len(own) else (np.nan, np.nan) for own in values])
    ends = np.full((len(values), 2, 2), np.nan)  # group, low or high, distance
    for at, resampled in resampled_groups(values, seed, resamples):
        ends[at] = interval(resampled, confidence)
    table = {}
    for space, suffix in enumerate(DISTANCES):
        table[f"d_anchor{suffix}"] = means[:, space]
        table[f"d_anchor{suffix}_low"], table[f"d_anchor{suffix}_high"] = ends[:, :, space].T
    return pd.concat([pd.DataFrame(table, index=counts.index), counts], axis=1).reset_index()


def live_distances(layout: pd.DataFrame) -> dict[tuple[str, str, float], pd.DataFrame]:
    """(run, layer, epoch) to the columns DISTANCES of its live units, indexed by unit."""
    live = layout[layout["status"] == "ok"]
    return {key: rows.set_index("unit")[[*DISTANCES.values()]] for key, rows in live.groupby(GROUP)}
