"""Charts of layers over epochs, d_anchor and the share of interpretable units: DataFrames in, Figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from cmon.reporting import findings
from cmon.reporting.figures import panels
from cmon.reporting.figures.style import (
    LIGHT,
    SMALL,
    Theme,
    category_colors,
    headline,
    legend,
    shortened,
    style,
)
from cmon.reporting.tables.counts import category_shares
from cmon.workspace.keys import epoch_text

_KINDS = {"d_anchor": "d_anchor\nin the plane", "d_anchor_clip": "d_anchor_clip\nin CLIP space"}
_FIRST_METRICS = ("loss", "accuracy", "acc")
_DASHES: tuple[Any, ...] = ("-", (0, (3, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))


def interpretable_shares(categories: pd.DataFrame, statuses: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """Share of interpretable units by category, stacked, over epochs; one panel per run (row) and layer.

    categories, statuses: what `counts.category_counts` and `counts.status_counts` give.
    """
    shares = category_shares(categories, statuses)
    names = [str(name) for name in categories["category"].unique()]
    colors = category_colors(names)
    runs, layers = list(shares["run"].unique()), list(shares["layer"].unique())
    shown = panels.shown_layers(layers)
    epochs = sorted(shares["epoch"].unique())
    position = {epoch: at for at, epoch in enumerate(epochs)}
    with style(theme):
        figure, axes = panels.grid(len(runs), len(shown), panel_height=1.7, extra=1.5)
        for row, run in enumerate(runs):
            for column, layer in enumerate(shown):
                ax = axes[row, column]
                own = shares[(shares["run"] == run) & (shares["layer"] == layer)]
                _category_bars(ax, own, names, colors, [position[epoch] for epoch in own["epoch"]], theme)
                ax.set(ylim=(0, 1), xlim=(-0.6, len(epochs) - 0.4))
                ticks = panels.thinned(len(epochs), 20 // len(shown))
                ax.set_xticks(ticks, [epoch_text(epochs[at]) for at in ticks])
                ax.set_yticks([0, 0.5, 1])
                ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
                ax.grid(axis="y")
                if row == 0:
                    ax.set_title(shortened(layer, 60 // len(shown)))
                if own.empty:
                    panels.note(ax, "not extracted", theme)
                elif (own["dead"] == 1).all():
                    panels.note(ax, "all units dead", theme)
                panels.outer_labels(ax, row == len(runs) - 1, column == 0, "epoch", shortened(run, 16))
        figure.supylabel("share of the layer's units", fontsize=SMALL)
        handles = [Patch(color=colors[name], label=shortened(name, 24)) for name in names]
        if (shares["dead"] > 0).any():
            handles.append(Patch(color=theme.neurons[0], label="dead"))
        legend(figure, handles)
        headline(figure, _shares_headline(shares, names, runs) + panels.of_layers(layers))
    return figure


def d_anchor_curves(
    table: pd.DataFrame, training: pd.DataFrame | None = None, theme: Theme = LIGHT
) -> Figure:
    """d_anchor over epochs, all runs in one panel per layer, with confidence bands; d_anchor_clip below it.

    table: what `d_anchor.d_anchor` gives. training: training_log.TRAINING; its metrics stand above, on the
    same epoch axis, those that measure the same (train_loss, test_loss) in one panel.
    """
    runs, layers = list(table["run"].unique()), list(table["layer"].unique())
    shown = panels.shown_layers(layers)
    metrics = metric_panels(training) if training is not None and len(training) else {}
    with style(theme):
        # With one layer the two measures stand side by side, else one above the other.
        columns = max(2, len(shown))
        above = -(-len(metrics) // columns)
        below = 1 if len(shown) == 1 else 2
        figure, axes = panels.grid(above + below, columns, panel_height=1.85, extra=1.25)
        epochs = [*table["epoch"], *([] if training is None else training["epoch"])]
        parts = _draw_metrics(axes[:above], metrics, training, runs, theme)
        for row, kind in enumerate(_KINDS):
            for column, layer in enumerate(shown):
                ax = axes[above, row] if len(shown) == 1 else axes[above + row, column]
                for index, run in enumerate(runs):
                    own = table[(table["run"] == run) & (table["layer"] == layer)]
                    _band(ax, own, kind, *panels.look(index, theme))
                if table.loc[table["layer"] == layer, kind].isna().all():
                    panels.note(ax, "no live unit", theme)
                if row == 0 or len(shown) == 1:
                    ax.set_title(shortened(layer, 60 // columns))
                outer = row == 1 or len(shown) == 1
                panels.outer_labels(ax, outer, column == 0, "epoch", _KINDS[kind])
        for ax in axes.flat:
            panels.epoch_axis(ax, epochs, columns)
            ax.grid(axis="y")
        for same in axes[above:] if len(shown) > 1 else axes[above:].T:
            top = max(ax.get_ylim()[1] for ax in same)
            for ax in same:
                ax.set_ylim(0, top)
        legend(figure, [*panels.run_handles(runs, theme), *parts])
        headline(figure, _d_anchor_headline(table, runs, layers) + panels.of_layers(layers))
    return figure


def metric_panels(training: pd.DataFrame) -> dict[str, dict[str, str]]:
    """What each panel of metrics shows: its name to {metric: part}, such as {'loss': {'test_loss': 'test'}}.

    Metrics that end in loss, accuracy or acc share a panel, as parts; loss and accuracy come first.
    """
    found: dict[str, dict[str, str]] = {}
    for metric in dict.fromkeys(training["metric"]):
        quantity = next((name for name in _FIRST_METRICS if metric.casefold().endswith(name)), None)
        part = metric[: -len(quantity)].rstrip("_-/. ") if quantity else ""
        name = {"acc": "accuracy", None: metric}.get(quantity, quantity)
        found.setdefault(str(name), {})[metric] = part
    return {name: found[name] for name in sorted(found, key=lambda name: (*_FIRST_METRICS, name).index(name))}


def _draw_metrics(
    axes: np.ndarray,
    metrics: Mapping[str, Mapping[str, str]],
    training: pd.DataFrame | None,
    runs: Sequence[str],
    theme: Theme,
) -> list[Line2D]:
    """Fill (rows, columns) panels; returns the legend's entries for the parts, if there is more than one."""
    parts = list(dict.fromkeys(part for panel in metrics.values() for part in panel.values() if part))
    dashes = {part: _DASHES[at % len(_DASHES)] for at, part in enumerate(parts)}
    for ax in list(axes.flat)[len(metrics) :]:
        ax.set_visible(False)
    for ax, (name, panel) in zip(axes.flat, metrics.items(), strict=False):
        assert training is not None
        for metric, part in panel.items():
            rows = training[training["metric"] == metric]
            for index, run in enumerate(runs):
                own = rows[rows["run"] == run]
                ax.plot(
                    own["epoch"], own["value"], color=panels.look(index, theme)[0], linewidth=1.8,
                    linestyle=dashes.get(part, "-"), marker="o" if len(own) == 1 else "", markersize=4,
                )  # fmt: skip
        ax.set_title(shortened(name, 60 // axes.shape[1]))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if len(parts) < 2:
        return []
    return [
        Line2D([], [], color=theme.faint, linewidth=1.8, linestyle=dashes[part], label=shortened(part, 24))
        for part in parts
    ]


def _category_bars(
    ax: Axes, own: pd.DataFrame, names: Sequence[str], colors: Mapping[str, str], x: list[int], theme: Theme
) -> None:
    below = np.zeros(len(own))
    for name in names:
        ax.bar(x, own[name], bottom=below, width=0.86, color=colors[name], linewidth=0)
        below += own[name].to_numpy()
    # Dead units hang from the top, so that what is left between is the live units without a concept.
    ax.bar(x, own["dead"], bottom=1 - own["dead"], width=0.86, color=theme.neurons[0], linewidth=0)


def _band(ax: Axes, own: pd.DataFrame, kind: str, color: str, marker: str) -> None:
    epochs = own["epoch"].to_numpy()
    low, high = own[f"{kind}_low"].to_numpy(), own[f"{kind}_high"].to_numpy()
    if len(own) == 1:  # a band of no width cannot be seen
        ax.vlines(epochs, low, high, color=color, linewidth=1.8)
    ax.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
    every = -(-len(own) // 10)  # markers that touch hide the line
    ax.plot(epochs, own[kind], color=color, marker=marker, markersize=4.5, markevery=every, linewidth=1.8)


def _shares_headline(shares: pd.DataFrame, names: Sequence[str], runs: Sequence[str]) -> str:
    layer = shares["layer"].unique()[-1]
    title = f"Interpretable units of {shortened(layer, 24)}"
    totals = {}
    for run in runs:
        own = (shares["run"] == run) & (shares["layer"] == layer)
        totals[run] = shares.loc[own, list(names)].sum(axis=1).to_list()
    if len(runs) > 3:
        last = [total[-1] for total in totals.values() if total]
        return f"{title}: {min(last):.0%} to {max(last):.0%} at the last epoch"
    parts = []
    for run, total in totals.items():
        to_last = f" to {total[-1]:.0%}" if len(total) > 1 else ""
        parts += [f"{shortened(run, 24)} {total[0]:.0%}{to_last}"] if total else []
    return f"{title}: {', '.join(parts)}"


def _d_anchor_headline(table: pd.DataFrame, runs: Sequence[str], layers: Sequence[str]) -> str:
    trends = {run: findings.trend_text(table, run, layers[-1]) for run in runs}
    if len(runs) > 3:  # by what they do, without the numbers
        by_verb: dict[str, list[str]] = {}
        for run, trend in trends.items():
            by_verb.setdefault(trend.partition(" ")[0], []).append(run)
        said = [f"{verb} in {panels.in_runs(own)}" for verb, own in by_verb.items() if verb]
    else:
        said = [f"{trend} in {shortened(run, 24)}" for run, trend in trends.items() if trend]
    if not said:
        return "Distance from the units to their anchors"
    return f"{shortened(layers[-1], 24)}: d_anchor " + ", ".join(said)
