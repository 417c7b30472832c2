"""The embedding: neurons, anchors and the trajectories of tracked neurons, at a few epochs of each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmon.reporting import findings, repeats
from cmon.reporting.epochs import first_middle_last
from cmon.reporting.figures import panels, plane
from cmon.reporting.figures.anchor_labels import MOST_LABELS, label_anchors
from cmon.reporting.figures.report_figure import FigureInputs, ReportFigure
from cmon.reporting.figures.style import (
    LIGHT,
    SMALL,
    WIDTH,
    Theme,
    freeze_layout,
    headline,
    legend,
    shortened,
    using,
)
from cmon.reporting.layers import own_layer
from cmon.reporting.recipe_findings import recipe_trend, up_to_shared
from cmon.reporting.repeats import Recipe
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.keys import GROUP, UNIT_KEYS, epoch_text

_LONGEST_SIDE = 10 / 7
"""Of a panel over its other side, at most."""
_BAR = 0.5
"""Length of the scale bar, in the plane's unit."""
_BAR_CORNER = (0.04, 0.035)
"""Where it begins, as shares of the panel's width and height."""
_VECTOR_POINTS = 6000
"""Above this many neurons, they are drawn as pixels in the SVG, which would otherwise be megabytes."""
_CAPTION = (
    "Each dot is a neuron, each star an anchor: a concept of interest. A neuron lies near the concepts that "
    "it detects. All panels show the same plane: an anchor has one place, and a neuron's movement is learning. "
    "Neurons in one place are drawn side by side, each at an offset of at most 0.05 that is the same in all panels. "
    "Coloured neurons are tracked; a line shows their trajectory since the first epoch. "
    "d_anchor is the mean distance from a live neuron to its nearest anchor; the bar is a length of 0.5, "
    "where 1 is the anchors' RMS distance from their centroid. Dead neurons have no place."
)
_FIRST_RUNS = (
    " Of runs that repeat a recipe, the first is shown, and the title says what their units do over all of them; the "
    "page shows every run."
)
_LAYOUT_COLUMNS = ["kind", *UNIT_KEYS, "concept", "status", "x", "y", "nearest_anchor"]
_DISTANCE_COLUMNS = ["d_anchor", "change", "change_low", "change_high"]
FIGURE = ReportFigure(
    name="embedding",
    title="The embedding",
    caption=lambda inputs: _caption(inputs),
    alt=lambda inputs: _alt(inputs),
    shown=lambda inputs: _shown(inputs),
    draw=lambda **shown: embedding(**shown),
)


def _shown(inputs: FigureInputs) -> dict[str, Any]:
    recipes = repeats.recipes(inputs.stored.runs)
    runs = [recipe.runs[0] for recipe in recipes]
    layout, distances = inputs.stored.layout[_LAYOUT_COLUMNS], inputs.tables["d_anchor"]
    return {
        "layout": layout[layout["run"].isin(runs) | (layout["kind"] == "anchor")],
        "d_anchor": distances.loc[distances["run"].isin(runs), [*GROUP, *_DISTANCE_COLUMNS]],
        "tracked": inputs.tracked,
        "main": inputs.main,
        "recipes": recipes,
        "seeds": panels.seed_rows(inputs.tables["seeds"], ["d_anchor"]),
    }


def _caption(inputs: FigureInputs) -> str:
    anchors = int((inputs.stored.layout["kind"] == "anchor").sum())
    some = (
        f" Of {anchors} anchors, those nearest to most neurons are labelled." if anchors > MOST_LABELS else ""
    )
    return _CAPTION + some + (_FIRST_RUNS if repeats.repeated(inputs.stored.runs) else "")


def _alt(inputs: FigureInputs) -> str:
    runs = ", ".join(recipe.runs[0] for recipe in repeats.recipes(inputs.stored.runs))
    anchors = int((inputs.stored.layout["kind"] == "anchor").sum())
    return f"Scatter plots of neurons around {anchors} anchors; a row for each run ({runs}), a column for each epoch"


def embedding(
    layout: pd.DataFrame, d_anchor: pd.DataFrame, tracked: Sequence[TrackedUnit], main: str,
    theme: Theme = LIGHT, recipes: Sequence[Recipe] = (), seeds: pd.DataFrame | None = None,
) -> Figure:  # fmt: skip
    """All units of each run (row) at its first, middle and last epoch (columns), in one frame of axes.

    layout: the whole table, units in the order of `keys.sort_rows`; units without a place are not drawn.
    d_anchor: what `d_anchor.d_anchor` gives; each panel's title has the main layer's. Units in one place are
    drawn side by side, see `plane.offsets`. recipes: of the runs and of others that repeat them; with these and
    `seeds`, what `seeds.seeds` gives, the title is of the recipes.
    """
    anchors = layout[layout["kind"] == "anchor"]
    units = layout[(layout["kind"] == "unit") & (layout["status"] == "ok")]
    most = plane.most_offset(anchors[["x", "y"]].to_numpy())
    offsets = plane.offsets(units["layer"].to_numpy(dtype=str), units["unit"].to_numpy(dtype=np.int64), most)
    units = units.assign(x=units["x"] + offsets[:, 0], y=units["y"] + offsets[:, 1])
    rows = {str(run): first_middle_last(own["epoch"]) for run, own in d_anchor.groupby("run", sort=False)}
    columns = max(map(len, rows.values()))
    side = min((WIDTH - 0.1) / columns, 4.2)
    points = np.concatenate([anchors[["x", "y"]].to_numpy(), units[["x", "y"]].to_numpy()])
    centre, half = plane.frame(points, _LONGEST_SIDE)
    (left, right), (bottom, top) = np.stack([centre - half, centre + half], axis=1)
    aspect = float(half[1] / half[0])
    with using(theme):
        size = (max(side * columns + 0.1, 5.0), (side * aspect + 0.4) * len(rows) + 1.3)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
        shades = _layer_shades(list(d_anchor["layer"].unique()), theme)
        as_pixels = len(units) > _VECTOR_POINTS
        for row, (run, epochs) in zip(axes, rows.items(), strict=True):
            own = units[units["run"] == run]
            for ax in row[len(epochs) :]:
                ax.set_visible(False)
            for ax, epoch in zip(row, epochs, strict=False):
                ax.set_title(_panel_title(d_anchor, run, epoch, main), fontsize=SMALL)
                _draw_panel(ax, own, epoch, anchors, tracked, shades, as_pixels, theme)
        axes[0, 0].set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
        for ax in axes.flat:
            ax.set_box_aspect(aspect)
            ax.spines[:].set_visible(True)
        legend(figure, _legend(shades, tracked, theme))
        headline(figure, _headline(d_anchor, main, recipes, seeds))
        marked = _tracked_places(units, rows, tracked)
        freeze_layout(figure)  # places of labels are measured in the panels where they are
        shown = [ax for ax in axes.flat if ax.get_visible()]
        obstacles = [shown[0].transData.transform(marked[["x", "y"]].to_numpy()), _scale_bar_points(shown[0])]
        label_anchors(shown, plane.rank_anchors(anchors, units), np.concatenate(obstacles), theme)
        _scale_bar(axes[0, 0], theme)
    return figure


def _layer_shades(layers: Sequence[str], theme: Theme) -> dict[str, str]:
    ramp = LinearSegmentedColormap.from_list("neurons", theme.neurons)
    return {layer: to_hex(ramp((at + 1) / len(layers))) for at, layer in enumerate(layers)}


def _panel_title(d_anchor: pd.DataFrame, run: str, epoch: float, main: str) -> str:
    """With the main layer, since the paper tells the quality of training by the last one."""
    here = d_anchor[(d_anchor["run"] == run) & (d_anchor["epoch"] == epoch)]
    last = here[here["layer"] == own_layer(list(here["layer"]), main)].iloc[0]
    title = f"{shortened(run, 15)} · epoch {epoch_text(epoch)}\n"
    if np.isnan(last["d_anchor"]):
        return f"{title}{shortened(last['layer'], 10)}: no live unit"
    return f"{title}d_anchor {last['d_anchor']:.2f} ({shortened(last['layer'], 10)})"


_DOES = {
    "falls": ("move towards the anchors", "towards them"),
    "rises": ("move away from the anchors", "away from them"),
    "stays": ("keep their distance to the anchors", "keep their distance"),
    "ends": ("die out", "die out"),
}
"""What units do by `findings.trend`, in full and after it was said of what they do it to."""


def _headline(
    d_anchor: pd.DataFrame, main: str, recipes: Sequence[Recipe], seeds: pd.DataFrame | None
) -> str:
    """What the main layer does in each run or recipe, as far as the interval of the change tells: of the same units, or
    over the recipe's runs."""
    by_trend: dict[str, list[str]] = {}
    own_recipes = {recipe.runs[0]: recipe for recipe in recipes if recipe.is_repeated}
    for run, own in d_anchor.groupby("run", sort=False):
        recipe = own_recipes.get(str(run))
        if recipe is not None and seeds is not None:
            found = recipe_trend(up_to_shared(seeds, recipe.name, main, "d_anchor"))
        else:
            found = findings.trend(own[own["layer"] == main])
        if found:
            by_trend.setdefault(found, []).append(recipe.title if recipe else str(run))
    what = "recipes" if own_recipes else "runs"
    parts = [(_DOES[found], panels.run_names(by_trend[found], what)) for found in _DOES if found in by_trend]
    if not parts:
        return "Neurons among the anchors"
    (words, where), *others = parts
    title = f"Neurons of {shortened(main, 24)} {words[0]} in {where}"
    return title + "".join(f", {short} in {where}" for (_, short), where in others)


def _draw_panel(
    ax: Axes, own: pd.DataFrame, epoch: float, anchors: pd.DataFrame, tracked: Sequence[TrackedUnit],
    shades: dict[str, str], as_pixels: bool, theme: Theme,
) -> None:  # fmt: skip
    """A run's units, its rows `own`, at an epoch: neurons, anchors, trajectories."""
    _draw_neurons(ax, own[own["epoch"] == epoch], shades, as_pixels)
    size = 4 * plane.star_scale(len(anchors))
    ax.plot(
        anchors["x"], anchors["y"], "*", color=theme.anchor, markersize=size, markeredgewidth=0, zorder=0.9
    )
    for index, one in enumerate(tracked):
        _draw_trajectory(ax, own, one, epoch, theme.tracked[index % len(theme.tracked)], theme)


def _draw_neurons(ax: Axes, here: pd.DataFrame, shades: dict[str, str], as_pixels: bool) -> None:
    for layer, shade in shades.items():
        own = here[here["layer"] == layer]
        ax.plot(
            own["x"], own["y"], "o", color=shade, markersize=2.6, markeredgewidth=0, alpha=0.75,
            rasterized=as_pixels, zorder=1,
        )  # fmt: skip


def _draw_trajectory(
    ax: Axes, own: pd.DataFrame, one: TrackedUnit, epoch: float, color: str, theme: Theme
) -> None:
    """From the first epoch to this one; the place at this epoch is marked if the unit is live there."""
    trajectory = own[(own["layer"] == one.layer) & (own["unit"] == one.unit) & (own["epoch"] <= epoch)]
    if trajectory.empty:
        return
    ax.plot(trajectory["x"], trajectory["y"], "-", color=color, linewidth=1.3, alpha=0.85, zorder=4)
    ax.plot(trajectory["x"], trajectory["y"], ".", color=color, markersize=3, markeredgewidth=0, zorder=4)
    now = trajectory[trajectory["epoch"] == epoch]
    ax.plot(now["x"], now["y"], "o", color=color, markersize=7.5, markeredgecolor=theme.paper, zorder=5)


def _legend(shades: dict[str, str], tracked: Sequence[TrackedUnit], theme: Theme) -> list[Line2D]:
    def dot(color: str, label: str, marker: str = "o", size: float = 4) -> Line2D:
        return Line2D(
            [], [], color=color, marker=marker, markersize=size, markeredgewidth=0, ls="", label=label
        )

    neurons = [dot(shade, f"{shortened(layer, 16)} neurons") for layer, shade in shades.items()]
    if len(neurons) > 4:  # a ramp from grey to dark grey needs no more than its ends
        neurons = [neurons[0], neurons[-1]]
    colors = [theme.tracked[index % len(theme.tracked)] for index in range(len(tracked))]
    tracks = [
        Line2D([], [], color=color, marker="o", markersize=6, label=shortened(one.name, 24))
        for color, one in zip(colors, tracked, strict=True)
    ]
    return [dot(theme.anchor, "anchors", "*", 8), *neurons, *tracks]


def _tracked_places(
    units: pd.DataFrame, shown: dict[str, list[float]], tracked: Sequence[TrackedUnit]
) -> pd.DataFrame:
    """The rows of the tracked units at the epochs that are shown."""
    near = units[units["unit"].isin([one.unit for one in tracked])]
    names = {(one.layer, one.unit) for one in tracked}
    keys = zip(near["run"], near["layer"], near["epoch"], near["unit"], strict=True)
    kept = [(layer, unit) in names and epoch in shown[run] for run, layer, epoch, unit in keys]
    return near[np.array(kept, dtype=bool)]


def _scale_bar_points(ax: Axes) -> np.ndarray:
    """(5,2) in pixels: along the scale bar and its number, where no label may lie."""
    left, right = ax.get_xlim()
    x, y = _BAR_CORNER
    return ax.transAxes.transform(np.linspace((x, y), (x + _BAR / (right - left), y + 0.06), 5))


def _scale_bar(ax: Axes, theme: Theme) -> None:
    """A length at the lower left: the axes have no other numbers."""
    left, right = ax.get_xlim()
    x, y, width = *_BAR_CORNER, _BAR / (right - left)
    ax.plot([x, x + width], [y, y], color=theme.faint, lw=1.5, transform=ax.transAxes, zorder=6)
    ax.text(
        x + width / 2, y + 0.01, f"{_BAR}", transform=ax.transAxes, ha="center", fontsize=SMALL,
        color=theme.faint,
    )  # fmt: skip
