"""What the report's page shows, put together from the tables, the figures and the probe images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from cmon.reporting.findings import findings, warnings
from cmon.reporting.inputs import StoredTables
from cmon.reporting.page import content, explorer_data, table_views, thumbnail_cache, thumbnails
from cmon.reporting.page.views import FigureView, Page
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.stored_paths import fetch_images, find_image
from cmon.workspace.workspace import Workspace

_PICTURE_SIZE = 160
"""Pixels of a top image in the figures: 0.53 inches at 300 dpi."""
_STAGES = {"extract": "shards", "probe images": "images", "score": "units", "embed": "layout"}


@dataclass(frozen=True)
class Thumbnails:
    """Probe images that the page shows, by image_id."""

    pictures: dict[int, bytes]
    missing: dict[int, str]
    """Why there is no picture, by image_id."""


class ImageFiles:
    """Where the probe images are. root, images: as `find_image` takes them."""

    def __init__(self, stored: StoredTables, root: Path, images: Path | None = None) -> None:
        self._rows = stored.images.set_index("image_id")
        self._root, self._images = root, images

    def of(self, images: Iterable[int]) -> dict[int, tuple[Path, str]]:
        """image_id to the file and to the hash of what was scored."""
        known = self._rows.loc[sorted(images)].to_dict("index")
        fetch_images(known.values(), self._images)
        return {
            int(image): (find_image(row, self._root, self._images), row["sha256"])
            for image, row in known.items()
        }


def load_pictures(
    stored: StoredTables, tracked: Sequence[TrackedUnit], files: ImageFiles
) -> dict[int, np.ndarray]:
    """The images that the figures show: (S,S,3) uint8 by image_id, without those that cannot be shown."""
    shown = top_images.image_ids(stored.units, stored.runs, tracked)
    found, _ = thumbnails.read_pictures(files.of(shown), _PICTURE_SIZE)
    return {image: np.asarray(picture) for image, picture in found.items()}


def load_thumbnails(
    workspace: Workspace,
    stored: StoredTables,
    tracked: Sequence[TrackedUnit],
    files: ImageFiles,
    progress: Progress = silent,
) -> Thumbnails:
    """The images that the page shows; only those are scaled that no page of the workspace showed before."""
    tracked_images = top_images.image_ids(stored.units, stored.runs, tracked)
    shown = files.of({*explorer_data.image_ids(stored.units), *tracked_images})
    known = thumbnail_cache.read(workspace)
    pictures, missing = thumbnails.read_thumbnails(shown, progress, known)
    made = {shown[image][1]: picture for image, picture in pictures.items() if shown[image][1]}
    if made.keys() != known.keys():
        thumbnail_cache.write(workspace, made)
    return Thumbnails(pictures, missing)


def build_page(
    workspace: Workspace,
    origin: str,
    inputs: FigureInputs,
    missing: Mapping[int, str],
    svgs: Mapping[str, Mapping[Theme, Path]],
    settings: Mapping[str, Any],
    files: Mapping[str, Sequence[tuple[str, str]]],
) -> Page:
    """Put the page's parts together.

    origin: what the report was made from. missing: why an image is not shown, by image_id. svgs: what
    `catalog.page_paths` gives. settings: the report's, by name. files: what `storage.file_links` gives for the
    report's files.
    """
    stored, tables, units = inputs.stored, inputs.tables, inputs.stored.units
    rows = content.unit_rows(units)
    title, subtitle = content.heading(
        str(workspace.parameters("shards").get("model", "")),
        str(workspace.parameters("units").get("clip", "")),
        stored.images,
    )
    return Page(
        origin=origin,
        version=cmon.__version__,
        title=title,
        subtitle=subtitle,
        facts=content.facts(units, stored.images, stored.layout, stored.n_concepts),
        findings=findings(tables["d_anchor"], inputs.main, tables["training"], tables["seeds"]),
        warnings=warnings(tables["d_anchor"], tables["diversity"], inputs.main),
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
                svgs[figure.name][style.LIGHT].read_bytes(),
                svgs[figure.name][style.DARK].read_bytes(),
            )
            for figure in FIGURES
        },
        files=files,
        tracked=content.tracked_views(inputs.tracked, units, stored.concepts),
        d_anchor_table=table_views.d_anchor_table(tables["d_anchor"]),
        frequent=table_views.frequent_tables(units),
        movement=table_views.movement_table(tables["movement"], tables["diversity"]),
        units=rows,
        more_units=len(last_epochs(units)) - len(rows),
        statuses=table_views.status_table(tables["status"]),
        costs=table_views.cost_table([dict(row) for _, row in stored.costs.iterrows()]),
        skipped=content.skipped(stored.checkpoints, stored.images, missing),
        parameters=[
            *[(stage, content.parameter_list(workspace.parameters(name))) for stage, name in _STAGES.items()],
            ("report", content.parameter_list(settings)),
        ],
        over_runs=table_views.seed_tables(tables["seeds"], tables["seed_comparison"]),
    )
