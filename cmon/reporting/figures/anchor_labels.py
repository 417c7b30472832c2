"""The anchors' labels in the embedding: the same labels at the same places in every panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cmon.reporting.figures.label_placement import place_labels
from cmon.reporting.figures.style import SMALL, Theme, shortened

MOST_LABELS = 16
"""Anchors that get a label, so that it can be read in a paper's column; of more, the first that have room."""
MOST_ANCHORS = 200
"""Of more, no label finds room that keeps off all of them."""
_LONGEST = 14
"""Characters of a label."""


@dataclass(frozen=True)
class _Label:
    """Where a label is, in pixels from its panel's lower left corner."""

    row: int
    """Of its anchor."""
    text: str
    anchor: np.ndarray
    """(2,): the place of the anchor's star."""
    corner: np.ndarray
    """(2,): the text's lower left corner."""
    size: np.ndarray
    """(2,): the text's width and height."""

    @property
    def nearest(self) -> np.ndarray:
        """(2,): the text's point that is nearest to the star."""
        return np.clip(self.anchor, self.corner, self.corner + self.size)


def label_anchors(axes: Sequence[Axes], anchors: pd.DataFrame, obstacles: np.ndarray, theme: Theme) -> None:
    """Label anchors, the first of them first, and draw the stars of the labelled ones larger.

    axes: panels of one size with one frame, laid out for good. anchors: rows with concept, x, y. obstacles: (B,2)
    pixels of the first panel that labels keep off.
    """
    if len(anchors) > MOST_ANCHORS:  # in a crowd only some can be told apart: those that come first
        anchors = anchors.head(MOST_LABELS)
    labels = _placed(axes[0], anchors, obstacles)
    labelled = anchors.iloc[[label.row for label in labels]]
    for ax in axes:
        ax.plot(labelled["x"], labelled["y"], "*", color=theme.anchor, markersize=7.5, markeredgewidth=0)
        for label in labels:
            _draw(ax, label, theme)


def _placed(ax: Axes, anchors: pd.DataFrame, obstacles: np.ndarray) -> list[_Label]:
    """At most MOST_LABELS labels, none over another, a star or an obstacle."""
    frame = ax.get_window_extent()
    stars = ax.transData.transform(anchors[["x", "y"]].to_numpy()) - frame.min
    texts = [shortened(concept, _LONGEST) for concept in anchors["concept"]]
    sizes = _sizes(ax, texts)
    corners = place_labels(
        stars,
        sizes,
        obstacles - frame.min,
        (frame.width, frame.height),
        4 * _point(ax),
        len(anchors) > MOST_LABELS,
    )
    rows = [row for row, corner in enumerate(corners) if corner is not None][:MOST_LABELS]
    return [_Label(row, texts[row], stars[row], np.array(corners[row]), sizes[row]) for row in rows]


def _sizes(ax: Axes, texts: Sequence[str]) -> np.ndarray:
    """(A,2) width and height of each text, in pixels."""
    probe = ax.text(0, 0, "", fontsize=SMALL)
    sizes = np.empty((len(texts), 2))
    for row, text in enumerate(texts):
        probe.set_text(text)
        sizes[row] = probe.get_window_extent().size
    probe.remove()
    return sizes


def _draw(ax: Axes, label: _Label, theme: Theme) -> None:
    """The text, and a line to its star where that is too far away to see which it is."""
    panel = ax.get_window_extent().size
    if np.linalg.norm(label.nearest - label.anchor) > 7 * _point(ax):
        line = np.stack([label.anchor, label.nearest]) / panel
        ax.plot(*line.T, color=theme.anchor, linewidth=0.4, transform=ax.transAxes, zorder=2)
    x, y = label.corner / panel
    ax.text(
        x, y, label.text, fontsize=SMALL, transform=ax.transAxes, color=theme.ink, ha="left", va="bottom",
        zorder=6, bbox={"facecolor": theme.paper, "alpha": 0.5, "linewidth": 0, "pad": 0.1},
    )  # fmt: skip


def _point(ax: Axes) -> float:
    """Pixels of a typographic point."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi / 72)
