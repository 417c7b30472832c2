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
from cmon.reporting.figures import style, top_images
from cmon.reporting.figures.catalog import FIGURES
from cmon.reporting.figures.report_figure import FigureInputs
from cmon.reporting.figures.style import Theme
from cmon.reporting.findings import findings
from cmon.reporting.inputs import StoredTables
from cmon.reporting.page import content, explorer_data, table_views, thumbnails
from cmon.reporting.page.views import FigureView, Page
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.stored_paths import find_image
from cmon.workspace.workspace import Workspace

_PICTURE_SIZE = 160
"""Pixels of a top image in the figures: 0.53 inches at 300 dpi."""
_STAGES = {"extract": "shards", "probe images": "images", "score": "units", "embed": "layout"}


@dataclass(frozen=True)
class Pictures:
    """Probe images that are shown, by image_id."""

    large: dict[int, np.ndarray]
    """(S,S,3) uint8: of the tracked units, for the figures."""
    small: dict[int, bytes]
    """The page's thumbnails."""
    missing: dict[int, str]
    """Why there is no picture, by image_id."""


def load_pictures(
    stored: StoredTables,
    tracked: Sequence[TrackedUnit],
    progress: Progress = silent,
    *,
    root: Path,
    images: Path | None = None,
) -> Pictures:
    """Read all images that the figures and the page show. root, images: as `find_image` takes them."""
    tracked_images = top_images.image_ids(stored.units, stored.runs, tracked)
    shown = sorted({*explorer_data.image_ids(stored.units), *tracked_images})
    known = stored.images.set_index("image_id").loc[shown].to_dict("index")
    files = {int(image): (find_image(row, root, images), row["sha256"]) for image, row in known.items()}
    large, _ = thumbnails.read_pictures(
        {image: files[image] for image in sorted(tracked_images)}, _PICTURE_SIZE
    )
    small, missing = thumbnails.read_thumbnails(files, progress)
    return Pictures({image: np.asarray(picture) for image, picture in large.items()}, small, missing)


def build_page(
    workspace: Workspace,
    origin: str,
    inputs: FigureInputs,
    pictures: Pictures,
    svgs: Mapping[str, Mapping[Theme, bytes]],
    settings: Mapping[str, Any],
    files: Mapping[str, Sequence[tuple[str, str]]],
) -> Page:
    """Put the page's parts together.

    origin: what the report was made from. svgs: what `write_figures` gave. settings: the report's, by name.
    files: what `storage.file_links` gives for the report's files.
    """
    stored, tables, units = inputs.stored, inputs.tables, inputs.stored.units
    rows = content.unit_rows(units)
    return Page(
        origin=origin,
        version=cmon.__version__,
        title="What the neurons learn",
        facts=content.facts(units, stored.images, stored.layout, stored.concepts),
        findings=findings(tables["d_anchor"]),
        explorer=explorer_data.explorer_data(
            units,
            stored.layout,
            dict(stored.images[["image_id", "path"]].itertuples(index=False, name=None)),
            inputs.tracked,
        ),
        figures={
            figure.name: FigureView(
                figure.name,
                figure.title,
                figure.caption(inputs),
                figure.alt(inputs),
                svgs[figure.name][style.LIGHT],
                svgs[figure.name][style.DARK],
            )
            for figure in FIGURES
        },
        files=files,
        tracked=content.tracked_views(inputs.tracked, units, stored.concepts),
        d_anchor_table=table_views.d_anchor_table(tables["d_anchor"]),
        frequent=table_views.frequent_tables(units),
        movement=table_views.movement_table(tables["movement"]),
        units=rows,
        more_units=len(last_epochs(units)) - len(rows),
        statuses=table_views.status_table(tables["status"]),
        costs=table_views.cost_table([dict(row) for _, row in stored.costs.iterrows()]),
        skipped=content.skipped(stored.checkpoints, stored.images, pictures.missing),
        parameters=[
            *[(stage, content.parameter_list(workspace.parameters(name))) for stage, name in _STAGES.items()],
            ("report", content.parameter_list(settings)),
        ],
    )
