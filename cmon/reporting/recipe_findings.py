"""What a report finds of a recipe over its seeds: in words, and in numbers for scripts.

seeds stands for the table of that name (`tables.seeds`): a row per recipe, layer, epoch, measure, in their order. All
of it is up to the last epoch that most of a recipe's runs have in the layer: all of them, where they share one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from cmon.reporting.layers import own_layer
from cmon.reporting.repeats import Recipe
from cmon.reporting.trends import joined_trends, trend_word, trend_words, value_and_bounds
from cmon.workspace.keys import epoch_number, epoch_text

_DISTANCES = ("d_anchor", "d_anchor_clip")
_SHARES = {"share_interpretable": "interpretable", "share_dead": "dead"}
"""Keys of the numbers, and the measures that they are of."""


def recipe_finding(seeds: pd.DataFrame, recipe: Recipe, main: str | None) -> str:
    """Of the recipe's main layer: its share of interpretable units, its trends, its dead units, over its runs."""
    layers = [str(layer) for layer in seeds.loc[seeds["recipe"] == recipe.name, "layer"].unique()]
    layer = own_layer(layers, main or layers[-1])
    rows = up_to_shared(seeds, recipe.name, layer, "interpretable")
    last, first = rows.iloc[-1], _first(rows)
    words = f"{_share_text(last['mean'])} of the units of {layer} are interpretable at "
    words += f"{_epoch_words(seeds, recipe, last)}{_interval_text(last)}"
    if first["epoch"] < last["epoch"]:
        words += f", {_share_text(first['mean'])} at epoch {epoch_text(first['epoch'])}"
    trends = joined_trends({name: recipe_trend_text(seeds, recipe.name, layer, name) for name in _DISTANCES})
    if trends:
        words += f"; {trends}"
    dead = up_to_shared(seeds, recipe.name, layer, "dead")["mean"].iloc[-1]
    return f"{words}." + (f" {_share_text(dead)} of its units are dead." if dead else "")


def recipe_trend_text(
    seeds: pd.DataFrame, recipe: str, layer: str, measure: str = "d_anchor", interval: bool = True
) -> str:
    """What a measure does over the recipe's runs: 'falls from 0.71 to 0.32 (over runs: -0.39, -0.43 to -0.35)'.

    As `findings.trend_text`, with the change of each run since the first epoch that two of them have.
    """
    rows = up_to_shared(seeds, recipe, layer, measure)
    known = rows.dropna(subset=["mean"])
    if known.empty:
        return "is unknown: no unit is live" if len(rows) else ""
    verdict = recipe_trend(rows)
    if verdict is None:
        return ""
    if verdict == "ends":
        return f"ends at epoch {epoch_text(known['epoch'].iloc[-1])}: no unit is live after it in any run"
    last = rows.iloc[-1]
    change = [float(last[name]) for name in ("change", "change_low", "change_high")]
    return trend_words(verdict, _first(rows)["mean"], last["mean"], change, "over runs", interval)


def recipe_trend(rows: pd.DataFrame) -> str | None:
    """As `trends.trend_word`, by the interval over runs; 'ends' where no run has a value at the last epoch.

    rows: of one recipe, layer and measure, epochs rising; None if there are none.
    """
    if rows.empty:
        return None
    return trend_word(rows["mean"], rows["change_low"].iloc[-1], rows["change_high"].iloc[-1])


def up_to_shared(seeds: pd.DataFrame, recipe: str, layer: str, measure: str) -> pd.DataFrame:
    """The rows of a measure up to the last epoch that most runs have, epochs rising."""
    own = seeds[(seeds["recipe"] == recipe) & (seeds["layer"] == layer)]
    whole = own[own["measure"] == "interpretable"]  # a run that has the epoch has that
    last = whole.loc[whole["n_runs"] == whole["n_runs"].max(), "epoch"].max()
    return own[(own["measure"] == measure) & (own["epoch"] <= last)]


def recipe_numbers(seeds: pd.DataFrame, recipes: Iterable[Recipe]) -> list[dict[str, Any]]:
    """The headline numbers of each recipe and layer, in their order; what is unknown is None.

    `recipe`, `runs`, `layer`, `first_epoch`, `last_epoch`, `n_runs` (of them at the last epoch); and
    `share_interpretable` and `share_dead` (0 to 1), `d_anchor` and `d_anchor_clip`, each with `trend` (see
    `recipe_trend`) and, at the `first` and the `last` epoch and of the `change` of the runs between the two, `value`,
    `low` and `high`.
    """
    found = []
    for recipe in recipes:
        for layer in seeds.loc[seeds["recipe"] == recipe.name, "layer"].unique():
            own = up_to_shared(seeds, recipe.name, layer, "interpretable")
            first, last = _first(own), own.iloc[-1]
            measures = {**_SHARES, **{name: name for name in _DISTANCES}}
            found.append(
                {
                    "recipe": recipe.name,
                    "runs": list(recipe.runs),
                    "layer": str(layer),
                    "first_epoch": epoch_number(first["epoch"]),
                    "last_epoch": epoch_number(last["epoch"]),
                    "n_runs": int(last["n_runs"]),
                    **{
                        key: _numbers(up_to_shared(seeds, recipe.name, layer, measure))
                        for key, measure in measures.items()
                    },
                }
            )
    return found


def _first(rows: pd.DataFrame) -> pd.Series:
    """The first epoch that two runs have a value at, from which changes are counted; else the first."""
    two = rows[rows["n_runs"] > 1]
    return (two if len(two) else rows).iloc[0]


def _epoch_words(seeds: pd.DataFrame, recipe: Recipe, last: pd.Series) -> str:
    """'epoch 8', and what it is where that is not every run's last."""
    where = f"epoch {epoch_text(last['epoch'])}"
    if last["n_runs"] < len(recipe.runs):
        return f"{where} in {last['n_runs']} of the runs"
    later = seeds[(seeds["recipe"] == recipe.name) & (seeds["layer"] == last["layer"])]["epoch"].max()
    return f"{where}, the last that all have" if later > last["epoch"] else where


def _share_text(share: float) -> str:
    return f"{share:.0%}"


def _interval_text(row: pd.Series) -> str:
    """' (58% to 66% over runs)' of a share, cut at 0 and 1; empty for one run."""
    low, high = (min(max(float(row[name]), 0), 1) for name in ("mean_low", "mean_high"))
    return "" if np.isnan(row["mean_low"]) else f" ({low:.0%} to {high:.0%} over runs)"


def _numbers(rows: pd.DataFrame) -> dict[str, Any]:
    first, last = _first(rows), rows.iloc[-1]
    return {
        "trend": recipe_trend(rows),
        "first": value_and_bounds(first, "mean"),
        "last": value_and_bounds(last, "mean"),
        "change": value_and_bounds(last, "change"),
    }
