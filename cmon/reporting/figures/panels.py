"""What charts over epochs share: a grid of panels, a colour and marker for each run, recipes over their runs, ticks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmon.reporting.figures.style import SMALL, WIDTH, Theme, shortened
from cmon.reporting.repeats import Recipe, recipes
from cmon.workspace.keys import epoch_text

MOST_LAYERS = 4
"""Columns that leave room for text. Of more layers, some are shown; the tables have all."""
_DIGIT, _BETWEEN = 0.64 * SMALL / 72, 0.09
"""Inches: the width of a digit of SMALL text, and what lies between two names of epochs at least."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def grid(rows: int, columns: int, panel_height: float, extra: float) -> tuple[Figure, np.ndarray]:
    """A figure of WIDTH with (rows, columns) panels; `extra` inches are for the title and the legend."""
    figure = Figure(figsize=(WIDTH, rows * panel_height + extra), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def shown_layers(layers: Sequence[str]) -> list[str]:
    """At most MOST_LAYERS of the layers, evenly, the first and the last among them."""
    if len(layers) <= MOST_LAYERS:
        return list(layers)
    return [layers[at] for at in np.linspace(0, len(layers) - 1, MOST_LAYERS).round().astype(int)]


def layers_note(layers: Sequence[str]) -> str:
    """What a title says if not all layers are shown."""
    return f" ({MOST_LAYERS} of {len(layers)} layers shown)" if len(layers) > MOST_LAYERS else ""


def shown_recipes(runs: Iterable[str], seeds: pd.DataFrame | None) -> list[Recipe]:
    """What has a colour of its own: recipes over their runs, or each run where there is no table `seeds`."""
    return [Recipe(run, (run,)) for run in dict.fromkeys(runs)] if seeds is None else recipes(runs)


def color_and_marker(index: int, theme: Theme) -> tuple[str, str]:
    """A run's (or recipe's) colour and marker: no two of the first 56 have both in common."""
    return theme.series[index % len(theme.series)], _MARKERS[index % len(_MARKERS)]


def run_handles(runs: Sequence[str], theme: Theme) -> list[Line2D]:
    """A legend's entry for each run."""
    entries = [(run, *color_and_marker(index, theme)) for index, run in enumerate(runs)]
    return [
        Line2D([], [], color=color, marker=marker, markersize=5, linewidth=1.8, label=shortened(run, 30))
        for run, color, marker in entries
    ]


def seed_rows(seeds: pd.DataFrame, measures: Iterable[str]) -> pd.DataFrame:
    """What `draw_recipe` and headlines need of the table `seeds`."""
    changes = ["change", "change_low", "change_high"]
    kept = seeds["measure"].isin({*measures, "interpretable"})  # which tells how many runs have an epoch
    columns = ["recipe", "layer", "epoch", "measure", "n_runs", "mean", "mean_low", "mean_high", *changes]
    return seeds.loc[kept, columns]


def draw_recipe(
    ax: Axes, recipe: Recipe, table: pd.DataFrame, seeds: pd.DataFrame, measure: str, color: str, marker: str
) -> None:
    """A thin faint line for each run; their mean as a thick one, with its interval as a band.

    table: `run`, `epoch` and the measure, of one layer. seeds: the table of that name, of one layer. The mean is drawn
    at epochs at which as many runs have a value as at any: where other runs enter it, it would jump.
    """
    for run in recipe.runs:
        own = table[table["run"] == run].dropna(subset=[measure])
        dot = "." if len(own) == 1 else ""
        ax.plot(own["epoch"], own[measure], color=color, linewidth=0.8, alpha=0.5, marker=dot, markersize=4)
    rows = seeds[(seeds["recipe"] == recipe.name) & (seeds["measure"] == measure) & (seeds["n_runs"] > 0)]
    rows = rows[rows["n_runs"] == rows["n_runs"].max()]
    draw_band(ax, rows["epoch"], rows["mean"], rows["mean_low"], rows["mean_high"], color, marker, 2.2)


def draw_band(
    ax: Axes, epochs: pd.Series, values: pd.Series, low: pd.Series, high: pd.Series,
    color: str, marker: str, linewidth: float,
) -> None:  # fmt: skip
    """A line over epochs with a band from `low` to `high`."""
    if len(epochs) == 1:  # a band of no width cannot be seen
        ax.vlines(epochs, low, high, color=color, linewidth=1.8)
    ax.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
    every = -(-len(epochs) // 10) or 1  # markers that touch hide the line
    ax.plot(epochs, values, color=color, marker=marker, markersize=4.5, markevery=every, linewidth=linewidth)


def highest(row: Iterable[Axes], default: float = 0) -> float:
    """The highest point of any line in the panels, bands aside. default: where there is none."""
    drawn = [np.nanmax(own, initial=0) for ax in row for line in ax.lines if np.size(own := line.get_ydata())]
    return float(max(drawn, default=default))


def epoch_axis(ax: Axes, epochs: Iterable[float], columns: int, room: float = 0.0) -> None:
    """From the first epoch of all panels to the last, each at its place, with a tick; as many are named as fit.

    columns: how many panels stand side by side. room: epochs to be left free at both ends, at least.
    """
    known = sorted(set(epochs))
    span = known[-1] - known[0]
    room = max(room, 0.04 * span) or 0.5
    inches = ((WIDTH - 1) / columns - 0.2) / (span + 2 * room)
    named = _named(known, inches)
    ax.set_xticks(named, [epoch_text(epoch) for epoch in named])
    ax.set_xticks([epoch for epoch in known if epoch not in named], minor=True)
    ax.set_xlim(known[0] - room, known[-1] + room)


def bar_widths(epochs: Sequence[float]) -> list[float]:
    """How wide a bar at each of the rising epochs is: as the smallest gap, and where that cannot be seen, wider.

    No bar reaches half of the way to the next.
    """
    if len(epochs) == 1:
        return [0.86]
    gaps = np.diff(epochs)
    beside = np.minimum(np.append(np.inf, gaps), np.append(gaps, np.inf))
    least = (epochs[-1] - epochs[0]) / 25
    return list(0.86 * np.minimum(beside, max(gaps.min(), least)))


def _named(known: Sequence[float], inches: float) -> list[float]:
    """The epochs whose names have room beside each other, the first and the last among them. inches: of an epoch."""
    longest = max(len(epoch_text(epoch)) for epoch in known)
    apart = (longest * _DIGIT + _BETWEEN) / inches
    named = [known[0]]
    for epoch in known[1:]:
        if epoch - named[-1] >= apart:
            named.append(epoch)
    if named[-1] != known[-1]:
        named = [*(epoch for epoch in named if known[-1] - epoch >= apart), known[-1]]
    return named


def run_names(runs: Sequence[str], what: str = "runs") -> str:
    """'standard, poor' for a title, or how many if they are more than three. what: they are."""
    return ", ".join(shortened(run, 28) for run in runs) if len(runs) <= 3 else f"{len(runs)} {what}"


def write_note(ax: Axes, text: str, theme: Theme) -> None:
    """Text in the middle of a panel that has no data."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=theme.faint)


def outer_labels(ax: Axes, last_row: bool, first_column: bool, x: str, y: str) -> None:
    """Labels only at the grid's rim: all panels of a row share their axis."""
    if last_row:
        ax.set_xlabel(x)
    if first_column:
        ax.set_ylabel(y)
    else:
        ax.tick_params(labelleft=False)
