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
from cmon.reporting.recipe_findings import recipe_finding, recipe_numbers
from cmon.reporting.repeats import Recipe, recipes, repeated
from cmon.reporting.trends import joined_trends, known_number, trend_word, trend_words, value_and_bounds
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
    d_anchor: pd.DataFrame,
    main: str | None = None,
    training: pd.DataFrame | None = None,
    seeds: pd.DataFrame | None = None,
) -> list[tuple[str, str]]:
    """(subject, sentences): each run with what its main layer does, and then Kendall's tau of the two distances.

    Of repeated runs, what their recipe does over them stands in their place.

    main: of `layers.main_layer`; None takes the last. training: `training_log.TRAINING`, of which the accuracies are
    said. seeds: the table of that name; None takes every run by itself.
    """
    found = []
    for recipe in _recipes(d_anchor, seeds):
        if seeds is not None and recipe.is_repeated:
            words = recipe_finding(seeds, recipe, main)
        else:
            words = _run_finding(d_anchor[d_anchor["run"] == recipe.name], main)
        found.append((recipe.title, words + _accuracy_text(recipe.runs, training)))
    tau = _distances_tau(d_anchor)
    if np.isfinite(tau):
        known = d_anchor["d_anchor"].notna().sum()
        where = f"between d_anchor and d_anchor_clip over {known} runs, layers and epochs"
        found.append(("Kendall's tau", f"{tau:.2f} {where} (1: the same order, 0: unrelated)."))
    return found


def warnings(d_anchor: pd.DataFrame, diversity: pd.DataFrame, main: str | None = None) -> list[str]:
    """What makes the findings say little.

    Of each run: units of the main layer that lie on anchors at its first epoch; and the layers of which one label has
    over a third of the units, with how far these share their top images. Of repeated runs, each is said of the first
    that it is true of, with how many others. diversity: the table of that name.
    """
    found: list[str] = []
    for recipe in recipes(map(str, d_anchor["run"].unique())):
        on_anchors = [_on_anchors_text(d_anchor[d_anchor["run"] == run], main) for run in recipe.runs]
        crowded = [_crowded_text(diversity[diversity["run"] == run]) for run in recipe.runs]
        for texts in (on_anchors, crowded):
            said = [f"{run}: {text}" for run, text in zip(recipe.runs, texts, strict=True) if text]
            more = f"; likewise in {len(said) - 1} more of the {len(recipe.runs)} runs of {recipe.name}"
            found += [text + (more if len(said) > 1 else "") for text in said[:1]]
    return found


def _on_anchors_text(own: pd.DataFrame, main: str | None) -> str:
    """Of a run's rows; empty where few of its units lie on anchors at first."""
    first = _main_rows(own, main).iloc[0]
    if not first["on_anchors"] > MOST_ON_ANCHORS:
        return ""
    return (
        f"{first['on_anchors']:.0%} of the live units of {first['layer']} lie on an anchor at epoch "
        f"{epoch_text(first['epoch'])} already; an anchor that units answer to before says nothing of training: "
        "choose other `--anchors` in `cmon embed`"
    )


def _crowded_text(own: pd.DataFrame) -> str:
    """Of a run's rows of `diversity`; empty where no layer is crowded."""
    crowded = _crowded(own)
    if not crowded:
        return ""
    worst, *others = sorted(crowded, key=lambda one: one.share, reverse=True)
    also = f"; over a third also in {', '.join(f'{one.layer} ({one.share:.0%})' for one in others)}"
    return (
        f"one label on over a third of a layer: {worst.words}{also if others else ''}. Units that share their images "
        "answer to one thing: count it as one finding"
    )


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


def as_text(d_anchor: pd.DataFrame, main: str | None = None, seeds: pd.DataFrame | None = None) -> str:
    """The findings in one line."""
    return " ".join(f"{subject}: {said}" for subject, said in findings(d_anchor, main, seeds=seeds))


def headlines(
    d_anchor: pd.DataFrame, main: str | None = None, seeds: pd.DataFrame | None = None
) -> dict[str, Any]:
    """The headline numbers, as JSON holds them (`cmon report --format json`); what is unknown is None. Keys:

    `kendall_tau`: Kendall's tau of d_anchor and d_anchor_clip over runs, layers and epochs, -1 to 1;
    `layers`: for each run and layer, in their order, `run`, `layer`, `first_epoch`, `last_epoch`; at the last
    epoch `n_units`, `n_dead`, `n_interpretable` and `share_interpretable` (0 to 1); and `d_anchor` and
    `d_anchor_clip`, each with `trend` (see `trend`) and, at the `first` and the `last` epoch and of the `change` of
    the same units between the two, `value`, `low` and `high`;
    `recipes`: the same over the runs of each recipe with at least two, for each layer: `recipe_findings`;
    `main_layer`: the layer that the findings are of.
    """
    groups = d_anchor.groupby(["run", "layer"], sort=False)
    return {
        "main_layer": main,
        "kendall_tau": known_number(_distances_tau(d_anchor)),
        "layers": [_layer_numbers(str(run), str(layer), rows) for (run, layer), rows in groups],
        "recipes": [] if seeds is None else recipe_numbers(seeds, repeated(map(str, d_anchor["run"]))),
    }


def trend(rows: pd.DataFrame, column: str = "d_anchor") -> str | None:
    """What one run's layer does from its first epoch with live units to its last.

    rows: of the table, epochs rising. 'falls' or 'rises' only where the interval of the change of the same units does
    not hold 0, else 'stays'; 'ends' where no unit is live at the last epoch; None where fewer than two epochs are
    known, no unit is live at both, or there are no rows.
    """
    if rows.empty:
        return None
    _, low, high = _change(rows.iloc[-1], column)
    return trend_word(rows[column], low, high)


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
    change = _change(known.iloc[-1], column)
    return trend_words(
        word, known[column].iloc[0], known[column].iloc[-1], change, "the same units", interval
    )


def _change(row: pd.Series, column: str) -> tuple[float, float, float]:
    """The change of the same units since the first epoch, and its interval."""
    name = "change" + column.removeprefix("d_anchor")
    return float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"])


def _distances_tau(d_anchor: pd.DataFrame) -> float:
    return kendall_tau(d_anchor["d_anchor"], d_anchor["d_anchor_clip"])


def _recipes(d_anchor: pd.DataFrame, seeds: pd.DataFrame | None) -> list[Recipe]:
    """The recipes that the findings are of; with no `seeds`, of each run its own."""
    runs = [str(run) for run in d_anchor["run"].unique()]
    return recipes(runs) if seeds is not None else [Recipe(run, (run,)) for run in runs]


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
    trends = joined_trends({column: trend_text(own, run, layer, column) for column in _DISTANCES})
    if trends:
        words += f"; {trends}"
    dead = f" {last['n_dead']} of its {last['n_units']} units are dead." if last["n_dead"] else ""
    return f"{words}.{dead}"


def _accuracy_text(runs: Sequence[str], training: pd.DataFrame | None) -> str:
    """' Training logged test_accuracy 0.73, train_accuracy 0.99 at epoch 8.', the last ones, and of several runs their
    means; empty where none was logged."""
    if training is None:
        return ""
    own = training[training["run"].isin(runs) & training["metric"].str.contains(_ACCURACY)]
    if own.empty:
        return ""
    own = own.sort_values("epoch", kind="stable").groupby(["run", "metric"], sort=False).tail(1)
    means = own.groupby("metric", sort=False)["value"].mean().head(MOST_ACCURACIES)
    said = ", ".join(f"{metric} {value:.3g}" for metric, value in means.items())
    many = f" on average over {own['run'].nunique()} runs" if len(runs) > 1 else ""
    epoch = own.loc[own["metric"].isin(means.index), "epoch"].max()
    return f" Training logged {said} at epoch {epoch_text(epoch)}{many}."


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
                "first": value_and_bounds(first, column),
                "last": value_and_bounds(last, column),
                "change": value_and_bounds(last, "change" + column.removeprefix("d_anchor")),
            }
            for column in _DISTANCES
        },
    }
