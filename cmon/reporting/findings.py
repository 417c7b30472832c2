"""What a report finds, in words for the page and the terminal, and in numbers for scripts.

d_anchor stands for the table of that name (`tables.d_anchor`): one row per run, layer, epoch, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cmon.rank_correlation import kendall_tau
from cmon.reporting.layers import own_layer
from cmon.workspace.keys import epoch_number, epoch_text

_DISTANCES = ("d_anchor", "d_anchor_clip")
_ACCURACY = re.compile(r"acc(?:uracy)?(?:$|[^a-z])", re.IGNORECASE)
MOST_ACCURACIES = 3
"""Logged accuracies that are said of a run."""
MOST_ON_ANCHORS = 0.1
"""Share of a layer's units on anchors at the first epoch above which d_anchor is warned of, as `cmon embed` does."""
MOST_OF_ONE_LABEL = 1 / 3
"""Share of a layer's units under one label above which it is warned of, as `cmon score` does."""


def findings(
    d_anchor: pd.DataFrame, main: str | None = None, training: pd.DataFrame | None = None
) -> list[tuple[str, str]]:
    """(subject, sentences): each run with what its main layer does, and then Kendall's tau of the two distances.

    main: of `layers.main_layer`; None takes the last. training: `training_log.TRAINING`, of which the accuracies are
    said.
    """
    found = [
        (str(run), _run_finding(own, main) + _accuracy_text(str(run), training))
        for run, own in d_anchor.groupby("run", sort=False)
    ]
    tau = _distances_tau(d_anchor)
    if np.isfinite(tau):
        known = d_anchor["d_anchor"].notna().sum()
        where = f"between d_anchor and d_anchor_clip over {known} runs, layers and epochs"
        found.append(("Kendall's tau", f"{tau:.2f} {where} (1: the same order, 0: unrelated)."))
    return found


def warnings(d_anchor: pd.DataFrame, diversity: pd.DataFrame, main: str | None = None) -> list[str]:
    """What makes the findings say little.

    Of each run: units of the main layer that lie on anchors at its first epoch; and the layers of which one label has
    over a third of the units, with how far these share their top images. diversity: the table of that name.
    """
    found = []
    for run, own in d_anchor.groupby("run", sort=False):
        first = _main_rows(own, main).iloc[0]
        if first["on_anchors"] > MOST_ON_ANCHORS:
            found.append(
                f"{run}: {first['on_anchors']:.0%} of the live units of {first['layer']} lie on an anchor at epoch "
                f"{epoch_text(first['epoch'])} already; an anchor that units answer to before says nothing of "
                "training: choose other `--anchors` in `cmon embed`"
            )
        crowded = _crowded(diversity[diversity["run"] == run])
        if crowded:
            worst, *others = sorted(crowded, key=lambda one: one.share, reverse=True)
            also = f"; over a third also in {', '.join(f'{one.layer} ({one.share:.0%})' for one in others)}"
            found.append(
                f"{run}: one label on over a third of a layer: {worst.words}{also if others else ''}. Units that share "
                "their images answer to one thing: count it as one finding"
            )
    return found


@dataclass(frozen=True)
class _Crowded:
    """A layer at the epoch at which one label has the largest share of its units."""

    layer: str
    share: float
    words: str


def _crowded(own: pd.DataFrame) -> list[_Crowded]:
    """The layers of a run of which one label has over a third of the units at some epoch."""
    found = []
    for layer, rows in own.groupby("layer", sort=False):
        share = rows["its_units"] / rows["n_units"]
        over = share.where((share > MOST_OF_ONE_LABEL) & (rows["its_units"] > 1)).dropna()
        if over.empty:
            continue
        row = rows.loc[[over.idxmax()]].iloc[0]
        shared = ""
        if np.isfinite(row["overlap"]):
            shared = f", which share {row['overlap']:.0%} of their top images (by chance {row['overlap_chance']:.0%})"
        more = f", and likewise at {len(over) - 1} more of {len(rows)} epochs" if len(over) > 1 else ""
        words = (
            f"“{row['most_frequent']}” on {row['its_units']} of {row['n_units']} units of {layer} at epoch "
            f"{epoch_text(row['epoch'])}{shared}{more}"
        )
        found.append(_Crowded(str(layer), float(over.max()), words))
    return found


def as_text(d_anchor: pd.DataFrame, main: str | None = None) -> str:
    """The findings in one line."""
    return " ".join(f"{subject}: {sentences}" for subject, sentences in findings(d_anchor, main))


def headlines(d_anchor: pd.DataFrame, main: str | None = None) -> dict[str, Any]:
    """The headline numbers, as JSON holds them (`cmon report --format json`); what is unknown is None. Keys:

    `kendall_tau`: Kendall's tau of d_anchor and d_anchor_clip over runs, layers and epochs, -1 to 1;
    `layers`: for each run and layer, in their order, `run`, `layer`, `first_epoch`, `last_epoch`; at the last
    epoch `n_units`, `n_dead`, `n_interpretable` and `share_interpretable` (0 to 1); and `d_anchor` and
    `d_anchor_clip`, each with `trend` (see `trend`) and, at the `first` and the `last` epoch and of the `change` of
    the same units between the two, `value`, `low` and `high`;
    `main_layer`: the layer that the findings are of.
    """
    groups = d_anchor.groupby(["run", "layer"], sort=False)
    return {
        "main_layer": main,
        "kendall_tau": _known(_distances_tau(d_anchor)),
        "layers": [_layer_numbers(str(run), str(layer), rows) for (run, layer), rows in groups],
    }


def trend(rows: pd.DataFrame, column: str = "d_anchor") -> str | None:
    """What one run's layer does from its first epoch with live units to its last.

    rows: of the table, epochs rising. 'falls' or 'rises' only where the interval of the change of the same units does
    not hold 0, else 'stays'; 'ends' where no unit is live at the last epoch; None where fewer than two epochs are
    known, or no unit is live at both.
    """
    known = rows.dropna(subset=[column])
    if known.empty:
        return None
    if known.index[-1] != rows.index[-1]:
        return "ends"
    _, low, high = _change(known.iloc[-1], column)
    if len(known) < 2 or np.isnan(low):
        return None
    return "falls" if high < 0 else "rises" if low > 0 else "stays"


def trend_text(
    table: pd.DataFrame, run: str, layer: str, column: str = "d_anchor", interval: bool = True
) -> str:
    """`trend` with its numbers: 'falls from 0.71 to 0.32 (the same units: -0.39, -0.41 to -0.37)'; empty if none.

    Also 'rises from ...'; 'stays (0.71 to 0.70; ...)'; 'ends at epoch 3: ...'; 'is unknown: no unit is live'.
    interval: whether to say the change of the same units.
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
    change = _change(known.iloc[-1], column)
    digits = 2 if f"{first:.2f}" != f"{last:.2f}" or word == "stays" else 3
    levels = f"{first:.{digits}f} to {last:.{digits}f}"
    by, low, high = (f"{number:+.{_digits(change)}f}" for number in change)
    same = f"the same units: {by}, {low} to {high}"
    if word == "stays":
        return f"stays ({levels}; {same})" if interval else f"stays ({levels})"
    return f"{word} from {levels} ({same})" if interval else f"{word} from {levels}"


def _change(row: pd.Series, column: str) -> tuple[float, float, float]:
    """The change of the same units since the first epoch, and its interval."""
    name = "change" + column.removeprefix("d_anchor")
    return float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"])


def _digits(change: Sequence[float]) -> int:
    """So many that the interval has a width, and a bound that is not 0 is not shown as 0."""
    smallest = min(abs(number) for number in change)
    return 2 if smallest >= 0.01 else 3 if smallest >= 0.001 else 4


def _distances_tau(d_anchor: pd.DataFrame) -> float:
    return kendall_tau(d_anchor["d_anchor"], d_anchor["d_anchor_clip"])


def _main_rows(own: pd.DataFrame, main: str | None) -> pd.DataFrame:
    """A run's rows of the main layer, or of its last where it has not that."""
    layers = [str(layer) for layer in own["layer"].unique()]
    return own[own["layer"] == own_layer(layers, main or layers[-1])]


def _run_finding(own: pd.DataFrame, main: str | None) -> str:
    """Of the run's main layer: its share of interpretable units, its trends, its dead units."""
    rows = _main_rows(own, main)
    first, last = rows.iloc[0], rows.iloc[-1]
    run, layer = last["run"], last["layer"]
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


def _accuracy_text(run: str, training: pd.DataFrame | None) -> str:
    """' test_accuracy 0.73, train_accuracy 0.99 at epoch 8.'; empty where none was logged."""
    if training is None:
        return ""
    own = training[(training["run"] == run) & training["metric"].str.contains(_ACCURACY)]
    if own.empty:
        return ""
    own = own.sort_values("epoch", kind="stable").groupby("metric", sort=False).tail(1).head(MOST_ACCURACIES)
    said = ", ".join(
        f"{metric} {value:.3g}" for metric, value in zip(own["metric"], own["value"], strict=True)
    )
    return f" Training logged {said} at epoch {epoch_text(own['epoch'].max())}."


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
                "change": _value_and_bounds(last, "change" + column.removeprefix("d_anchor")),
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
