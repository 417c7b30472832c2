"""Movement and diversity over epochs: how far units move, how far they are apart, how often their labels change."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmon.reporting.figures import panels
from cmon.reporting.figures.report_figure import ReportFigure
from cmon.reporting.figures.style import LIGHT, Theme, headline, legend, shortened, using
from cmon.workspace.keys import GROUP

COUNTS = ("labels", "born", "lost", "relabelled")
OVERLAP, CHANCE = "overlap", "overlap_chance"
ROWS = ("step", "spread", *COUNTS, OVERLAP)
"""Columns of the tables `movement` and `diversity`, each with a row of panels."""
_CAPTION = (
    "step: how far a unit moves in the plane from one epoch to the next, on average, where 1 is the anchors' RMS "
    "distance from their centroid; spread: the mean distance between two units; labels: how many different labels "
    "the interpretable units carry; born, lost, relabelled: units that became interpretable, ceased to be, or "
    "changed their label since the epoch before; overlap: the share of a unit's most activating images that another "
    "unit of the layer has among its own (dotted: by chance). Units that share their images answer to one thing."
)
FIGURE = ReportFigure(
    name="movement",
    title="Movement and diversity",
    caption=lambda inputs: _CAPTION,
    alt=lambda inputs: (
        "Line charts by epoch of how far units move and how their labels change, in the table below."
    ),
    shown=lambda inputs: {
        "table": with_overlap(inputs.tables["movement"], inputs.tables["diversity"]),
        "main": inputs.main,
    },
    draw=lambda **shown: movement_curves(**shown),
)


def with_overlap(movement: pd.DataFrame, diversity: pd.DataFrame) -> pd.DataFrame:
    """The columns that the figure shows, of the two tables of these names."""
    table = movement[[*GROUP, *ROWS[:-1]]]
    return table.merge(diversity[[*GROUP, OVERLAP, CHANCE]], on=GROUP, how="left")


def movement_curves(table: pd.DataFrame, main: str, theme: Theme = LIGHT) -> Figure:
    """A row of panels for each of ROWS, a column for each layer, all runs in one panel.

    table: of `with_overlap`; empty cells give no point.
    """
    runs, layers = list(table["run"].unique()), list(table["layer"].unique())
    shown = panels.shown_layers(layers)
    # Of scores that were made elsewhere, nobody may have measured the overlap.
    rows = ROWS if table[OVERLAP].notna().any() else ROWS[:-1]
    with using(theme):
        figure, axes = panels.grid(len(rows), len(shown), panel_height=1.2, extra=1.3)
        for row, name in enumerate(rows):
            for column, layer in enumerate(shown):
                ax = axes[row, column]
                for index, run in enumerate(runs):
                    own = table[(table["run"] == run) & (table["layer"] == layer)].dropna(subset=[name])
                    color, marker = panels.color_and_marker(index, theme)
                    every = max(1, -(-len(own) // 10))
                    ax.plot(
                        own["epoch"], own[name], color=color, marker=marker, markersize=4, linewidth=1.6,
                        markevery=every,
                    )  # fmt: skip
                if name == OVERLAP:
                    chance = table.loc[table["layer"] == layer, CHANCE].dropna().mean()
                    if np.isfinite(chance):
                        ax.axhline(chance, color=theme.faint, linewidth=1, linestyle=(0, (1, 1.5)), zorder=1)
                if table.loc[table["layer"] == layer, name].isna().all():
                    panels.write_note(
                        ax, "needs two epochs" if table["epoch"].nunique() == 1 else "no data", theme
                    )
                if row == 0:
                    ax.set_title(shortened(layer, 60 // len(shown)))
                panels.epoch_axis(ax, table["epoch"], len(shown))
                ax.grid(axis="y")
                ax.yaxis.set_major_locator(MaxNLocator(3, integer=name in COUNTS))
                panels.outer_labels(ax, row == len(rows) - 1, column == 0, "epoch", name)
                if row < len(rows) - 1:
                    ax.tick_params(labelbottom=False)
            _same_height(axes[row])
        figure.align_ylabels(axes[:, 0])
        legend(figure, panels.run_handles(runs, theme))
        headline(figure, _headline(table, main) + panels.layers_note(layers))
    return figure


def _same_height(row: Iterable[Axes]) -> None:
    """One axis from 0 for all panels, with room for the uppermost marker."""
    drawn = [np.max(line.get_ydata()) for ax in row for line in ax.lines if np.size(line.get_ydata())]
    for ax in row:
        ax.set_ylim(0, 1.12 * max(drawn, default=1) or 1)


def _headline(table: pd.DataFrame, layer: str) -> str:
    """What the main layer's units do at each run's last epoch, in numbers."""
    last = table[table["layer"] == layer].groupby("run", sort=False).tail(1)
    where = f"{shortened(layer, 24)} at the last epoch"
    labels = {str(row["run"]): int(row["labels"]) for row in last.to_dict("records")}
    steps = {str(row["run"]): float(row["step"]) for row in last.dropna(subset=["step"]).to_dict("records")}
    if len(labels) > 3:
        moved = f"steps of {min(steps.values()):.2f} to {max(steps.values()):.2f}, " if steps else ""
        counts = f"{min(labels.values())} to {max(labels.values())} distinct labels"
        return f"{where}: {moved}{counts} in {len(labels)} runs"
    parts: list[str] = []
    for run, count in labels.items():
        step_of, distinct = ("a step of ", " distinct labels") if not parts else ("", "")
        moved = f"{step_of}{steps[run]:.2f} and " if run in steps else ""
        parts.append(f"{moved}{count}{distinct} in {shortened(run, 20)}")
    return f"{where}: {', '.join(parts)}"
