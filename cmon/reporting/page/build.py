"""What the report's page shows, put together from the tables, the figures and the probe images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cmon
from cmon.progress import Progress, silent
from cmon.reporting.epochs import last_epochs
from cmon.reporting.figures import embedding, style
from cmon.reporting.figures import tracked as tracked_figure
from cmon.reporting.figures.catalog import Sources
from cmon.reporting.figures.style import Theme
from cmon.reporting.findings import findings as find
from cmon.reporting.inputs import Frames
from cmon.reporting.page import content, explorer_data, thumbnails
from cmon.reporting.page import tables as page_tables
from cmon.reporting.page.html import FigureView, Page
from cmon.reporting.tracked import Tracked
from cmon.workspace.workspace import Workspace

_PICTURE_SIZE = 160
"""Pixels of a top image in the figures: 0.53 inches at 300 dpi."""
_TITLES = {
    "embedding": "The embedding",
    "d_anchor": "d_anchor over training",
    "interpretable": "Interpretable units by category",
    "side-by-side": "Side by side",
    "movement": "Movement and diversity",
}
_STAGES = {"extract": "shards", "probe images": "images", "score": "units", "embed": "layout"}


@dataclass(frozen=True)
class Pictures:
    """Probe images to be shown, by image_id."""

    large: dict[int, np.ndarray]
    """(S,S,3) uint8: of the tracked units, for the figures."""
    small: dict[int, bytes]
    """The page's thumbnails."""
    missing: dict[int, str]
    """Why there is no picture."""


def pictures(
    frames: Frames,
    tracked: Sequence[Tracked],
    progress: Progress = silent,
) -> Pictures:
    """Read all images that the figures and the page show."""
    followed = tracked_figure.image_ids(frames.units, frames.runs, tracked)
    shown = sorted({*explorer_data.image_ids(frames.units), *followed})
    known = frames.images.set_index("image_id")[["path", "sha256"]].loc[shown]
    files = {image: (Path(path), sha256) for image, path, sha256 in known.itertuples(name=None)}
    large, _ = thumbnails.load({image: files[image] for image in sorted(followed)}, _PICTURE_SIZE)
    small, missing = thumbnails.small(files, progress)
    return Pictures({image: np.asarray(one) for image, one in large.items()}, small, missing)


def page(
    workspace: Workspace,
    origin: str,
    sources: Sources,
    pictures: Pictures,
    svgs: Mapping[str, Mapping[Theme, bytes]],
    settings: Mapping[str, Any],
    files: Mapping[str, Sequence[tuple[str, str]]],
) -> Page:
    """The page's parts.

    origin: what the report was made from. svgs: what `report_figures.write` gave. settings: the report's, by name.
    files: what `page_files.links` gives for the report's files.
    """
    frames, tables = sources.frames, sources.tables
    units, layout, d_anchor = frames.units, frames.layout, tables["d_anchor"]
    findings = find(d_anchor)
    moments = content.tracked_moments(sources.tracked, units, frames.concepts)
    rows = content.unit_rows(units)
    return Page(
        origin=origin,
        version=cmon.__version__,
        title="What the neurons learn",
        facts=content.facts(units, frames.images, layout, frames.concepts),
        findings=findings,
        explorer=explorer_data.data(
            units,
            layout,
            dict(frames.images[["image_id", "path"]].itertuples(index=False, name=None)),
            sources.tracked,
        ),
        figures={
            name: _figure(name, both, sources, findings, settings["confidence"])
            for name, both in svgs.items()
        },
        files=files,
        tracked=moments,
        d_anchor_table=page_tables.d_anchor_table(d_anchor),
        frequent=page_tables.frequent_tables(units),
        movement=page_tables.movement_table(tables["movement"]),
        units=rows,
        more_units=len(last_epochs(units)) - len(rows),
        statuses=page_tables.status_table(tables["status"]),
        costs=page_tables.cost_table([dict(row) for _, row in frames.costs.iterrows()]),
        skipped=content.skipped(frames.checkpoints, frames.images, pictures.missing),
        parameters=[
            *[(stage, content.parameter_list(workspace.parameters(name))) for stage, name in _STAGES.items()],
            ("report", content.parameter_list(settings)),
        ],
    )


def _figure(
    name: str,
    svgs: Mapping[Theme, bytes],
    sources: Sources,
    findings: Sequence[tuple[str, str]],
    confidence: float,
) -> FigureView:
    layout = sources.frames.layout
    anchors = int((layout["kind"] == "anchor").sum())
    some = (
        f" Of {anchors} anchors, those nearest to most neurons are labelled."
        if anchors > embedding.MOST_LABELS
        else ""
    )
    caption = content.CAPTIONS[name].format(confidence=confidence, labels=some)
    said = " ".join(f"{subject}: {words}" for subject, words in findings)
    alt = {
        "embedding": content.embedding_alt(layout, sources.tables["d_anchor"]),
        "d_anchor": f"Line charts by epoch. {said}",
        "interpretable": f"Stacked bars by epoch. {said}",
        "side-by-side": "Bars of the most frequent concepts and of the categories' shares, run beside run.",
        "movement": "Line charts by epoch of how far units move and how their labels change, in the table below.",
    }[name]
    return FigureView(name, _TITLES[name], caption, alt, svgs[style.LIGHT], svgs[style.DARK])
