"""Bars of the concepts that most units have, recipe beside recipe: means over seeds, and lines from least to most."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cmon.reporting.categories import NO_CATEGORY, in_order
from cmon.reporting.figures.style import (
    LIGHT,
    SMALL,
    WIDTH,
    Theme,
    category_colors,
    headline,
    legend,
    shortened,
    using,
)

_NUMBER = 0.5
"""Inches that a number beside its bar takes."""


def concept_bars(tops: Mapping[str, pd.DataFrame], layer: str, theme: Theme = LIGHT) -> Figure:
    """A panel for each recipe. tops: what `results.top_concepts` gives, by recipe."""
    shown = {recipe: own.assign(category=own["category"].fillna(NO_CATEGORY)) for recipe, own in tops.items()}
    names = in_order(name for own in shown.values() for name in own["category"])
    colors = category_colors(names)
    bars = max(2, *map(len, shown.values()))
    longest = max([1.0, *(own["high"].max() for own in shown.values() if len(own))])
    with using(theme):
        figure = Figure(figsize=(WIDTH, 0.24 * bars + 1.8), layout="constrained")
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for ax, (recipe, own) in zip(axes, shown.items(), strict=True):
            ax.set_title(shortened(recipe, 24), fontweight="bold")
            ax.set(ylim=(bars - 0.4, -0.6), xlim=(0, longest * (1 + _NUMBER * len(shown) / (WIDTH - 3))))
            _draw(ax, own, colors, theme)
        legend(figure, [Patch(color=colors[name], label=shortened(name, 24)) for name in names])
        headline(figure, _headline(shown, layer))
    return figure


def _draw(ax: Axes, own: pd.DataFrame, colors: Mapping[str, str], theme: Theme) -> None:
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set_xticks([])
    ax.tick_params(axis="y", length=0)
    if own.empty:
        ax.set_yticks([])
        ax.text(0, 0, "no interpretable unit", va="center", fontsize=SMALL, color=theme.faint)
        return
    ax.set_yticks(range(len(own)), [shortened(str(name), 16) for name in own["concept"]])
    for place, row in enumerate(own.to_dict("records")):
        ax.barh(place, row["mean"], height=0.8, color=colors[row["category"]], linewidth=0)
        if row["high"] > row["low"]:
            ax.plot([row["low"], row["high"]], [place, place], color=theme.ink, linewidth=1.1)
        ax.annotate(
            count(row["mean"]), (max(row["mean"], row["high"]), place), xytext=(4, 0), va="center",
            textcoords="offset points", fontsize=SMALL,
        )  # fmt: skip


def _headline(shown: Mapping[str, pd.DataFrame], layer: str) -> str:
    """'layer4: dog 15, car 11, cat 10 in standard; chequered 14, red 13, striped 12 in adversarial'."""
    parts = [
        ", ".join(
            f"{shortened(str(row['concept']), 14)} {count(row['mean'])}"
            for row in own.head(3).to_dict("records")
        )
        + f" in {shortened(recipe, 20)}"
        for recipe, own in shown.items()
        if len(own)
    ]
    return f"{shortened(layer, 24)}: " + ("; ".join(parts) if parts else "no interpretable unit")


def count(mean: float) -> str:
    """'15' for a whole number of units, '15.3' else."""
    return f"{mean:.0f}" if float(mean).is_integer() else f"{mean:.1f}"
