"""Charts of layers over epochs, and tracked units' images: DataFrames in, matplotlib Figures out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from cmon import measures
from cmon.schemas import epoch_text
from cmon.style import LIGHT, WIDTH, Theme, category_colors, headline, style

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def interpretable_shares(units: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """Share of interpretable units by category, stacked, over epochs; one panel per run (row) and layer.

    units: the table `units` in the order of `measures.in_order`.
    """
    shares, names = measures.shares(units), measures.categories(units)
    colors = category_colors(names)
    runs, layers = list(units["run"].unique()), list(units["layer"].unique())
    epochs = sorted(units["epoch"].unique())
    position = {epoch: at for at, epoch in enumerate(epochs)}
    with style(theme):
        figure, axes = _grid(len(runs), len(layers), panel_height=1.55, extra=0.95)
        for (row, run), (column, layer) in _cells(runs, layers):
            ax = axes[row, column]
            own = shares[(shares["run"] == run) & (shares["layer"] == layer)]
            _category_bars(ax, own, names, colors, [position[epoch] for epoch in own["epoch"]], theme)
            ax.set(ylim=(0, 1), xlim=(-0.6, len(epochs) - 0.4))
            shown = _thinned(len(epochs), 10)
            ax.set_xticks(shown, [epoch_text(epochs[at]) for at in shown])
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            ax.grid(axis="y")
            ax.set_title(f"{run} · {layer}")
            if own.empty:
                _note(ax, "not extracted", theme)
            elif (own["dead"] == 1).all():
                _note(ax, "all units dead", theme)
            _outer_labels(ax, row == len(runs) - 1, column == 0, "epoch", "share of units")
        handles = [Patch(color=colors[name], label=name) for name in names]
        if (shares["dead"] > 0).any():
            handles.append(Patch(color=theme.neurons[0], label="dead"))
        if handles:
            figure.legend(
                handles=handles, loc="outside lower center", ncols=min(8, len(handles)), handlelength=1
            )
        headline(figure, _shares_headline(shares, names, runs))
    return figure


def d_anchor_curves(table: pd.DataFrame, theme: Theme = LIGHT) -> Figure:
    """d_anchor over epochs, all runs in one panel per layer, with confidence bands; d_anchor_clip beside it.

    table: what `distances.d_anchor` gives.
    """
    runs, layers = list(table["run"].unique()), list(table["layer"].unique())
    kinds = {"d_anchor": "d_anchor in the plane", "d_anchor_clip": "d_anchor_clip in CLIP text space"}
    with style(theme):
        # With one layer the two measures stand side by side, else one above the other.
        figure, axes = _grid(
            *((1, 2) if len(layers) == 1 else (2, len(layers))), panel_height=1.9, extra=0.95
        )
        for (row, kind), (column, layer) in _cells(list(kinds), layers):
            ax = axes[0, row] if len(layers) == 1 else axes[row, column]
            for index, run in enumerate(runs):
                own = table[(table["run"] == run) & (table["layer"] == layer)]
                _band(ax, own, kind, *_look(index, theme))
            if table.loc[table["layer"] == layer, kind].isna().all():
                _note(ax, "no live unit", theme)
            ax.set_title(layer)
            ax.grid(axis="y")
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=(table["epoch"] % 1 == 0).all()))
            ax.margins(x=0.04)
            first_column = column == 0 or len(layers) == 1
            _outer_labels(ax, row == 1 or len(layers) == 1, first_column, "epoch", kinds[kind])
        for panels in axes if len(layers) > 1 else axes.T:
            top = max(ax.get_ylim()[1] for ax in panels)
            for ax in panels:
                ax.set_ylim(0, top)
        handles = [
            Line2D([], [], color=color, marker=marker, markersize=3.5, linewidth=1.5, label=run)
            for run, (color, marker) in ((run, _look(index, theme)) for index, run in enumerate(runs))
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(runs)))
        headline(figure, _d_anchor_headline(table, runs, layers))
    return figure


def tracked_images(
    cells: Sequence[Sequence[Mapping[str, object]]],
    pictures: Mapping[int, np.ndarray],
    title: str,
    theme: Theme = LIGHT,
) -> Figure:
    """Top images of tracked units; rows are units, columns epochs.

    Each cell holds `heading` (str), `note` (str), `images` (image ids, at most 8 are shown) and `significant`
    (bool). pictures: image_id to (S,S,3) uint8; ids without a picture are grey.
    """
    rows, columns = max(1, len(cells)), max([1, *map(len, cells)])
    across, down = 4, 2
    side = min(0.56, WIDTH / (columns * (across + 0.5)))
    with style(theme):
        block_width, block_height = side * (across + 0.45), side * down + 0.46
        figure = Figure(figsize=(block_width * columns + 0.1, block_height * rows + 0.42))
        width, height = figure.get_size_inches()
        for row, line in enumerate(cells):
            for column, cell in enumerate(line):
                left, top = column * block_width + 0.06, height - 0.4 - row * block_height
                color = theme.tracked[row % len(theme.tracked)]
                figure.text(
                    left / width, top / height, str(cell["heading"]), color=color, fontsize=6.5, va="top"
                )
                figure.text(
                    left / width, (top - 0.13) / height, str(cell["note"]), fontsize=7.5, va="top",
                    fontweight="bold" if cell["significant"] else "normal",
                    color=theme.ink if cell["significant"] else theme.faint,
                )  # fmt: skip
                mosaic = _mosaic(cell["images"], pictures, across, down, theme)  # type: ignore[arg-type]
                bottom = top - 0.30 - down * side
                ax = figure.add_axes(
                    (left / width, bottom / height, across * side / width, down * side / height)
                )
                ax.imshow(mosaic, interpolation="lanczos")
                ax.set_axis_off()
        if not any(cells):
            figure.text(0.06 / width, 0.5, "no live unit to follow", color=theme.faint)
        figure.text(0.06 / width, 1 - 0.08 / height, title, fontsize=9, fontweight="bold", va="top")
    return figure


def _grid(rows: int, columns: int, panel_height: float, extra: float) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(WIDTH, rows * panel_height + extra), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _cells(rows: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[tuple[int, str], tuple[int, str]]]:
    return ((row, column) for row in enumerate(rows) for column in enumerate(columns))


def _look(index: int, theme: Theme) -> tuple[str, str]:
    """A run's colour and marker."""
    return theme.series[index % len(theme.series)], _MARKERS[index % len(_MARKERS)]


def _thinned(count: int, most: int) -> list[int]:
    """At most about `most` of 0..count-1, evenly, the first among them."""
    return list(range(0, count, -(-count // most)))


def _mosaic(
    ids: Sequence[int], pictures: Mapping[int, np.ndarray], across: int, down: int, theme: Theme
) -> np.ndarray:
    """The pictures side by side on the figure's ground; an id without a picture is a grey square."""
    size = next((len(picture) for picture in pictures.values()), 1)
    gap = -(-size // 20)
    pitch = size + gap
    mosaic = np.empty((down * pitch, across * pitch, 3), dtype=np.uint8)
    mosaic[:] = np.round(np.multiply(to_rgb(theme.paper), 255))
    missing = np.round(np.multiply(to_rgb(theme.neurons[0]), 255))
    for place, image_id in enumerate(ids[: across * down]):
        top, left = place // across * pitch, place % across * pitch
        mosaic[top : top + size, left : left + size] = pictures.get(image_id, missing)
    return mosaic


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
        ax.vlines(epochs, low, high, color=color, linewidth=1.5)
    ax.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
    ax.plot(epochs, own[kind], color=color, marker=marker, markersize=3, linewidth=1.5)


def _note(ax: Axes, text: str, theme: Theme) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=theme.faint)


def _outer_labels(ax: Axes, last_row: bool, first_column: bool, x: str, y: str) -> None:
    if last_row:
        ax.set_xlabel(x)
    if first_column:
        ax.set_ylabel(y)
    else:
        ax.tick_params(labelleft=False)


def _shares_headline(shares: pd.DataFrame, names: Sequence[str], runs: Sequence[str]) -> str:
    layer = shares["layer"].unique()[-1]
    parts = []
    for run in runs:
        total = (
            shares.loc[(shares["run"] == run) & (shares["layer"] == layer), list(names)]
            .sum(axis=1)
            .to_numpy()
        )
        if len(total) > 1:
            parts.append(f"{run} {total[0]:.0%} to {total[-1]:.0%}")
        elif len(total):
            parts.append(f"{run} {total[0]:.0%}")
    return f"Interpretable units of {layer}: " + ", ".join(parts)


def _d_anchor_headline(table: pd.DataFrame, runs: Sequence[str], layers: Sequence[str]) -> str:
    trends = {run: measures.trend(table, run, layers[-1]) for run in runs}
    said = [f"{trend} in {run}" for run, trend in trends.items() if trend]
    return (
        f"{layers[-1]}: d_anchor " + ", ".join(said) if said else "Distance from the units to their anchors"
    )
