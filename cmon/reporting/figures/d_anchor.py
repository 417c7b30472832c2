"""d_anchor over epochs, below what the training logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cmon.reporting import findings, repeats
from cmon.reporting.figures import panels
from cmon.reporting.figures.report_figure import FigureInputs, ReportFigure
from cmon.reporting.figures.style import LIGHT, Theme, headline, legend, shortened, using
from cmon.reporting.recipe_findings import recipe_trend_text
from cmon.reporting.repeats import Recipe
from cmon.workspace.keys import GROUP

_LABELS = {"d_anchor": "d_anchor\nin the plane", "d_anchor_clip": "d_anchor_clip\nin CLIP space"}
_FIRST_METRICS = ("loss", "accuracy", "acc")
_DASHES: tuple[Any, ...] = ("-", (0, (3, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))
_CAPTION = (
    "d_anchor is the mean distance from a layer's live units to their nearest anchor: in the plane of the "
    "embedding, and as a check between unit vectors of CLIP's text space, where no embedding takes part "
    "(d_anchor_clip). Low: the units cover the concepts well. High and flat over the epochs: poor training. "
    "{bands}"
)
_BANDS = "Bands are {confidence:.0%} bootstrap intervals over units."
_SEED_BANDS = (
    "Of runs that repeat a recipe, thin lines are the runs and the thick one is their mean, where most of them have a "
    "value; its band is the {confidence:.0%} interval of that mean over the runs (Student's), cut off far above them."
)
_OTHER_BANDS = " Bands of single runs are {confidence:.0%} bootstrap intervals over units."
_MOST_ABOVE = 1.3
"""Up to where bands over seeds are drawn, over the highest line: that of two runs may be 13 standard errors wide."""
_SHOWN_COLUMNS = [f"{kind}{end}" for kind in (*_LABELS, "change") for end in ("", "_low", "_high")]
FIGURE = ReportFigure(
    name="d_anchor",
    title="d_anchor over training",
    caption=lambda inputs: _caption(inputs),
    alt=lambda inputs: (
        "Line charts by epoch. "
        + findings.as_text(inputs.tables["d_anchor"], inputs.main, inputs.tables["seeds"])
    ),
    shown=lambda inputs: {
        "table": inputs.tables["d_anchor"][[*GROUP, *_SHOWN_COLUMNS]],
        "main": inputs.main,
        "training": inputs.tables["training"],
        "seeds": panels.seed_rows(inputs.tables["seeds"], _LABELS),
    },
    draw=lambda **shown: d_anchor_curves(**shown),
)


def _caption(inputs: FigureInputs) -> str:
    shown = repeats.recipes(inputs.stored.runs)
    bands = _SEED_BANDS if any(one.is_repeated for one in shown) else _BANDS
    if bands is _SEED_BANDS and not all(one.is_repeated for one in shown):
        bands += _OTHER_BANDS
    return _CAPTION.format(bands=bands.format(confidence=inputs.confidence))


def d_anchor_curves(
    table: pd.DataFrame, main: str, training: pd.DataFrame | None = None,
    theme: Theme = LIGHT, seeds: pd.DataFrame | None = None,
) -> Figure:  # fmt: skip
    """d_anchor over epochs, all runs in one panel per layer, with confidence bands; d_anchor_clip below it.

    table: what `d_anchor.d_anchor` gives. training: training_log.TRAINING; its metrics are drawn above, on
    the same epoch axis, those that measure the same (train_loss, test_loss) in one panel. seeds: what `seeds.seeds`
    gives; with it, repeated runs have one colour, and the mean over them its own line and band.
    """
    runs, layers = list(table["run"].unique()), list(table["layer"].unique())
    recipes = panels.shown_recipes(runs, seeds)
    shown = panels.shown_layers(layers)
    metrics = metric_panels(training) if training is not None and len(training) else {}
    with using(theme):
        # With one layer the two distances are side by side, else one above the other.
        columns = max(2, len(shown))
        above = -(-len(metrics) // columns)
        below = 1 if len(shown) == 1 else 2
        figure, axes = panels.grid(above + below, columns, panel_height=1.85, extra=1.25)
        epochs = [*table["epoch"], *([] if training is None else training["epoch"])]
        parts = _draw_metrics(axes[:above], metrics, training, recipes, theme)
        for row, kind in enumerate(_LABELS):
            for column, layer in enumerate(shown):
                ax = axes[above, row] if len(shown) == 1 else axes[above + row, column]
                here = table[table["layer"] == layer]
                for index, recipe in enumerate(recipes):
                    look = panels.color_and_marker(index, theme)
                    if seeds is not None and recipe.is_repeated:
                        panels.draw_recipe(ax, recipe, here, seeds[seeds["layer"] == layer], kind, *look)
                    else:
                        own = here[here["run"] == recipe.name]
                        _band(ax, own, kind, *look)
                if here[kind].isna().all():
                    panels.write_note(ax, "no live unit", theme)
                if row == 0 or len(shown) == 1:
                    ax.set_title(shortened(layer, 60 // columns))
                outer = row == 1 or len(shown) == 1
                panels.outer_labels(ax, outer, column == 0, "epoch", _LABELS[kind])
        for ax in axes.flat:
            panels.epoch_axis(ax, epochs, columns)
            ax.grid(axis="y")
        for same in axes[above:] if len(shown) > 1 else axes[above:].T:
            top = max(ax.get_ylim()[1] for ax in same)
            if any(one.is_repeated for one in recipes):
                top = min(top, _MOST_ABOVE * panels.highest(same) or top)
            for ax in same:
                ax.set_ylim(0, top)
        legend(figure, [*panels.run_handles([one.title for one in recipes], theme), *parts])
        headline(figure, _headline(table, recipes, main, seeds) + panels.layers_note(layers))
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
    recipes: Sequence[Recipe],
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
            for index, run in ((index, run) for index, one in enumerate(recipes) for run in one.runs):
                own = rows[rows["run"] == run]
                ax.plot(
                    own["epoch"], own["value"], color=panels.color_and_marker(index, theme)[0],
                    linewidth=1.0 if recipes[index].is_repeated else 1.8,
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


def _band(ax: Axes, own: pd.DataFrame, kind: str, color: str, marker: str) -> None:
    ends = own[f"{kind}_low"], own[f"{kind}_high"]
    panels.draw_band(ax, own["epoch"], own[kind], *ends, color, marker, 1.8)


def _headline(table: pd.DataFrame, recipes: Sequence[Recipe], main: str, seeds: pd.DataFrame | None) -> str:
    trends = {
        one.title: recipe_trend_text(seeds, one.name, main, interval=False)
        if seeds is not None and one.is_repeated
        else findings.trend_text(table, one.name, main, interval=False)
        for one in recipes
    }
    if len(trends) > 3:  # by what they do, without the numbers
        what = "recipes" if any(one.is_repeated for one in recipes) else "runs"
        by_verb: dict[str, list[str]] = {}
        for run, trend in trends.items():
            by_verb.setdefault(trend.partition(" ")[0], []).append(run)
        parts = [f"{verb} in {panels.run_names(own, what)}" for verb, own in by_verb.items() if verb]
    else:
        parts = [f"{trend} in {shortened(run, 24)}" for run, trend in trends.items() if trend]
    if not parts:
        return "Distance from the units to their anchors"
    return f"{shortened(main, 24)}: d_anchor " + ", ".join(parts)
