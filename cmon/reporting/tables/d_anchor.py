"""d_anchor: the mean distance of a layer's live units to their nearest anchor (Concept-Monitor, arXiv 2304.13346).

DataFrames in the order of `keys.sort_rows` in, the same order out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from cmon.paired_difference import paired_difference
from cmon.reporting.tables.bootstrap import RESAMPLES, interval, resampled_groups
from cmon.reporting.tables.columns import N_UNITS, PLANE_UNIT, bounds
from cmon.workspace.keys import GROUP
from cmon.workspace.schemas import GROUP_FIELDS, column

ON_ANCHOR = 0.25
"""Below this distance in CLIP's space the nearest anchor in the plane is always the right one: see docs/layouts.md."""

_PAIRED = "confidence interval (Student's, of paired values)"

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
        column(
            "on_anchors",
            pa.float64(),
            f"share of the live units that lie on an anchor, within {ON_ANCHOR} in CLIP's text space, 0 to 1",
            null=True,
        ),
        column("n_paired", pa.int32(), "units live at this epoch and at the first with live units"),
        column(
            "change",
            pa.float64(),
            "mean over these of what their distance in the plane changed by since that epoch; empty at that epoch",
            null=True,
        ),
        *bounds("change", _PAIRED),
        column("change_clip", pa.float64(), "the same of the distance in CLIP's text space", null=True),
        *bounds("change_clip", _PAIRED),
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

    `change`, `change_clip`: the mean over the `n_paired` units that are live here and at the first epoch of the run's
    layer with live units, of their distance here minus there, with Student's interval of paired values: how far apart
    units are drops out, so that it tells a fall or a rise from chance far sooner than two intervals of `d_anchor` do.
    NaN at that first epoch.
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
    table["on_anchors"] = np.array(
        [(own[:, 1] <= ON_ANCHOR).mean() if len(own) else np.nan for own in values]
    )
    changes = _changes(list(counts.index), distances, confidence)
    found = pd.concat([pd.DataFrame(table, index=counts.index), counts], axis=1).reset_index()
    return pd.concat([found, changes], axis=1)[D_ANCHOR.names]


def _changes(
    groups: Sequence[tuple[str, str, float]],
    distances: Mapping[tuple[str, str, float], pd.DataFrame],
    confidence: float,
) -> pd.DataFrame:
    """A row for each group: the columns of D_ANCHOR that compare it with the first epoch with live units."""
    first: dict[tuple[str, str], pd.DataFrame] = {}
    rows = []
    for run, layer, epoch in groups:
        own = distances.get((run, layer, epoch))
        before = first.get((run, layer))
        row: dict[str, float] = {"n_paired": 0}
        if own is not None and before is None:
            first[run, layer] = own
        elif own is not None and before is not None:
            before, after = before.align(own, join="inner", axis=0)
            for suffix, name in DISTANCES.items():
                found = paired_difference(before[name].to_numpy(), after[name].to_numpy(), confidence)
                row["n_paired"] = found.units
                row[f"change{suffix}"] = found.difference
                row[f"change{suffix}_low"], row[f"change{suffix}_high"] = found.low, found.high
        rows.append(row)
    columns = [name for name in D_ANCHOR.names if name.startswith(("change", "n_paired"))]
    return pd.DataFrame(rows, columns=columns)


def live_distances(layout: pd.DataFrame) -> dict[tuple[str, str, float], pd.DataFrame]:
    """(run, layer, epoch) to the columns DISTANCES of its live units, indexed by unit."""
    live = layout[layout["status"] == "ok"]
    return {key: rows.set_index("unit")[[*DISTANCES.values()]] for key, rows in live.groupby(GROUP)}
