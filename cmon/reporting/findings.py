"""A report in the few numbers that a script or a CI job asks for: `cmon report --format json`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cmon.rank_correlation import kendall_tau
from cmon.reporting import measures
from cmon.workspace.keys import epoch_number

_KINDS = ("d_anchor", "d_anchor_clip")


def headlines(d_anchor: pd.DataFrame) -> dict[str, Any]:
    """The headline numbers, as JSON holds them; what is unknown is None.

    d_anchor: what `distances.d_anchor` gives. Returns

    `kendall_tau`: Kendall's tau of d_anchor and d_anchor_clip over runs, layers and epochs, -1 to 1;
    `layers`: for each run and layer, in their order, `run`, `layer`, `first_epoch`, `last_epoch`; at the last
    epoch `n_units`, `n_dead`, `n_interpretable` and `share_interpretable` (0 to 1); and `d_anchor` and
    `d_anchor_clip`, each with `trend` and, at the `first` and the `last` epoch, `value`, `low` and `high`.
    A trend is what `measures.verb` gives.
    """
    groups = d_anchor.groupby(["run", "layer"], sort=False)
    return {
        "kendall_tau": _known(kendall_tau(d_anchor["d_anchor"], d_anchor["d_anchor_clip"])),
        "layers": [_layer(str(run), str(layer), rows) for (run, layer), rows in groups],
    }


def _layer(run: str, layer: str, rows: pd.DataFrame) -> dict[str, Any]:
    first, last = rows.iloc[0], rows.iloc[-1]
    counts = {name: int(last[name]) for name in ("n_units", "n_dead", "n_interpretable")}
    return {
        "run": run,
        "layer": layer,
        "first_epoch": epoch_number(first["epoch"]),
        "last_epoch": epoch_number(last["epoch"]),
        **counts,
        "share_interpretable": counts["n_interpretable"] / counts["n_units"],
        **{
            kind: {
                "trend": measures.verb(rows, kind),
                "first": _interval(first, kind),
                "last": _interval(last, kind),
            }
            for kind in _KINDS
        },
    }


def _interval(row: pd.Series, kind: str) -> dict[str, float | None]:
    return {
        name: _known(row[column])
        for name, column in (("value", kind), ("low", f"{kind}_low"), ("high", f"{kind}_high"))
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
