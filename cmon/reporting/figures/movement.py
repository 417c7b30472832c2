"""Movement and diversity over epochs: how far units move, how far they are apart, how often their labels change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cmon.reporting.figures import panels
from cmon.reporting.figures.report_figure import ReportFigure
from cmon.reporting.figures.style import LIGHT, Theme, headline, legend, shortened, using
from cmon.reporting.repeats import Recipe, repeated
from cmon.reporting.tables.seeds import last_shared
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
_MEANS = (
    " Of runs that repeat a recipe, thin lines are the runs and the thick one is their mean, where most of them have a "
    "value, with its {confidence:.0%} interval over the runs (Student's)."
)
FIGURE = ReportFigure(
    name="movement",
    title="Movement and diversity",
    caption=lambda inputs: (
        _CAPTION + (_MEANS.format(confidence=inputs.confidence) if repeated(inputs.stored.runs) else "")
    ),
    alt=lambda inputs: (
        "Line charts by epoch of how far units move and how their labels change, in the table below."
    ),
    shown=lambda inputs: {
        "table": with_overlap(inputs.tables["movement"], inputs.tables["diversity"]),
        "main": inputs.main,
        "seeds": panels.seed_rows(inputs.tables["seeds"], ROWS),
    },
    draw=lambda **shown: movement_curves(**shown),
)


def with_overlap(movement: pd.DataFrame, diversity: pd.DataFrame) -> pd.DataFrame:
    """The columns that the figure shows, of the two tables of these names."""
    table = movement[[*GROUP, *ROWS[:-1]]]
    return table.merge(diversity[[*GROUP, OVERLAP, CHANCE]], on=GROUP, how="left")


def movement_curves(
    table: pd.DataFrame, main: str, theme: Theme = LIGHT, seeds: pd.DataFrame | None = None
) -> Figure:
    """A row of panels for each of ROWS, a column for each layer, all runs in one panel.

    table: of `with_overlap`; empty cells give no point. seeds: what `seeds.seeds` gives; with it, repeated runs have
    one colour, and the mean over them its own line and band.
    """
    layers = list(table["layer"].unique())
    recipes = panels.shown_recipes(table["run"], seeds)
    shown = panels.shown_layers(layers)
    # Of scores that were made elsewhere, nobody may have measured the overlap.
    rows = ROWS if table[OVERLAP].notna().any() else ROWS[:-1]
    with using(theme):
        figure, axes = panels.grid(len(rows), len(shown), panel_height=1.2, extra=1.3)
        for row, name in enumerate(rows):
            for column, layer in enumerate(shown):
                ax = axes[row, column]
                here = table[table["layer"] == layer]
                for index, recipe in enumerate(recipes):
                    color, marker = panels.color_and_marker(index, theme)
                    if seeds is not None and recipe.is_repeated:
                        own_seeds = seeds[seeds["layer"] == layer]
                        panels.draw_recipe(ax, recipe, here, own_seeds, name, color, marker)
                        continue
                    own = here[here["run"] == recipe.name].dropna(subset=[name])
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
        legend(figure, panels.run_handles([one.title for one in recipes], theme))
        headline(figure, _headline(table, main, recipes, seeds) + panels.layers_note(layers))
    return figure


def _same_height(row: Sequence[Axes]) -> None:
    """One axis from 0 for all panels, with room for the uppermost marker."""
    top = 1.12 * panels.highest(row, default=1) or 1
    for ax in row:
        ax.set_ylim(0, top)


def _headline(table: pd.DataFrame, layer: str, recipes: Sequence[Recipe], seeds: pd.DataFrame | None) -> str:
    """What the main layer's units do at the last epoch of each run, or of most runs of a recipe, in numbers."""
    where = f"{shortened(layer, 24)} at the last epoch"
    last = _last_numbers(table, layer, recipes, seeds)
    labels = {name: f"{own['labels']:.1f}".removesuffix(".0") for name, own in last.items()}
    steps = {name: own["step"] for name, own in last.items() if np.isfinite(own["step"])}
    if len(labels) > 3:
        what = "recipes" if any(one.is_repeated for one in recipes) else "runs"
        moved = f"steps of {min(steps.values()):.2f} to {max(steps.values()):.2f}, " if steps else ""
        least, most = (by(labels.values(), key=float) for by in (min, max))
        return f"{where}: {moved}{least} to {most} distinct labels in {len(labels)} {what}"
    parts: list[str] = []
    for name, count in labels.items():
        step_of, distinct = ("a step of ", " distinct labels") if not parts else ("", "")
        moved = f"{step_of}{steps[name]:.2f} and " if name in steps else ""
        parts.append(f"{moved}{count}{distinct} in {shortened(name, 20)}")
    return f"{where}: {', '.join(parts)}"


def _last_numbers(
    table: pd.DataFrame, layer: str, recipes: Sequence[Recipe], seeds: pd.DataFrame | None
) -> dict[str, dict[str, float]]:
    """Title to `labels` and `step` of the recipes that have the layer, as means over their runs."""
    found = {}
    for recipe in recipes:
        if seeds is not None and recipe.is_repeated:
            own = last_shared(seeds[(seeds["recipe"] == recipe.name) & (seeds["layer"] == layer)])
            own = own.set_index("measure")[["mean"]].T
        else:
            own = table[(table["layer"] == layer) & (table["run"] == recipe.name)].tail(1)
        if len(own.columns) and len(own):
            found[recipe.title] = {name: float(own[name].iloc[0]) for name in ("labels", "step")}
    return found
