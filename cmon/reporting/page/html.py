"""The report's page as HTML: one file that needs nothing else, not even a network.

An open page looks beside itself for whether the report was made again; see `newest`.

Everything that comes from a table is escaped by jinja2, with its control characters shown, or enters the page as text
by the page's own scripts; and the page's security policy allows no script but those in it, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from cmon.printable import printable_lines
from cmon.reporting.page import explorer_panels
from cmon.reporting.page.views import Page

_FOLDER = Path(__file__).parent / "web"
_BESIDE = re.compile(r'<meta name="cmon-thumbnails" content="([0-9]+)">')
_THUMBNAILS = '<style id="thumbnails"></style>'
_STYLES = ("page.css", "explorer.css")
_SCRIPTS = (
    "explorer_data.js",
    "explorer_view.js",
    "explorer_plot.js",
    "explorer_leaf.js",
    "explorer_panel.js",
    "explorer.js",
    "newest.js",
    "explorer_controls.js",
    "units_table.js",
)


def render(page: Page, images_beside: int = 0) -> str:
    """The page as HTML, without thumbnails; see `with_thumbnails`.

    images_beside: how many thumbnails lie in a folder beside the page.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.finalize = _shown
    filters: dict[str, Callable[[Any], str]] = {"number": number, "percent": _percent, "svg_uri": _svg_uri}
    environment.filters |= filters
    environment.policies["json.dumps_kwargs"] = {}  # in Bokeh's documents the order of names has a meaning
    scripts = [explorer_panels.library(), *map(_read, _SCRIPTS)]
    page = replace(page, explorer=_shown_inside(page.explorer))
    panels = explorer_panels.panels(
        len(page.explorer["runs"]), page.explorer["half"], len(page.explorer["anchors"]["names"])
    )
    return environment.get_template("page.html.j2").render(
        page=page,
        css="".join(map(_read, _STYLES)),
        scripts=scripts,
        policy=_policy(scripts, images_beside > 0),
        panels={"document": panels.document, "roots": panels.roots},
        images_beside=images_beside,
        example=_search_example(page.explorer),
        across=_across(len(page.explorer["runs"])),
    )


def with_thumbnails(html: str, css: str) -> str:
    """The page with the classes that `thumbnails.css` gives."""
    # Text from files cannot hold this mark: its angle brackets would be escaped.
    return html.replace(_THUMBNAILS, _THUMBNAILS.replace("><", f">\n{css}<"), 1)


def _shown(value: Any) -> Any:
    """Text with control characters and marks of direction shown; markup of our own as it is."""
    return printable_lines(value) if type(value) is str else value


def _shown_inside(value: Any) -> Any:
    """The same for all texts in dicts and lists."""
    if isinstance(value, Mapping):
        return {_shown(name): _shown_inside(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown_inside(inner) for inner in value]
    return _shown(value)


def _policy(scripts: Iterable[str], images_beside: bool) -> str:
    """Scripts by hash and nothing from outside; styles inline, since Bokeh writes some, and newest.css beside; pictures
    inside or beside."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    beside = (
        "'self' file:"  # browsers differ in whether a page opened from disk is of one origin with its folder
    )
    pictures = f"data: {beside}" if images_beside else "data:"
    return (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src {pictures}; "
        f"style-src 'unsafe-inline' {beside}; script-src {hashes}"
    )


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _across(runs: int) -> int:
    """Panels in a row: as many as leave the fewest places empty."""
    few = {1: 1, 2: 2, 3: 3, 4: 2}
    return few[runs] if runs in few else min((3, 4), key=lambda across: -runs % across)


def _search_example(explorer: Mapping[str, Any]) -> str:
    """What the search field says may be typed."""
    words = [f"{explorer['layers'][one['layer']]}:{one['unit']}" for one in explorer["tracked"][:1]]
    return " or ".join([*words, *explorer["labels"]["names"][:1]])


def thumbnails_beside(path: Path) -> int:
    """How many thumbnails the page at `path` expects in the folder beside it."""
    with path.open(encoding="utf-8") as file:
        found = _BESIDE.search(file.read(4096))
    return int(found.group(1)) if found else 0


def number(value: Any) -> str:
    """Text as it is, whole numbers in groups, other numbers to three digits; a dash for nothing.

    >>> number(12345), number(0.12345), number(0.00002), number(None)
    ('12,345', '0.123', '2.0e-05', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        if value and abs(value) < 1e-3:
            return f"{value:.1e}"
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _svg_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
