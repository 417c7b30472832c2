"""What a report finds, in words for the page and the terminal, and in numbers for scripts.

d_anchor stands for the table of that name (`tables.d_anchor`): one row per run, layer, epoch, in their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cmon.rank_correlation import kendall_tau
from cmon.workspace.keys import epoch_number, epoch_text

_DISTANCES = ("d_anchor", "d_anchor_clip")


def findings(d_anchor: pd.DataFrame) -> list[tuple[str, str]]:
    """(subject, sentences): each run with what its last layer does, and then Kendall's tau of the two distances."""
    found = [(str(run), _run_finding(own)) for run, own in d_anchor.groupby("run", sort=False)]
    tau = _distances_tau(d_anchor)
    if np.isfinite(tau):
        known = d_anchor["d_anchor"].notna().sum()
        where = f"between d_anchor and d_anchor_clip over {known} runs, layers and epochs"
        found.append(("Kendall's tau", f"{tau:.2f} {where} (1: the same order, 0: unrelated)."))
    return found


def as_text(d_anchor: pd.DataFrame) -> str:
    """The findings in one line."""
    return " ".join(f"{subject}: {sentences}" for subject, sentences in findings(d_anchor))


def headlines(d_anchor: pd.DataFrame) -> dict[str, Any]:
    """The headline numbers, as JSON holds them (`cmon report --format json`); what is unknown is None. Keys:

    `kendall_tau`: Kendall's tau of d_anchor and d_anchor_clip over runs, layers and epochs, -1 to 1;
    `layers`: for each run and layer, in their order, `run`, `layer`, `first_epoch`, `last_epoch`; at the last
    epoch `n_units`, `n_dead`, `n_interpretable` and `share_interpretable` (0 to 1); and `d_anchor` and
    `d_anchor_clip`, each with `trend` (see `trend`) and, at the `first` and the `last` epoch, `value`, `low` and
    `high`.
    """
    groups = d_anchor.groupby(["run", "layer"], sort=False)
    return {
        "kendall_tau": _known(_distances_tau(d_anchor)),
        "layers": [_layer_numbers(str(run), str(layer), rows) for (run, layer), rows in groups],
    }


def trend(rows: pd.DataFrame, column: str = "d_anchor") -> str | None:
    """What one run's layer does from its first epoch with live units to its last.

    rows: of a table with `column`, `column_low` and `column_high`, epochs rising. 'falls' or 'rises' only where the
    two confidence intervals do not touch, else 'stays'; 'ends' where no unit is live at the last epoch; None where
    fewer than two epochs are known.
    """
    known = rows.dropna(subset=[column])
    if known.empty:
        return None
    if known.index[-1] != rows.index[-1]:
        return "ends"
    if len(known) < 2:
        return None
    first, last = known.iloc[0], known.iloc[-1]
    if last[f"{column}_high"] < first[f"{column}_low"]:
        return "falls"
    return "rises" if last[f"{column}_low"] > first[f"{column}_high"] else "stays"


def trend_text(table: pd.DataFrame, run: str, layer: str, column: str = "d_anchor") -> str:
    """`trend` with its numbers: 'falls from 0.71 to 0.32'; empty if there is none.

    Also 'rises ...'; 'stays near 0.71' if the last value is within a tenth of the larger of the two, else 'goes from
    0.71 to 0.60, within chance'; 'ends at epoch 3: ...'; 'is unknown: no unit is live'.
    """
    rows = table[(table["run"] == run) & (table["layer"] == layer)]
    known = rows.dropna(subset=[column])
    if known.empty:
        return "is unknown: no unit is live" if len(rows) else ""
    word = trend(rows, column)
    if word is None:
        return ""
    if word == "ends":
        return f"ends at epoch {epoch_text(known['epoch'].iloc[-1])}: no unit is live after it"
    first, last = known[column].iloc[0], known[column].iloc[-1]
    if word == "stays" and abs(last - first) <= 0.1 * max(first, last):
        return f"stays near {last:.2f}"
    if word == "stays":
        return f"goes from {first:.2f} to {last:.2f}, within chance"
    return f"{word} from {first:.2f} to {last:.2f}"


def _distances_tau(d_anchor: pd.DataFrame) -> float:
    return kendall_tau(d_anchor["d_anchor"], d_anchor["d_anchor_clip"])


def _run_finding(own: pd.DataFrame) -> str:
    """Of the run's last layer: its share of interpretable units, its trends, its dead units."""
    run, layer = own["run"].iloc[0], own["layer"].iloc[-1]
    rows = own[own["layer"] == layer]
    first, last = rows.iloc[0], rows.iloc[-1]
    words = f"{_share_text(last)} of the units of {layer} are interpretable"
    if len(rows) > 1:
        words += f" at epoch {epoch_text(last['epoch'])}, {_share_text(first)} at epoch {epoch_text(first['epoch'])}"
    # Where both distances have the same text (both end at one epoch), it is said once, of d_anchor.
    columns = {trend_text(own, run, layer, column): column for column in reversed(_DISTANCES)}
    trends = [f"{column} {text}" for text, column in reversed(columns.items()) if text]
    if trends:
        words += f"; {', '.join(trends)}"
    dead = f" {last['n_dead']} of its {last['n_units']} units are dead." if last["n_dead"] else ""
    return f"{words}.{dead}"


def _share_text(row: pd.Series) -> str:
    return f"{row['n_interpretable'] / row['n_units']:.0%}"


def _layer_numbers(run: str, layer: str, rows: pd.DataFrame) -> dict[str, Any]:
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
            column: {
                "trend": trend(rows, column),
                "first": _value_and_bounds(first, column),
                "last": _value_and_bounds(last, column),
            }
            for column in _DISTANCES
        },
    }


def _value_and_bounds(row: pd.Series, column: str) -> dict[str, float | None]:
    return {
        "value": _known(row[column]),
        "low": _known(row[f"{column}_low"]),
        "high": _known(row[f"{column}_high"]),
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
