"""The embedding as a figure: neurons, anchors and the paths of tracked neurons at chosen epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmon.reporting import findings
from cmon.reporting.epochs import first_middle_last, last_epochs
from cmon.reporting.figures import fan, placement
from cmon.reporting.figures.panels import in_runs
from cmon.reporting.figures.style import LIGHT, SMALL, WIDTH, Theme, headline, legend, shortened, style
from cmon.reporting.tracked import Tracked
from cmon.workspace.keys import epoch_text

MOST_LABELS = 16
"""Anchors that get a label, so that it can be read in a paper's column; of more, those that are nearest to most
units at the last epochs and have room."""
_LABEL_SIZE = SMALL
_LONGEST_LABEL = 14
"""Characters."""
_BAR = 0.5
"""Length of the scale bar, in lengths of the plane."""
_BAR_CORNER = (0.04, 0.035)
"""Where it begins, in parts of the panel."""
_VECTOR_POINTS = 6000
"""Above this many neurons, they are drawn as pixels in the SVG, which would otherwise be megabytes."""


def embedding(
    layout: pd.DataFrame, d_anchor: pd.DataFrame, tracked: Sequence[Tracked], theme: Theme = LIGHT
) -> Figure:
    """All units of each run (row) at its first, middle and last epoch (columns), in one frame of axes.

    layout: the whole table, units in the order of `keys.sort_rows`; units without a place are not drawn.
    d_anchor: what `distances.d_anchor` gives; the last layer's stands over each panel. Units that lie in one place are
    drawn side by side, see `fan`.
    """
    anchors = layout[layout["kind"] == "anchor"]
    units = layout[(layout["kind"] == "unit") & (layout["status"] == "ok")]
    reach = fan.reach(anchors[["x", "y"]].to_numpy())
    beside = fan.offsets(units["layer"].to_numpy(dtype=str), units["unit"].to_numpy(dtype=np.int64), reach)
    units = units.assign(x=units["x"] + beside[:, 0], y=units["y"] + beside[:, 1])
    rows = {str(run): first_middle_last(own["epoch"]) for run, own in d_anchor.groupby("run", sort=False)}
    columns = max(map(len, rows.values()))
    side = min((WIDTH - 0.1) / columns, 4.2)
    low, high = _limits(anchors, units)
    aspect = float((high - low)[1] / (high - low)[0])
    with style(theme):
        size = (max(side * columns + 0.1, 5.0), (side * aspect + 0.4) * len(rows) + 1.3)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
        shades = _layer_shades(list(d_anchor["layer"].unique()), theme)
        for panels, (run, epochs) in zip(axes, rows.items(), strict=True):
            own = units[units["run"] == run]
            for ax in panels[len(epochs) :]:
                ax.set_visible(False)
            for ax, epoch in zip(panels, epochs, strict=False):
                ax.set_title(_panel_title(d_anchor, run, epoch), fontsize=SMALL)
                _draw_neurons(ax, own[own["epoch"] == epoch], shades, len(units) > _VECTOR_POINTS)
                ax.plot(anchors["x"], anchors["y"], "*", color=theme.anchor, markersize=4, markeredgewidth=0)
                for index, one in enumerate(tracked):
                    _draw_path(ax, own, one, epoch, theme.tracked[index % len(theme.tracked)], theme)
        axes[0, 0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
        for ax in axes.flat:
            ax.set_box_aspect(aspect)
            ax.spines[:].set_visible(True)
        legend(figure, _legend(shades, tracked, theme))
        headline(figure, _headline(d_anchor))
        marked = _marked(units, rows, tracked)
        _label_anchors(figure, [ax for ax in axes.flat if ax.get_visible()], anchors, units, marked, theme)
        _scale_bar(axes[0, 0], theme)
    return figure


def _layer_shades(layers: Sequence[str], theme: Theme) -> dict[str, str]:
    ramp = LinearSegmentedColormap.from_list("neurons", theme.neurons)
    return {layer: to_hex(ramp((at + 1) / len(layers))) for at, layer in enumerate(layers)}


def _panel_title(d_anchor: pd.DataFrame, run: str, epoch: float) -> str:
    """With the run's last layer, since the paper tells the quality of training by it."""
    last = d_anchor[(d_anchor["run"] == run) & (d_anchor["epoch"] == epoch)].iloc[-1]
    title = f"{shortened(run, 15)} · epoch {epoch_text(epoch)}\n"
    if np.isnan(last["d_anchor"]):
        return f"{title}{shortened(last['layer'], 10)}: no live unit"
    return f"{title}d_anchor {last['d_anchor']:.2f} ({shortened(last['layer'], 10)})"


def _headline(d_anchor: pd.DataFrame) -> str:
    """What the last layer does in each run, as far as the confidence intervals tell."""
    layer = d_anchor["layer"].unique()[-1]
    said: dict[str, list[str]] = {"move": [], "hardly move": [], "do not move": []}
    for run in d_anchor["run"].unique():
        trend = findings.trend_text(d_anchor, run, layer)
        if trend.startswith("falls"):
            own = d_anchor[(d_anchor["run"] == run) & (d_anchor["layer"] == layer)]["d_anchor"].dropna()
            # Hundreds of units make the smallest fall certain; that does not make it large.
            far = own.iloc[-1] <= 0.8 * own.iloc[0]
            said["move" if far else "hardly move"].append(run)
        elif trend.startswith(("stays", "rises", "ends")):
            said["do not move"].append(run)
    parts = [(word, in_runs(runs)) for word, runs in said.items() if runs]
    if not parts:
        return "Neurons among the anchors"
    (word, where), *others = parts
    title = f"Neurons of {shortened(layer, 24)} {word} towards the anchors in {where}"
    shorter = {"hardly move": "hardly", "do not move": "not"}
    return title + "".join(f", {shorter[word]} in {where}" for word, where in others)


def _draw_neurons(ax: Axes, here: pd.DataFrame, shades: dict[str, str], as_pixels: bool) -> None:
    for layer, shade in shades.items():
        own = here[here["layer"] == layer]
        ax.plot(
            own["x"], own["y"], "o", color=shade, markersize=2.6, markeredgewidth=0, alpha=0.75,
            rasterized=as_pixels, zorder=1,
        )  # fmt: skip


def _draw_path(ax: Axes, own: pd.DataFrame, one: Tracked, epoch: float, color: str, theme: Theme) -> None:
    """From the first epoch to this one; the place at this epoch is marked if the unit is alive there."""
    path = own[(own["layer"] == one.layer) & (own["unit"] == one.unit) & (own["epoch"] <= epoch)]
    if path.empty:
        return
    ax.plot(path["x"], path["y"], "-", color=color, linewidth=1.3, alpha=0.85, zorder=4)
    ax.plot(path["x"], path["y"], ".", color=color, markersize=3, markeredgewidth=0, zorder=4)
    now = path[path["epoch"] == epoch]
    ax.plot(now["x"], now["y"], "o", color=color, markersize=7.5, markeredgecolor=theme.paper, zorder=5)


def _limits(anchors: pd.DataFrame, units: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right corner of a frame that holds everything, with room for labels at the rim."""
    points = np.concatenate([anchors[["x", "y"]].to_numpy(), units[["x", "y"]].to_numpy()])
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (-np.ones(2), np.ones(2))
    half = (high - low) / 2
    half = np.maximum(half, max(0.7 * half.max(), 1e-3)) * 1.1  # no frame is much longer than wide
    return (low + high) / 2 - half, (low + high) / 2 + half


def _legend(shades: dict[str, str], tracked: Sequence[Tracked], theme: Theme) -> list[Line2D]:
    def dot(color: str, label: str, marker: str = "o", size: float = 4) -> Line2D:
        return Line2D(
            [], [], color=color, marker=marker, markersize=size, markeredgewidth=0, ls="", label=label
        )

    neurons = [dot(shade, f"{shortened(layer, 16)} neurons") for layer, shade in shades.items()]
    if len(neurons) > 4:  # a ramp from grey to dark grey needs no more than its ends
        neurons = [neurons[0], neurons[-1]]
    paths = [
        Line2D(
            [],
            [],
            color=theme.tracked[index % len(theme.tracked)],
            marker="o",
            markersize=6,
            label=shortened(one.name, 24),
        )
        for index, one in enumerate(tracked)
    ]
    return [dot(theme.anchor, "anchors", "*", 8), *neurons, *paths]


def _marked(units: pd.DataFrame, shown: dict[str, list[float]], tracked: Sequence[Tracked]) -> pd.DataFrame:
    """The rows of the tracked units at the epochs that are shown."""
    near = units[units["unit"].isin([one.unit for one in tracked])]
    names = {(one.layer, one.unit) for one in tracked}
    keys = zip(near["run"], near["layer"], near["epoch"], near["unit"], strict=True)
    kept = [(layer, unit) in names and epoch in shown[run] for run, layer, epoch, unit in keys]
    return near[np.array(kept, dtype=bool)]


def _label_anchors(
    figure: Figure,
    axes: Sequence[Axes],
    anchors: pd.DataFrame,
    units: pd.DataFrame,
    marked: pd.DataFrame,
    theme: Theme,
) -> None:
    """The same labels at the same places in every panel, off the tracked units' places in any of them."""
    popular = last_epochs(units)["nearest_anchor"].value_counts()
    order = anchors["concept"].map(popular).fillna(0).sort_values(ascending=False, kind="stable").index
    anchors = anchors.loc[order]
    figure.draw_without_rendering()  # the layout engine moves the panels; labels are measured in its result
    figure.set_layout_engine("none")
    ax, frame = axes[0], axes[0].get_window_extent()
    probe = ax.text(0, 0, "", fontsize=_LABEL_SIZE)
    sizes = np.empty((len(anchors), 2))
    words = [shortened(concept, _LONGEST_LABEL) for concept in anchors["concept"]]
    for row, word in enumerate(words):
        probe.set_text(word)
        sizes[row] = probe.get_window_extent().size
    probe.remove()
    points, obstacles = (
        ax.transData.transform(frame_of[["x", "y"]].to_numpy()) - frame.min for frame_of in (anchors, marked)
    )
    left, right = ax.get_xlim()
    bar = np.linspace(_BAR_CORNER, (_BAR_CORNER[0] + _BAR / (right - left), _BAR_CORNER[1] + 0.06), 5)
    obstacles = np.concatenate([obstacles, bar * frame.size])
    point = figure.dpi / 72
    crowded = len(anchors) > MOST_LABELS
    corners = placement.place(points, sizes, obstacles, (frame.width, frame.height), 4 * point, crowded)
    placed = [row for row, corner in enumerate(corners) if corner is not None][:MOST_LABELS]
    for ax in axes:
        labelled = anchors.iloc[placed]
        ax.plot(labelled["x"], labelled["y"], "*", color=theme.anchor, markersize=7.5, markeredgewidth=0)
        for row in placed:
            at, corner, size = points[row], np.array(corners[row]), sizes[row]
            nearest = np.clip(at, corner, corner + size)
            if np.linalg.norm(nearest - at) > 7 * point:  # too far away to be told apart: tie it to its star
                line = np.stack([at, nearest]) / frame.size
                ax.plot(*line.T, color=theme.anchor, linewidth=0.4, transform=ax.transAxes, zorder=2)
            x, y = corner / frame.size
            ax.text(
                x, y, words[row], fontsize=_LABEL_SIZE, transform=ax.transAxes,
                color=theme.ink, ha="left", va="bottom", zorder=6,
                bbox={"facecolor": theme.paper, "alpha": 0.5, "linewidth": 0, "pad": 0.1},
            )  # fmt: skip


def _scale_bar(ax: Axes, theme: Theme) -> None:
    """A length at the lower left: the axes have no other numbers."""
    left, right = ax.get_xlim()
    x, y, width = *_BAR_CORNER, _BAR / (right - left)
    ax.plot([x, x + width], [y, y], color=theme.faint, lw=1.5, transform=ax.transAxes, zorder=6)
    ax.text(
        x + width / 2,
        y + 0.01,
        f"{_BAR}",
        transform=ax.transAxes,
        ha="center",
        fontsize=SMALL,
        color=theme.faint,
    )
