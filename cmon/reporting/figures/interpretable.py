"""The share of interpretable units by category, over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cmon.reporting import findings, repeats
from cmon.reporting.figures import panels
from cmon.reporting.figures.report_figure import ReportFigure
from cmon.reporting.figures.style import (
    LIGHT,
    SMALL,
    Theme,
    category_colors,
    headline,
    legend,
    shortened,
    using,
)
from cmon.reporting.repeats import Recipe
from cmon.reporting.tables.counts import category_shares
from cmon.workspace.keys import GROUP, sort_rows

_CAPTION = (
    "Share of each layer's units whose label is significant, by the label's category, out of all units of the "
    "layer. Dead units, which give every image the same activation, hang from the top; what is left between is "
    "live units whose label is not beyond chance."
)
_MEANS = (
    " Where runs repeat a recipe, a row is the mean over those of its runs that have the epoch: table `seeds`, with "
    "intervals over runs."
)
FIGURE = ReportFigure(
    name="interpretable",
    title="Interpretable units by category",
    caption=lambda inputs: _CAPTION + (_MEANS if repeats.repeated(inputs.stored.runs) else ""),
    alt=lambda inputs: (
        "Stacked bars by epoch. "
        + findings.as_text(inputs.tables["d_anchor"], inputs.main, inputs.tables["seeds"])
    ),
    shown=lambda inputs: {
        "categories": inputs.tables["interpretable"],
        "statuses": inputs.tables["status"],
        "main": inputs.main,
    },
    draw=lambda **shown: interpretable_shares(**shown),
)


def interpretable_shares(
    categories: pd.DataFrame, statuses: pd.DataFrame, main: str, theme: Theme = LIGHT
) -> Figure:
    """Share of interpretable units by category, stacked, over epochs; one panel per run (row) and layer.

    categories, statuses: what `counts.category_counts` and `counts.status_counts` give. Runs that repeat a recipe share
    a row, with the means over them.
    """
    shares = category_shares(categories, statuses)
    recipes = repeats.recipes(shares["run"])
    shares = _over_runs(shares, recipes)
    names = [str(name) for name in categories["category"].unique()]
    colors = category_colors(names)
    layers = list(shares["layer"].unique())
    shown = panels.shown_layers(layers)
    epochs = sorted(shares["epoch"].unique())
    widths = dict(zip(epochs, panels.bar_widths(epochs), strict=True))
    room = 0.6 * max(widths[epochs[0]], widths[epochs[-1]])
    with using(theme):
        figure, axes = panels.grid(len(recipes), len(shown), panel_height=1.7, extra=1.5)
        for row, recipe in enumerate(recipes):
            for column, layer in enumerate(shown):
                ax = axes[row, column]
                own = shares[(shares["run"] == recipe.title) & (shares["layer"] == layer)]
                _category_bars(ax, own, names, colors, [widths[epoch] for epoch in own["epoch"]], theme)
                ax.set_ylim(0, 1)
                panels.epoch_axis(ax, epochs, len(shown), room)
                ax.set_yticks([0, 0.5, 1])
                ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
                ax.grid(axis="y")
                if row == 0:
                    ax.set_title(shortened(layer, 60 // len(shown)))
                if own.empty:
                    panels.write_note(ax, "not extracted", theme)
                elif (own["dead"] == 1).all():
                    panels.write_note(ax, "all units dead", theme)
                panels.outer_labels(ax, row == len(recipes) - 1, column == 0, "epoch", _row_label(recipe))
        figure.supylabel("share of the layer's units", fontsize=SMALL)
        handles = [Patch(color=colors[name], label=shortened(name, 24)) for name in names]
        if (shares["dead"] > 0).any():
            handles.append(Patch(color=theme.neurons[0], label="dead"))
        legend(figure, handles)
        titles = [recipe.title for recipe in recipes]
        headline(figure, _headline(shares, names, titles, main) + panels.layers_note(layers))
    return figure


def _over_runs(shares: pd.DataFrame, recipes: Sequence[Recipe]) -> pd.DataFrame:
    """The shares as means over each recipe's runs; `run` is the recipe's title."""
    titles = {run: recipe.title for recipe in recipes for run in recipe.runs}
    named = shares.assign(run=shares["run"].map(titles))
    return sort_rows(named.groupby(GROUP, sort=False).mean().reset_index())


def _row_label(recipe: Recipe) -> str:
    name = shortened(recipe.name, 16)
    return f"{name}\n{len(recipe.runs)} runs" if recipe.is_repeated else name


def _category_bars(
    ax: Axes,
    own: pd.DataFrame,
    names: Sequence[str],
    colors: Mapping[str, str],
    widths: Sequence[float],
    theme: Theme,
) -> None:
    """A bar at each epoch of the rows `own`, as wide as `widths` says."""
    below = np.zeros(len(own))
    for name in names:
        ax.bar(own["epoch"], own[name], bottom=below, width=widths, color=colors[name], linewidth=0)
        below += own[name].to_numpy()
    # Dead units hang from the top, so that what is left between is the live units without a concept.
    ax.bar(
        own["epoch"],
        own["dead"],
        bottom=1 - own["dead"],
        width=widths,
        color=theme.neurons[0],
        linewidth=0,
    )


def _headline(shares: pd.DataFrame, names: Sequence[str], runs: Sequence[str], main: str) -> str:
    title = f"Interpretable units of {shortened(main, 24)}"
    totals = {}
    for run in runs:
        own = (shares["run"] == run) & (shares["layer"] == main)
        totals[run] = shares.loc[own, list(names)].sum(axis=1).to_list()
    if len(runs) > 3:
        last = [total[-1] for total in totals.values() if total]
        return f"{title}: {min(last):.0%} to {max(last):.0%} at the last epoch"
    parts = []
    for run, total in totals.items():
        to_last = f" to {total[-1]:.0%}" if len(total) > 1 else ""
        parts += [f"{shortened(run, 24)} {total[0]:.0%}{to_last}"] if total else []
    return f"{title}: {', '.join(parts)}"
