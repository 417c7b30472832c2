"""The report's page: one HTML file that needs nothing else, not even a network.

Everything that comes from a table is escaped by jinja2, and the page's own security policy allows no script
but the one in the template, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

_FOLDER = Path(__file__).parent
_KEY = re.compile(r'<meta name="cmon-key" content="([0-9a-f]+)">')
_SCRIPT = """
const search = document.getElementById("search"), only = document.getElementById("only");
const count = document.getElementById("count");
const rows = [...document.querySelectorAll("#units tbody tr")];
const texts = rows.map(row => row.textContent.toLowerCase().replace(/\\s+/g, " "));
function filter() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, at) => {
    row.hidden = (only.checked && !row.dataset.significant) || !words.every(word => texts[at].includes(word));
    shown += !row.hidden;
  });
  count.textContent = `${shown} of ${rows.length} units`;
}
document.getElementById("controls").hidden = false;
search.addEventListener("input", filter);
only.addEventListener("change", filter);
filter();
"""


@dataclass(frozen=True)
class FigureView:
    """A figure with the words around it."""

    name: str
    title: str
    caption: str
    alt: str
    """What the figure shows, for those who cannot see it."""
    light: bytes
    """SVG on a light ground."""
    dark: bytes
    """The same on a dark one."""


@dataclass(frozen=True)
class Moment:
    """A tracked unit at one epoch of one run."""

    epoch: str
    label: str
    """Its label, or its status where it has none."""
    score: float | None
    significant: bool
    next_labels: str
    images: Sequence[int]


@dataclass(frozen=True)
class TrackedView:
    """A tracked unit in all runs that have it."""

    name: str
    reason: str
    color: str
    color_dark: str
    runs: Mapping[str, Sequence[Moment]]


@dataclass(frozen=True)
class TableView:
    """A table with its caption, if it is not clear from where it stands; cells are text or numbers."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class UnitRow:
    """A unit at its run's last epoch."""

    run: str
    layer: str
    unit: int
    label: str
    category: str
    color: str
    score: float | None
    p_value: float | None
    significant: bool
    images: Sequence[int]


@dataclass(frozen=True)
class Page:
    """All that the page says."""

    key: str
    version: str
    title: str
    facts: Sequence[tuple[str, str]]
    """(number, what it counts)."""
    findings: Sequence[tuple[str, str]]
    """(run or other subject, what is said of it)."""
    embedding: FigureView
    d_anchor: FigureView
    shares: FigureView
    tracked: Sequence[TrackedView]
    d_anchor_table: TableView
    frequent: Sequence[TableView]
    movement: TableView
    units: Sequence[UnitRow]
    statuses: TableView
    costs: TableView | None
    skipped: Sequence[tuple[str, str]]
    """(what, why)."""
    parameters: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """(stage or table, its parameters)."""
    thumbnails: Mapping[int, str]
    """image_id to data URI; ids that are not in it are shown as an empty frame."""


def render(page: Page) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "svg_uri": _svg_uri}
    script_hash = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    template = environment.get_template("page.html.j2")
    return template.render(page=page, script=_SCRIPT, script_hash=script_hash)


def key_of(path: Path) -> str | None:
    """The key that the page was made with, or None if it is not there or not cmon's."""
    try:
        with path.open(encoding="utf-8") as file:
            found = _KEY.search(file.read(4096))
    except (OSError, UnicodeDecodeError):
        return None
    return found.group(1) if found else None


def number(value: Any) -> str:
    """Text as it is, whole numbers with thin groups, other numbers to three digits; a dash for nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        if value and abs(value) < 1e-3:
            return f"{value:.1e}"
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _svg_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
