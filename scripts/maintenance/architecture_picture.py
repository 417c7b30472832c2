"""Draw the folders of cmon and the data's way through them.

python -m scripts.maintenance.architecture_picture docs/figures/architecture.svg
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1060, 788
MARGIN, GAP = 20, 25
COLUMNS = 5
COLUMN = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
INK, MUTED = "#1d2b33", "#5a6872"
FILLS = {"input": "#fff6dc", "reader": "#e3eefb", "stage": "#d9f1e8", "table": "#f1f3f4", "base": "#ece6f5"}
EDGES = {"input": "#d8b44a", "reader": "#5b8fca", "stage": "#2f9a76", "table": "#9aa5ac", "base": "#8a70b5"}


@dataclass(frozen=True)
class Box:
    """A folder, or what goes in or comes out."""

    title: str
    lines: Sequence[str]
    kind: str
    """Of FILLS."""
    column: float
    top: float
    height: float
    columns: int = 1

    @property
    def left(self) -> float:
        return MARGIN + self.column * (COLUMN + GAP)

    @property
    def width(self) -> float:
        return self.columns * COLUMN + (self.columns - 1) * GAP

    @property
    def middle(self) -> float:
        return self.left + self.width / 2

    @property
    def bottom(self) -> float:
        return self.top + self.height


INPUTS = [
    Box("checkpoints", ["of every run and epoch"], "input", 0, 20, 56),
    Box("probing set", ["images"], "input", 1, 20, 56),
    Box("CLIP, concept list", ["--clip, --concepts"], "input", 2, 20, 56),
    Box("truth", ["--truth, --class-names"], "input", 3, 20, 56),
    Box("anchors", ["--anchors"], "input", 4, 20, 56),
]
READERS = [
    Box("checkpoints/", ["find, names, weights;", "formats/"], "reader", 0, 116, 76),
    Box("images/", ["files, preprocessing,", "pixels decoded once"], "reader", 1, 116, 76),
    Box("clip/, concepts.py", ["models, weights,", "vectors in CLIP's space"], "reader", 2, 116, 76),
]
STAGES = [
    Box(
        "extraction/",
        ["networks, layers, hooks:", "an activation for every", "unit and image"],
        "stage",
        0,
        246,
        96,
    ),
    Box("scoring/", ["similarity/, priors,", "significance: a label", "for every unit"], "stage", 1, 246, 96),
    Box("evaluation/", ["annotations, classes:", "how many labels", "are right"], "stage", 2, 246, 96),
    Box("embedding/", ["vectors, layouts/,", "fidelity: a place", "for every unit"], "stage", 3, 246, 96),
    Box("reporting/", ["tables/, figures/,", "page/: what people", "read"], "stage", 4, 246, 96),
]
TABLES = [
    Box("activations", ["checkpoints, images,", "shards"], "table", 0, 396, 76),
    Box("units, concepts", ["vocabulary"], "table", 1, 396, 76),
    Box("agreement", ["detections"], "table", 2, 396, 76),
    Box("layout", ["fidelity"], "table", 3, 396, 76),
    Box("report/", ["d_anchor and others,", "figures, index.html"], "table", 4, 396, 76),
]
BASE = [
    Box(
        "workspace/",
        ["where each table lies, its schema, and what it was made from, so that it is known when it is out of date"],
        "base", 0, 520, 50, 5,
    ),
    Box(
        "storage/",
        ["what lies in a store, by URL: copies of inputs, paths in a workspace, and leases in the place of locks"],
        "base", 0, 586, 50, 5,
    ),
    Box(
        "distributed/",
        ["many tasks of one stage: on the machines of a Ray cluster, or in several programs, each with its part"],
        "base", 0, 652, 50, 5,
    ),
    Box(
        "cli/, api.py, watching/",
        ["four commands, and the same four stages as functions: they call the stages one after another"],
        "base", 0, 718, 50, 5,
    ),
]  # fmt: skip
BOXES = [*INPUTS, *READERS, *STAGES, *TABLES, *BASE]


def arrows() -> Iterator[str]:
    """SVG paths."""
    extraction, scoring, evaluation, embedding, reporting = STAGES
    checkpoints, images, clip = READERS
    for given, reader in zip(INPUTS, READERS, strict=False):
        yield _straight(given.middle, given.bottom, reader.middle, reader.top)
    yield _straight(checkpoints.middle, checkpoints.bottom, extraction.middle, extraction.top)
    yield _straight(images.middle - 40, images.bottom, extraction.middle + 50, extraction.top)
    yield _straight(images.middle, images.bottom, scoring.middle, scoring.top)
    yield _straight(clip.middle - 40, clip.bottom, scoring.middle + 50, scoring.top)
    for given, stage in ((INPUTS[3], evaluation), (INPUTS[4], embedding)):
        yield _straight(given.middle, given.bottom, stage.middle + 70, stage.top)
    for stage, table in zip(STAGES, TABLES, strict=True):
        yield _straight(stage.middle, stage.bottom, table.middle, table.top)
    activations, units, _, layout, _ = TABLES
    for table, stage in ((activations, scoring), (units, evaluation), (layout, reporting)):
        yield _straight(table.left + table.width - 20, table.top, stage.left, stage.bottom - 20)
    # Units go on to embedding and reporting, below the tables that lie between.
    for stage in (embedding, reporting):
        lane, side = units.bottom + 24, stage.left - GAP / 2
        yield f"M{units.middle:g} {units.bottom:g}V{lane:g}H{side:g}V{stage.top + 40:g}H{stage.left:g}"


def _straight(x: float, y: float, to_x: float, to_y: float) -> str:
    return f"M{x:g} {y:g}L{to_x:g} {to_y:g}"


def svg() -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif">',
        "<title>The folders of cmon and the way of the data through them</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{MUTED}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
    ]
    parts += [
        f'<path d="{path}" stroke="{MUTED}" stroke-width="1.5" fill="none" marker-end="url(#head)"/>'
        for path in arrows()
    ]
    for box in BOXES:
        parts += _drawn(box)
    return "\n".join([*parts, "</svg>", ""])


def _drawn(box: Box) -> Iterator[str]:
    radius = 18 if box.kind == "input" else 5
    yield (
        f'<rect x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}" rx="{radius}"'
        f' fill="{FILLS[box.kind]}" stroke="{EDGES[box.kind]}" stroke-width="1.5"/>'
    )
    first = box.top + (box.height - 18 * len(box.lines)) / 2 + 5
    yield (
        f'<text x="{box.middle:g}" y="{first:g}" text-anchor="middle" font-size="16" font-weight="600"'
        f' fill="{INK}">{escape(box.title)}</text>'
    )
    for number, line in enumerate(box.lines, start=1):
        yield (
            f'<text x="{box.middle:g}" y="{first + 18 * number:g}" text-anchor="middle" font-size="13"'
            f' fill="{MUTED}">{escape(line)}</text>'
        )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(), encoding="utf-8")
