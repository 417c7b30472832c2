"""The embedding as a figure: neurons, anchors and the paths of tracked neurons at chosen epochs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cmon import measures
from cmon.schemas import epoch_text
from cmon.style import LIGHT, WIDTH, Theme, headline, style
from cmon.tracking import Tracked

MOST_LABELS = 40
"""Anchors that get a label; of more, those that are nearest to most units at the last epochs and have room."""
_LABEL_SIZE = 5.2
_VECTOR_POINTS = 6000
"""Above this many neurons, they are drawn as pixels in the SVG, which would otherwise be megabytes."""


def chosen_epochs(epochs: Iterable[float]) -> list[float]:
    """The first, the middle and the last, each once."""
    known = sorted(set(epochs))
    return sorted({known[0], known[len(known) // 2], known[-1]})


def embedding(
    layout: pd.DataFrame, d_anchor: pd.DataFrame, tracked: Sequence[Tracked], theme: Theme = LIGHT
) -> Figure:
    """All units of each run (row) at its first, middle and last epoch (columns), in one frame of axes.

    layout: the whole table, units in the order of `measures.in_order`; units without a place are not drawn.
    d_anchor: what `distances.d_anchor` gives; the last layer's stands over each panel.
    """
    anchors = layout[layout["kind"] == "anchor"]
    units = layout[(layout["kind"] == "unit") & (layout["status"] == "ok")]
    rows = {str(run): chosen_epochs(own["epoch"]) for run, own in d_anchor.groupby("run", sort=False)}
    columns = max(map(len, rows.values()))
    side = min((WIDTH - 0.1) / columns, 4.2)
    with style(theme):
        size = (max(side * columns + 0.1, 4.4), (side + 0.16) * len(rows) + 0.75)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
        star = 4 if len(anchors) <= MOST_LABELS else 2.8
        shades = _layer_shades(list(d_anchor["layer"].unique()), theme)
        for panels, (run, epochs) in zip(axes, rows.items(), strict=True):
            own = units[units["run"] == run]
            for ax in panels[len(epochs) :]:
                ax.set_visible(False)
            for ax, epoch in zip(panels, epochs, strict=False):
                ax.set_title(_panel_title(d_anchor, run, epoch), fontsize=7)
                _draw_neurons(ax, own[own["epoch"] == epoch], shades, len(units) > _VECTOR_POINTS)
                ax.plot(
                    anchors["x"], anchors["y"], "*", color=theme.anchor, markersize=star, markeredgewidth=0
                )
                for index, one in enumerate(tracked):
                    _draw_path(ax, own, one, epoch, theme.tracked[index % len(theme.tracked)], theme)
        _frame(axes[0, 0], anchors, units)
        figure.legend(
            handles=_legend(shades, tracked, theme), loc="outside lower center",
            ncols=max(1 + len(shades), len(tracked)), handletextpad=0.3, columnspacing=1.2,
        )  # fmt: skip
        headline(figure, _headline(d_anchor))
        marked = _marked(units, rows, tracked)
        _label_anchors(figure, [ax for ax in axes.flat if ax.get_visible()], anchors, units, marked, theme)
        _scale_bar(axes[0, 0], theme)
    return figure


def place_labels(
    points: np.ndarray,
    sizes: np.ndarray,
    obstacles: np.ndarray,
    area: tuple[float, float],
    clearance: float,
    crowded: bool = False,
) -> list[tuple[float, float] | None]:
    """Where each label goes so that none overlaps another, or None where there is no room near its point.

    points (A,2), the labels' sizes (A,2) as width and height, and obstacles (B,2), in one unit, inside
    (0,0)..area. The first labels are placed first. Each takes the free place nearest to its point, off all
    points and obstacles if it can. In a crowd it must be off them and right beside its point, since it could
    not be told whose it is elsewhere. Returns the labels' lower left corners.
    """
    spots = np.tile(np.concatenate([points, obstacles]), 2)
    angles = np.deg2rad([0, 180, 90, 270, 45, 135, 315, 225, 22, 158, 202, 338, 67, 113, 247, 293])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    radii = (1.0, 1.4) if crowded else (1.0, 1.8, 3.0, 4.5, 6.5)
    boxes = np.empty((0, 4))
    found: list[tuple[float, float] | None] = []
    for point, size in zip(points, sizes, strict=True):
        # The label's near side touches a circle around the point; the circles grow.
        rings = [point + directions * (clearance * radius + size / 2) for radius in radii]
        corners = np.concatenate(rings) - size / 2
        inside = ((corners >= 0) & (corners + size <= area)).all(axis=1)
        free = inside & ~_overlaps(corners, size, boxes).any(axis=1)
        clear = free & ~_overlaps(corners, size, spots, clearance / 2).any(axis=1)
        best = clear if clear.any() or crowded else free
        if not best.any():
            found.append(None)
            continue
        corner = corners[best.argmax()]
        boxes = np.concatenate([boxes, [[*corner, *(corner + size)]]])
        found.append((float(corner[0]), float(corner[1])))
    return found


def _overlaps(corners: np.ndarray, size: np.ndarray, boxes: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """(P,2) corners of candidates of one size against (B,4) boxes x0,y0,x1,y1: (P,B) bool."""
    low, high = corners[:, None], corners[:, None] + size
    return ((low < boxes[None, :, 2:] + margin) & (high > boxes[None, :, :2] - margin)).all(axis=2)


def _layer_shades(layers: Sequence[str], theme: Theme) -> dict[str, str]:
    ramp = LinearSegmentedColormap.from_list("neurons", theme.neurons)
    return {layer: to_hex(ramp((at + 1) / len(layers))) for at, layer in enumerate(layers)}


def _panel_title(d_anchor: pd.DataFrame, run: str, epoch: float) -> str:
    """With the run's last layer, since the paper tells the quality of training by it."""
    last = d_anchor[(d_anchor["run"] == run) & (d_anchor["epoch"] == epoch)].iloc[-1]
    title = f"{run} · epoch {epoch_text(epoch)}"
    if np.isnan(last["d_anchor"]):
        return f"{title} · {last['layer']} no live unit"
    return f"{title} · {last['layer']} d_anchor {last['d_anchor']:.2f}"


def _headline(d_anchor: pd.DataFrame) -> str:
    """What the last layer does in each run, as far as the confidence intervals tell."""
    layer = d_anchor["layer"].unique()[-1]
    said: dict[str, list[str]] = {"move towards the anchors": [], "hardly": [], "not": []}
    for run in d_anchor["run"].unique():
        trend = measures.trend(d_anchor, run, layer)
        if trend.startswith("falls"):
            own = d_anchor[(d_anchor["run"] == run) & (d_anchor["layer"] == layer)]["d_anchor"].dropna()
            # Hundreds of units make the smallest fall certain; that does not make it large.
            far = own.iloc[-1] <= 0.8 * own.iloc[0]
            said["move towards the anchors" if far else "hardly"].append(run)
        elif trend.startswith(("stays", "rises", "ends")):
            said["not"].append(run)
    parts = [f"{word} in {', '.join(runs)}" for word, runs in said.items() if runs]
    if not parts:
        return "Neurons among the anchors"
    if not said["move towards the anchors"]:
        parts[0] = f"move towards the anchors {parts[0]}"
    return f"Neurons of {layer} {', '.join(parts)}"


def _draw_neurons(ax: Axes, here: pd.DataFrame, shades: dict[str, str], as_pixels: bool) -> None:
    for layer, shade in shades.items():
        own = here[here["layer"] == layer]
        ax.plot(
            own["x"], own["y"], "o", color=shade, markersize=2, markeredgewidth=0, alpha=0.75,
            rasterized=as_pixels, zorder=1,
        )  # fmt: skip


def _draw_path(ax: Axes, own: pd.DataFrame, one: Tracked, epoch: float, color: str, theme: Theme) -> None:
    """From the first epoch to this one; the place at this epoch is marked if the unit is alive there."""
    path = own[(own["layer"] == one.layer) & (own["unit"] == one.unit) & (own["epoch"] <= epoch)]
    if path.empty:
        return
    ax.plot(path["x"], path["y"], "-", color=color, linewidth=1.1, alpha=0.85, zorder=4)
    ax.plot(path["x"], path["y"], ".", color=color, markersize=2.5, markeredgewidth=0, zorder=4)
    now = path[path["epoch"] == epoch]
    ax.plot(now["x"], now["y"], "o", color=color, markersize=5.5, markeredgecolor=theme.paper, zorder=5)


def _frame(ax: Axes, anchors: pd.DataFrame, units: pd.DataFrame) -> None:
    """Square limits that hold everything, with room for labels at the rim."""
    points = np.concatenate([anchors[["x", "y"]].to_numpy(), units[["x", "y"]].to_numpy()])
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (-np.ones(2), np.ones(2))
    centre, half = (low + high) / 2, max((high - low).max() / 2, 1e-3) * 1.1
    ax.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
    ax.set(xticks=[], yticks=[])
    for panel in ax.figure.axes:
        panel.set_box_aspect(1)
        panel.spines[:].set_visible(True)


def _legend(shades: dict[str, str], tracked: Sequence[Tracked], theme: Theme) -> list[Line2D]:
    def dot(color: str, label: str, marker: str = "o", size: float = 4) -> Line2D:
        return Line2D(
            [], [], color=color, marker=marker, markersize=size, markeredgewidth=0, ls="", label=label
        )

    neurons = [dot(shade, f"neurons of {layer}") for layer, shade in shades.items()]
    paths = [
        Line2D(
            [], [], color=theme.tracked[index % len(theme.tracked)], marker="o", markersize=5, label=one.name
        )
        for index, one in enumerate(tracked)
    ]
    return [dot(theme.anchor, "anchors", "*", 6), *neurons, *paths]


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
    popular = measures.last_epochs(units)["nearest_anchor"].value_counts()
    order = anchors["concept"].map(popular).fillna(0).sort_values(ascending=False, kind="stable").index
    anchors = anchors.loc[order]
    figure.draw_without_rendering()  # the layout engine moves the panels; labels are measured in its result
    figure.set_layout_engine("none")
    ax, frame = axes[0], axes[0].get_window_extent()
    probe = ax.text(0, 0, "", fontsize=_LABEL_SIZE)
    sizes = np.empty((len(anchors), 2))
    for row, concept in enumerate(anchors["concept"]):
        probe.set_text(concept)
        sizes[row] = probe.get_window_extent().size
    probe.remove()
    points, obstacles = (
        ax.transData.transform(frame_of[["x", "y"]].to_numpy()) - frame.min for frame_of in (anchors, marked)
    )
    point = figure.dpi / 72
    crowded = len(anchors) > MOST_LABELS
    corners = place_labels(points, sizes, obstacles, (frame.width, frame.height), 3 * point, crowded)
    placed = [row for row, corner in enumerate(corners) if corner is not None][:MOST_LABELS]
    for ax in axes:
        for row in placed:
            concept, at, corner, size = (
                anchors["concept"].iloc[row],
                points[row],
                np.array(corners[row]),
                sizes[row],
            )
            nearest = np.clip(at, corner, corner + size)
            if np.linalg.norm(nearest - at) > 5 * point:  # too far away to be told apart: tie it to its star
                line = np.stack([at, nearest]) / frame.size
                ax.plot(*line.T, color=theme.anchor, linewidth=0.4, transform=ax.transAxes, zorder=2)
            x, y = corner / frame.size
            ax.text(
                x, y, concept, fontsize=_LABEL_SIZE, transform=ax.transAxes,
                color=theme.ink, ha="left", va="bottom", zorder=6,
                bbox={"facecolor": theme.paper, "alpha": 0.5, "linewidth": 0, "pad": 0.1},
            )  # fmt: skip


def _scale_bar(ax: Axes, theme: Theme) -> None:
    """A length of 0.5 at the lower left: the axes have no other numbers."""
    left, right = ax.get_xlim()
    width = 0.5 / (right - left)
    ax.plot([0.04, 0.04 + width], [0.035, 0.035], color=theme.faint, lw=1.2, transform=ax.transAxes, zorder=6)
    ax.text(
        0.04 + width / 2, 0.045, "0.5", transform=ax.transAxes, ha="center", fontsize=5.5, color=theme.faint
    )
