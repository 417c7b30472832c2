"""The look that all figures share.

Colours are those of Okabe & Ito (2008), which stay apart for colour-blind readers. Text stays text in SVG.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from cmon import measures

WIDTH = 7.2
"""Inches: two columns of a paper."""
DPI = 300


@dataclass(frozen=True)
class Theme:
    """Colours of a figure on its ground."""

    paper: str
    ink: str
    faint: str
    """Axes, grids, secondary text."""
    neurons: tuple[str, str]
    """Grey of the first and of the last layer."""
    anchor: str
    series: tuple[str, ...]
    """Runs, in their order."""
    tracked: tuple[str, ...]


LIGHT = Theme(
    paper="#ffffff",
    ink="#1f2328",
    faint="#8b949e",
    neurons=("#cfd4da", "#7d858e"),
    anchor="#009E73",
    series=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    tracked=("#D55E00", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
)
DARK = Theme(
    paper="#16191d",
    ink="#e6e8ea",
    faint="#8b949e",
    neurons=("#434a53", "#949ca5"),
    anchor="#2bc79a",
    series=("#56B4E9", "#E69F00", "#2bc79a", "#CC79A7", "#F0E442", "#D55E00", "#ffffff"),
    tracked=("#E69F00", "#56B4E9", "#CC79A7", "#F0E442", "#D55E00", "#ffffff"),
)
CATEGORY_COLORS = {
    "object": "#0072B2",
    "part": "#56B4E9",
    "scene": "#009E73",
    "material": "#E69F00",
    "texture": "#D55E00",
    "color": "#CC79A7",
    measures.NO_CATEGORY: "#8b949e",
}
_MORE_COLORS = (
    "#F0E442",
    "#332288",
    "#882255",
    "#999933",
    "#44AA99",
    "#AA4499",
    "#661100",
)  # Tol's muted set


@contextmanager
def style(theme: Theme = LIGHT) -> Iterator[None]:
    """matplotlib's settings for all figures, and for nothing else in the process."""
    settings: Any = {
        "figure.facecolor": theme.paper,
        "figure.dpi": 100,
        "savefig.facecolor": theme.paper,
        "font.family": "sans-serif",
        "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
        "font.size": 7.5,
        "text.color": theme.ink,
        "text.parse_math": False,  # a concept or run may hold a dollar sign
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.ink,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 8,
        "axes.titlelocation": "left",
        "axes.axisbelow": True,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "grid.color": theme.faint,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.5,
        "legend.frameon": False,
        "legend.fontsize": 7.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "cmon",  # the same figure, the same file
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A concept in a script that no installed font has: a box in the PNG, but text in the SVG.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def save(figure: Figure, target: Path | IO[bytes], form: str, theme: Theme = LIGHT) -> None:
    """Write a figure as 'png' or 'svg'; the same figure gives the same bytes."""
    with style(theme):
        figure.savefig(target, format=form, dpi=DPI, metadata={"Date": None} if form == "svg" else None)


def category_colors(names: Sequence[str]) -> dict[str, str]:
    """A colour for each category: its own if it is a known one, and for others in their order."""
    others = [name for name in names if name not in CATEGORY_COLORS]
    more = {name: _MORE_COLORS[position % len(_MORE_COLORS)] for position, name in enumerate(others)}
    return {name: CATEGORY_COLORS.get(name) or more[name] for name in names}


def headline(figure: Figure, text: str) -> None:
    """The figure's title, at the left and in lines that fit."""
    lines = textwrap.fill(text, int(11 * figure.get_figwidth()))  # characters an inch of the widest font
    figure.suptitle(lines, x=0.008, ha="left", fontsize=9, fontweight="bold")
