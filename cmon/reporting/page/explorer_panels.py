"""The panels of the page's interactive embedding: a Bokeh document without data.

Bokeh draws on a 2-D canvas: it needs no WebGL and no `eval`, so that the page's security policy can stay strict,
and it shows text as text, never as markup. The page's script fills the sources, which it finds by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cmon.reporting.figures import plane

_ID = re.compile(r'"id":"(p[0-9]+)"')


@dataclass(frozen=True)
class Panels:
    """One panel for each run, with one frame of axes."""

    document: dict[str, Any]
    """Bokeh's document, to be written as JSON; in it the order of names has a meaning."""
    roots: tuple[str, ...]
    """The panels' ids in it."""


def panels(runs: int, half: Sequence[float], anchors: int = 0) -> Panels:
    """Panels whose frames reach `half` (width, height) from the middle, with one scale on both axes.

    Their sources are called `units-0`, `units-1` and so on. anchors: how many there are; of many the stars are small.
    """
    from bokeh.core.json_encoder import serialize_json
    from bokeh.document import Document
    from bokeh.models import Range1d

    document = Document()
    x, y = (Range1d(start=-side, end=side, name=name) for name, side in zip("xy", half, strict=True))
    roots = [_panel(index, x, y, 9 * plane.star_scale(anchors)) for index in range(runs)]
    for root in roots:
        document.add_root(root)
    text = serialize_json(document.to_json(deferred=False))
    # Bokeh counts its models over the life of the process; here the same panels have the same ids.
    ids = {one: f"m{at}" for at, one in enumerate(dict.fromkeys(_ID.findall(text)))}
    text = re.sub(r'"(p[0-9]+)"', lambda found: json.dumps(ids.get(found[1], found[1])), text)
    return Panels(json.loads(text), tuple(ids[root.id] for root in roots))


@cache
def library() -> str:
    """The JavaScript of the plotting library, with its licence."""
    from bokeh.resources import Resources

    return Resources(mode="inline", components=["bokeh"], minified=True, log_level=None).js_raw[0]


def _panel(index: int, x: Any, y: Any, star: float) -> Any:
    """From the lowest layer to the highest: units, found units, anchors, trajectories, labels, the hovered point."""
    from bokeh.models import PanTool, WheelZoomTool
    from bokeh.plotting import figure

    panel = figure(
        name=f"panel-{index}", x_range=x, y_range=y, sizing_mode="stretch_width", aspect_ratio=x.end / y.end,
        min_border=0, outline_line_color=None, background_fill_color=None, border_fill_color=None,
        toolbar_location=None,
        # The wheel alone scrolls the page.
        tools=[PanTool(name=f"pan-{index}"), WheelZoomTool(modifiers="ctrl")], active_scroll="auto",
    )  # fmt: skip
    panel.axis.visible = False
    panel.grid.visible = False
    _scatter(panel, f"units-{index}", "x y color size", size="size")
    _scatter(panel, f"found-{index}", "x y color size paper", size="size", line_color="paper")
    _scatter(panel, f"anchors-{index}", "x y color", marker="star", size=star)
    panel.multi_line(
        "xs", "ys", source=_source(f"paths-{index}", "xs ys color"), line_color="color", line_width=2,
        line_alpha=0.75, line_join="round",
    )  # fmt: skip
    _scatter(panel, f"steps-{index}", "x y color", size=4)
    _text(panel, f"labels-{index}", background_fill_alpha=0.65)
    _scatter(panel, f"marks-{index}", "x y color paper", size=11, line_color="paper", line_width=1.5)
    _text(panel, f"names-{index}", background_fill_alpha=0.9, text_font_style="bold")
    _scatter(panel, f"hover-{index}", "x y color", size=13, fill_color=None, line_color="color", line_width=2)
    return panel


def _scatter(panel: Any, name: str, columns: str, **looks: Any) -> None:
    looks = {"fill_color": "color", "line_color": None, **looks}
    panel.scatter("x", "y", source=_source(name, columns), **looks)


def _text(panel: Any, name: str, **looks: Any) -> None:
    panel.text(
        "x", "y", text="text", x_offset="dx", y_offset="dy", text_align="align", text_baseline="middle",
        source=_source(name, "x y text dx dy align color paper"), text_font_size="11px",
        text_font="system-ui, Helvetica, Arial, sans-serif", text_color="color", background_fill_color="paper",
        **looks,
    )  # fmt: skip


def _source(name: str, columns: str) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({column: [] for column in columns.split()}, name=name)
