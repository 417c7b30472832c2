"""The look that all figures share.

Colours are those of Okabe & Ito (2008), which stay apart for colour-blind readers. Text stays text in SVG.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from cmon.printable import printable_lines
from cmon.reporting.categories import NO_CATEGORY

WIDTH = 7.2
"""Inches: two columns of a paper. Shrunk to one column (3.3 inches), SMALL is 4.8 points; on a slide of 13.3 by 7.5
inches text comes out at 18 points or more."""
DPI = 300
SMALL, TEXT, TITLE = 10.5, 11.0, 12.5
"""Points: the smallest text of any figure, its usual text, its title."""


@dataclass(frozen=True)
class Theme:
    """Colours of a figure, its background among them."""

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
    NO_CATEGORY: "#8b949e",
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


def fingerprint() -> list[Any]:
    """All that the look of a figure depends on besides its data."""
    return [LIGHT, DARK, WIDTH, DPI, SMALL, TEXT, TITLE, CATEGORY_COLORS, _MORE_COLORS]


@contextmanager
def using(theme: Theme = LIGHT) -> Iterator[None]:
    """matplotlib's settings for all figures, and for nothing else in the process."""
    settings: Any = {
        "figure.facecolor": theme.paper,
        "figure.dpi": 100,
        "figure.autolayout": False,
        "figure.constrained_layout.use": False,
        "savefig.facecolor": theme.paper,
        "font.family": "sans-serif",
        "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
        "font.size": TEXT,
        "text.color": theme.ink,
        "text.parse_math": False,  # a concept or run may hold a dollar sign
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.ink,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": TEXT,
        "axes.titlelocation": "left",
        "axes.axisbelow": True,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "xtick.major.width": 0.8,
        "ytick.major.width": 0.8,
        "xtick.major.size": 4,
        "xtick.minor.size": 2.5,
        "xtick.minor.width": 0.8,
        "ytick.major.size": 3,
        "grid.color": theme.faint,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.5,
        "legend.frameon": False,
        "legend.fontsize": TEXT,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "svg.fonttype": "none",
        "svg.hashsalt": "cmon",  # the same figure, the same file
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A concept in a script that no installed font has: a box in the PNG, but text in the SVG.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def save(figure: Figure, target: Path | IO[bytes], form: str, theme: Theme = LIGHT) -> None:
    """Write a figure as 'png' or 'svg'; the same figure gives the same bytes, and the SVG is well-formed.

    XML has no control characters, not even escaped: in texts of an SVG they are shown as their numbers.
    """
    with using(theme):
        freeze_layout(figure)  # to lay it out again for every file would take half of the time
        if form != "svg":
            figure.savefig(target, format=form, dpi=DPI)
            return
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", dpi=DPI, metadata={"Date": None})
    shown = printable_lines(drawn.getvalue().decode()).encode()
    if isinstance(target, Path):
        target.write_bytes(shown)
    else:
        target.write(shown)


def freeze_layout(figure: Figure) -> None:
    """Lay the panels out, and let them stay where they are."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        for ax in figure.axes:
            ax.apply_aspect()
        figure.set_layout_engine(None)  # "none" leaves a placeholder, for which every file is drawn twice


def category_colors(names: Sequence[str]) -> dict[str, str]:
    """A colour for each category: its own if it is a known one, and for others in their order."""
    others = [name for name in names if name not in CATEGORY_COLORS]
    more = {name: _MORE_COLORS[position % len(_MORE_COLORS)] for position, name in enumerate(others)}
    return {name: CATEGORY_COLORS.get(name) or more[name] for name in names}


def headline(figure: Figure, text: str) -> int:
    """The figure's title, at the left, in at most three lines of about one length; gives their number."""
    # No line ends within 'standard (3 runs)'.
    lines = _lines(text.replace(" runs)", "\u00a0runs)"), int(9 * figure.get_figwidth()))
    figure.suptitle("\n".join(lines), x=0.008, ha="left", fontsize=TITLE, fontweight="bold")
    return len(lines)


def shortened(name: str, most: int) -> str:
    """A name from a file in at most `most` characters: its beginning and end, in one line."""
    name = " ".join(name.split())
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[len(name) - end :]}"


def legend(figure: Figure, handles: Sequence[Any]) -> None:
    """Below the panels, in as many columns as fit, to be read row by row."""
    if not handles:
        return
    widest = max(len(str(handle.get_label())) for handle in handles)
    fitting = int(figure.get_figwidth() * 72 / (0.57 * TEXT * widest + 34))
    columns = max(1, min(fitting, len(handles)))
    figure.legend(
        handles=[handle for column in range(columns) for handle in handles[column::columns]],  # it fills columns
        loc="outside lower center", ncols=columns, columnspacing=1.2, handletextpad=0.5, handlelength=1.4,
    )  # fmt: skip


def _lines(text: str, width: int, most: int = 3) -> list[str]:
    """Text in as few lines as fit, and these as even as can be."""

    def wrapped(width: int) -> list[str]:
        return textwrap.wrap(text, width, max_lines=most, placeholder=" …")

    fewest = wrapped(width)
    if len(fewest) == most:  # the narrower the lines, the more would be cut
        return fewest
    while width > 1 and len(wrapped(width - 1)) == len(fewest):
        width -= 1
    return wrapped(width)
