"""Runs side by side: the most frequent concepts, the shares of the categories, and what differs beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cmon.reporting import repeats
from cmon.reporting.categories import NO_CATEGORY, in_order
from cmon.reporting.figures.report_figure import ReportFigure
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
from cmon.reporting.repeats import Recipe
from cmon.reporting.tables.counts import over_recipes
from cmon.reporting.tables.differences import Side, sides
from cmon.reporting.tables.seed_comparison import compared_categories
from cmon.workspace.keys import epoch_text

_LONGEST_TITLE = 20
"""Characters of a title above a panel of concepts."""
MOST_CONCEPTS = 8
_ACROSS = 3
"""Panels of concepts in a row."""
_MARK = "*"
_CAPTION = (
    "The labels that most interpretable units of {layer} carry, with how many do, and the categories of all "
    "of them as shares of the layer's units; all runs at the last epoch that they have in common, or a single run "
    "at its first and last. Bold with an asterisk: the shares differ beyond chance (Fisher's exact test; false "
    "discovery rate 5 % over all concepts, categories and layers). That says that these two networks differ, not "
    "that two other trainings would."
)
_MEANS_CAPTION = (
    "The labels that most interpretable units of {layer} carry, with how many do, and the categories of all of them as "
    "shares of the layer's units; all at the last epoch that they have in common, or a single recipe at its first and "
    "last. Of runs that repeat a recipe, counts and shares are means over the runs. Bold with an asterisk: the mean "
    "shares of two recipes differ beyond chance (Welch's test over runs; false discovery rate 5 % over recipes, "
    "categories and layers). Concepts are not tested over runs, nor are single runs."
)
_FISHER, _WELCH = "Fisher's exact test", "Welch's test over runs"
FIGURE = ReportFigure(
    name="side-by-side",
    title="Side by side",
    caption=lambda inputs: (_MEANS_CAPTION if repeats.repeated(inputs.stored.runs) else _CAPTION).format(
        layer=inputs.main
    ),
    alt=lambda inputs: "Bars of the most frequent concepts and of the categories' shares, run beside run.",
    shown=lambda inputs: shown_rows(
        inputs.stored.units,
        inputs.tables["concept_counts"],
        inputs.tables["interpretable"],
        inputs.tables["concept_differences"],
        inputs.main,
        inputs.tables["seed_comparison"],
    ),
    draw=lambda **shown: side_by_side(**shown),
)


def shown_rows(
    units: pd.DataFrame,
    concepts: pd.DataFrame,
    categories: pd.DataFrame,
    differences: pd.DataFrame,
    main: str,
    comparison: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """What `side_by_side` draws: of the main layer, or else the last that all sides have, the rows of these sides.

    units: the table `units` in the order of `keys.sort_rows`. concepts, categories, differences, comparison: what
    `counts.concept_counts`, `counts.category_counts`, `differences.concept_differences` and
    `seed_comparison.seed_comparison` give. Runs that repeat a recipe are one side, with the means over them; without
    `comparison`, each run is one.
    """
    runs = [str(run) for run in units["run"].unique()]
    what, test = "runs", _FISHER
    epochs, layers = units[["run", "epoch"]], units[["run", "layer"]].drop_duplicates()
    if comparison is not None and repeats.repeated(runs):
        epochs = repeats.shared_epochs(units)
        layers = layers.assign(run=layers["run"].map(repeats.titles(runs)))
        concepts, categories = (over_recipes(counts, units) for counts in (concepts, categories))
        differences = _recipe_differences(comparison, repeats.recipes(runs), sides(epochs))
        what, test = "recipes", _WELCH if len(differences) else ""
    shown = sides(epochs)
    layer = _layer(layers, shown, main)
    return {
        "layer": layer,
        "shown": shown,
        "names": in_order(categories["category"]),
        "tops": [_rows_of(concepts, layer, side).head(MOST_CONCEPTS) for side in shown],
        "shares": [_rows_of(categories, layer, side) for side in shown],
        "differing": differences[(differences["layer"] == layer) & differences["differs"]],
        "what": what,
        "test": test,
    }


def _recipe_differences(
    comparison: pd.DataFrame, recipes: Sequence[Recipe], shown: Sequence[Side]
) -> pd.DataFrame:
    """As `concept_differences`, of the categories of repeated recipes; no rows where the first side is none, the sides
    are of several epochs, or there is one recipe."""
    first = next(one for one in recipes if one.title == shown[0].run)
    titles = {one.name: one.title for one in recipes if one.is_repeated}
    epochs = {side.epoch for side in shown}
    kept = first.name if first.is_repeated and len(epochs) == 1 else ""
    tested = compared_categories(comparison, kept, shown[0].epoch)
    return tested.assign(kind="category", run=tested["recipe"].map(titles))


def side_by_side(
    layer: str, shown: Sequence[Side], names: Sequence[str], tops: Sequence[pd.DataFrame],
    shares: Sequence[pd.DataFrame], differing: pd.DataFrame, theme: Theme = LIGHT, what: str = "runs",
    test: str = _FISHER,
) -> Figure:  # fmt: skip
    """A layer: above each side's MOST_CONCEPTS concepts, below the categories' shares; see `shown_rows`.

    What differs beyond chance from the first side, or in the first side from any other, is marked and bold. what: the
    sides are. test: by which they differ; empty where there was none.
    """
    colors = category_colors(names)
    across = min(_ACROSS, len(shown))
    down = -(-len(shown) // across)
    bars = max(2, *map(len, tops))
    heights = [0.2 * bars + 0.35] * down + [0.34 * len(shown) + 0.35]
    with using(theme):
        figure = Figure(figsize=(WIDTH, sum(heights) + 1.75), layout="constrained")
        spec = figure.add_gridspec(down + 1, across, height_ratios=heights)
        scale = _inches_per_unit(tops, WIDTH / across - 0.5)
        for at, (side, top) in enumerate(zip(shown, tops, strict=True)):
            ax = figure.add_subplot(spec[at // across, at % across])
            ax.set_title(_side_title(side, shown), fontweight="bold")
            _bars(
                ax,
                top,
                colors,
                bars,
                scale,
                WIDTH / across - 0.5,
                _marked(differing, "concept", side, shown),
                theme,
            )
        ax = figure.add_subplot(spec[down, :])
        marks = [_marked(differing, "category", side, shown) for side in shown]
        _shares(ax, shares, names, colors, [_side_title(side, shown) for side in shown], marks, theme)
        legend(figure, [Patch(color=colors[name], label=shortened(name, 24)) for name in names])
        if len(shown) > 1 and test:
            ax.set_xlabel(_mark_meaning(shown, what, test), loc="left", fontsize=SMALL)
        headline(figure, _headline(layer, shown, shares, what))
    return figure


def _layer(units: pd.DataFrame, shown: Sequence[Side], main: str) -> str:
    """The main layer if every side has it, or else the last that every side has, or else the main one."""
    layers = [str(layer) for layer in units["layer"].unique()]
    own = [set(units.loc[units["run"] == side.run, "layer"]) for side in shown]
    common = [layer for layer in layers if all(layer in one for one in own)]
    return main if main in common or not common else common[-1]


def _rows_of(counts: pd.DataFrame, layer: str, side: Side) -> pd.DataFrame:
    here = (counts["layer"] == layer) & (counts["run"] == side.run) & (counts["epoch"] == side.epoch)
    return counts[here]


def _marked(differing: pd.DataFrame, kind: str, side: Side, shown: Sequence[Side]) -> set[str]:
    """What is marked in a side's panel."""
    own = differing[differing["kind"] == kind]
    if side != shown[0]:
        own = own[(own["run"] == side.run) & (own["epoch"] == side.epoch)]
    return set(own["name"])


def _side_title(side: Side, shown: Sequence[Side]) -> str:
    """The run, with its epoch where the sides have different ones, or the epoch alone where only it differs."""
    epoch = f"epoch {epoch_text(side.epoch)}"
    if len({one.run for one in shown}) < len(shown):
        return epoch
    name, counted, runs = side.run.rpartition(" (")
    long = len(side.run) > _LONGEST_TITLE
    run = (
        f"{shortened(name, _LONGEST_TITLE)}\n({runs}"
        if counted and long
        else shortened(side.run, _LONGEST_TITLE)
    )
    return run if len({one.epoch for one in shown}) == 1 else f"{shortened(side.run, 12)} · {epoch}"


def _mark_meaning(shown: Sequence[Side], what: str, test: str) -> str:
    if len(shown) == 2:
        meaning = "the two differ beyond chance"
    elif what == "runs":
        meaning = f"differs beyond chance from {shortened(shown[0].run, 16)} (there: from any run)"
    else:
        meaning = f"differs beyond chance from {shortened(shown[0].run, 20)}, there from any"
    return f"{_MARK} bold: {meaning};\n{test}, FDR 5 %"


def _inches_per_unit(tops: Sequence[pd.DataFrame], width: float) -> float:
    """How long a bar may be so that its label beside it still fits into a panel of `width` inches."""
    return (
        min((width - _label_inches(row)) / row["units"] for top in tops for row in top.to_dict("records"))
        if any(len(top) for top in tops)
        else 1.0
    )


def _label_inches(row: Mapping[Any, Any]) -> float:
    return 0.098 * len(_label(row)) + 0.2


def _label(row: Mapping[Any, Any]) -> str:
    """'dog 15', or 'dog 14.7' for a mean."""
    return f"{shortened(str(row['concept']), 13)} {row['units']:.1f}".removesuffix(".0")


def _bars(
    ax: Axes, top: pd.DataFrame, colors: dict[str, str], bars: int, scale: float, width: float,
    marked: set[str], theme: Theme,
) -> None:  # fmt: skip
    """Horizontal bars, the most frequent above, each with 'dog 15' beside it."""
    ax.set(xlim=(0, width), ylim=(bars - 0.4, -0.6), xticks=[], yticks=[])
    ax.spines[["left", "bottom"]].set_visible(False)
    for place, row in enumerate(top.to_dict("records")):
        category = NO_CATEGORY if pd.isna(row["category"]) else str(row["category"])
        ax.barh(place, row["units"] * scale, height=0.8, color=colors[category], linewidth=0)
        sign = _MARK if row["concept"] in marked else ""
        ax.text(
            row["units"] * scale + 0.06, place, _label(row) + sign, va="center", fontsize=SMALL,
            fontweight="bold" if sign else "normal",
        )  # fmt: skip
    if top.empty:
        ax.text(0, 0, "no interpretable unit", va="center", fontsize=SMALL, color=theme.faint)


def _shares(
    ax: Axes, shares: Sequence[pd.DataFrame], names: Sequence[str], colors: dict[str, str],
    titles: Sequence[str], marks: Sequence[set[str]], theme: Theme,
) -> None:  # fmt: skip
    """A bar of all units for each side, cut by category; what is left is not interpretable."""
    for place, (own, marked) in enumerate(zip(shares, marks, strict=True)):
        known = own.set_index("category")["share"]
        left = 0.0
        for name in names:
            share = float(known.get(name, 0.0))
            ax.barh(
                place, share, left=left, height=0.8, color=colors[name], edgecolor=theme.paper, linewidth=0.8
            )
            if share >= 0.06:
                sign = _MARK if name in marked else ""
                ax.text(
                    left + share / 2, place, f"{share:.0%}{sign}", ha="center", va="center", fontsize=SMALL,
                    color=_readable_on(colors[name]), fontweight="bold" if sign else "normal",
                )  # fmt: skip
            left += share
    ax.set(xlim=(0, 1), ylim=(len(shares) - 0.5, -0.5))
    ax.set_yticks(range(len(shares)), titles)
    ax.set_xticks([0, 0.5, 1], ["0%", "50%", "100%"])
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_title("share of the layer's units, by category")


def _readable_on(color: str) -> str:
    """Black or white, whichever stands out more (relative luminance of WCAG 2)."""
    channels = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"


def _headline(layer: str, shown: Sequence[Side], shares: Sequence[pd.DataFrame], what: str) -> str:
    """'layer4 at epoch 8: object leads in standard (54% of units), texture in poor (52%)'."""
    epochs, runs = {side.epoch for side in shown}, {side.run for side in shown}
    where = shortened(layer, 24) + (f" at epoch {epoch_text(shown[0].epoch)}" if len(epochs) == 1 else "")
    if what == "recipes" and len(runs) == 1:
        where += f" in {shortened(shown[0].run, 24)}"
    if len(shown) > 3:
        return f"{where}: what {len(shown)} {what} detect"
    parts: list[str] = []
    for side, own in zip(shown, shares, strict=True):
        name = (
            f"in {shortened(side.run, 20)}"
            if len(runs) == len(shown)
            else f"at epoch {epoch_text(side.epoch)}"
        )
        best = own.sort_values("share", kind="stable").tail(1).to_dict("records")
        share = best[0]["share"] if best else 0
        words = (" leads", " of units") if not parts else ("", "")
        parts.append(
            f"{best[0]['category']}{words[0]} {name} ({share:.0%}{words[1]})" if share else f"nothing {name}"
        )
    return f"{where}: {', '.join(parts)}"
