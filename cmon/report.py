"""Stage 4: from the tables to what a person reads.

units, concepts, layout --> report_tables.TABLES (.csv, .parquet, .md, .tex)
these tables, units, layout, probe images --matplotlib--> embedding, d_anchor, ..., tracked-RUN (.png, .svg)
all of them --jinja2--> report/index.html, written last: when it is there, all is there
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

import cmon
from cmon import (
    costs,
    frames,
    headlines,
    maps,
    page,
    page_tables,
    report_figures,
    report_schemas,
    report_tables,
    schemas,
    style,
    thumbnails,
    tracked_figure,
    tracking,
    training_metrics,
    views,
)
from cmon.errors import CmonError, nearest_names
from cmon.frames import Frames
from cmon.page import FigureView, Page, TrackedView, UnitRow
from cmon.store import Workspace, digest, file_digest, read_table
from cmon.style import Theme
from cmon.tracking import Tracked

Progress = Callable[..., Iterable[Any]]
_PICTURE_SIZE = 160
"""Pixels of a top image in the figures: 0.53 inches at 300 dpi."""
_THUMBNAIL_SIZE = 96
"""Pixels on the page."""


@dataclass(frozen=True)
class Settings:
    """What `cmon report` was asked for, but where."""

    track: tuple[tuple[str, int], ...] = ()
    """(layer, unit) to follow; empty to let `tracking.chosen` choose."""
    seed: int = 0
    """Of the bootstrap."""
    confidence: float = 0.95
    metrics: tuple[tuple[str, Path], ...] = ()
    """(run, CSV file of what its training logged)."""


@dataclass(frozen=True)
class Summary:
    """What the stage made."""

    page: Path
    figures: tuple[Path, ...]
    d_anchor: pa.Table
    """report_schemas.D_ANCHOR."""
    headlines: dict[str, Any]
    """What `headlines.headlines` gives."""
    findings: tuple[tuple[str, str], ...]
    """(run or other subject, what is said of it)."""
    missing_images: int
    """Top images that could not be shown, moved or changed since they were extracted; 0 if nothing was made."""
    made: bool
    """False if everything was fresh."""


@dataclass(frozen=True)
class Content:
    """What the report says, before it is drawn and written."""

    tracked: list[Tracked]
    tables: dict[str, pd.DataFrame]
    """By name: report_tables.TABLES."""
    findings: tuple[tuple[str, str], ...]
    moments: list[TrackedView]
    unit_rows: list[UnitRow]
    pictures: dict[int, Image.Image]
    """By image_id."""
    missing: dict[int, str]
    """image_id to the reason why there is no picture."""


def report(workspace: Workspace, settings: Settings, progress: Progress = lambda items, *_: items) -> Summary:
    """Write the report's tables, figures and page, unless they are there and fresh.

    Raises CmonError when an earlier stage has not run, the layout is not of these units, there is no such unit
    to track, or no such run or nothing to read in the metrics.
    """
    key = digest(
        [workspace.key(name) for name in frames.TABLES],
        frames.costs(workspace).to_dict("records"),
        frames.fidelity_key(workspace),
        [_metrics_digest(path) for _, path in settings.metrics],
        asdict(settings),
        cmon.__version__,
        schemas.VERSION,
    )
    runs = workspace.read("units")["run"].unique().to_pylist()
    target = workspace.report / "index.html"
    drawings = report_figures.paths(workspace.report, runs)
    written = report_tables.paths(workspace.report)
    if page.key_of(target) == key and all(path.is_file() for path in (*drawings, *written)):
        return _summary(workspace, target, drawings, missing=0, made=False)

    with costs.measured(workspace, "report", "figures") as work:
        tables = frames.read(workspace)
        content = _content(tables, settings, progress)
        pictures = {image: np.asarray(one) for image, one in content.pictures.items()}
        sources = report_figures.Sources(tables, content.tables, content.tracked, pictures)
        svgs = report_figures.write(workspace, sources, progress)
        report_tables.write(workspace, content.tables, key)
        html = page.render(_page(workspace, key, tables, content, settings, svgs))
        report_tables.write_bytes(workspace, target.name, html.encode())
        work.items = len(drawings)
    return _summary(workspace, target, drawings, missing=len(content.missing), made=True)


def _summary(
    workspace: Workspace, target: Path, drawings: Sequence[Path], *, missing: int, made: bool
) -> Summary:
    table = read_table(workspace.report / "d_anchor.parquet")
    d_anchor = table.to_pandas()
    findings = tuple(views.findings(d_anchor))
    numbers = headlines.headlines(d_anchor)
    return Summary(target, tuple(drawings), table, numbers, findings, missing, made)


def _metrics_digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise CmonError(
            f"--metrics {path}: cannot be read",
            expected="a CSV file with the column epoch and one column for each metric",
            found=error.strerror or str(error),
        ) from error


def _training(metrics: Sequence[tuple[str, Path]], runs: Sequence[str]) -> pd.DataFrame:
    """report_schemas.TRAINING; a run that is not in the workspace is an error."""
    for run, path in metrics:
        if run not in runs:
            raise CmonError(
                f"--metrics {run}={path}: the workspace has no run {run!r}",
                expected="one of " + ", ".join(runs),
                found=run,
                hint=nearest_names(run, runs),
            )
    empty = pd.DataFrame(columns=report_schemas.TRAINING.names)
    found = [training_metrics.read(path, run) for run, path in metrics]
    return pd.concat(found, ignore_index=True) if found else empty


def _content(tables: Frames, settings: Settings, progress: Progress) -> Content:
    units = tables.units
    training = _training(settings.metrics, tables.runs)
    tracked = (
        tracking.named(units, settings.track) if settings.track else tracking.chosen(units, tables.places)
    )
    made = report_tables.make(report_tables.Sources(tables, settings.seed, settings.confidence, training))
    moments = views.tracked_moments(tracked, units, tables.concepts)
    unit_rows = views.unit_rows(units)
    shown = {image for row in unit_rows for image in row.images}
    shown |= {image for view in moments for run in view.runs.values() for one in run for image in one.images}
    shown |= tracked_figure.image_ids(units, tables.runs, tracked)
    files = tables.images.set_index("image_id")
    pictures, missing = thumbnails.load(
        {image: (Path(files.at[image, "path"]), files.at[image, "sha256"]) for image in sorted(shown)},
        _PICTURE_SIZE,
        progress,
    )
    return Content(
        tracked=tracked,
        tables=made,
        findings=tuple(views.findings(made["d_anchor"])),
        moments=moments,
        unit_rows=unit_rows,
        pictures=pictures,
        missing=missing,
    )


def _page(
    workspace: Workspace,
    key: str,
    tables: Frames,
    content: Content,
    settings: Settings,
    svgs: Mapping[str, Mapping[Theme, bytes]],
) -> Page:
    said = " ".join(f"{subject}: {words}" for subject, words in content.findings)
    d_anchor = content.tables["d_anchor"]

    anchors = int((tables.layout["kind"] == "anchor").sum())
    labels = (
        f" Of {anchors} anchors, those nearest to most neurons are labelled."
        if anchors > maps.MOST_LABELS
        else ""
    )

    def figure(name: str, title: str, alt: str) -> FigureView:
        caption = views.CAPTIONS[name].format(confidence=settings.confidence, labels=labels)
        return FigureView(name, title, caption, alt, svgs[name][style.LIGHT], svgs[name][style.DARK])

    stages = {"extract": "shards", "probe images": "images", "score": "units", "embed": "layout"}
    return Page(
        key=key,
        version=cmon.__version__,
        title="What the neurons learned",
        facts=views.facts(tables.units, tables.images, tables.layout, tables.concepts),
        findings=content.findings,
        embedding=figure("embedding", "The embedding", views.embedding_alt(tables.layout, d_anchor)),
        d_anchor=figure("d_anchor", "d_anchor over training", f"Line charts by epoch. {said}"),
        shares=figure("interpretable", "Interpretable units by category", f"Stacked bars by epoch. {said}"),
        tracked=content.moments,
        d_anchor_table=page_tables.d_anchor_table(d_anchor),
        frequent=page_tables.frequent_tables(tables.units),
        movement=page_tables.movement_table(content.tables["movement"]),
        units=content.unit_rows,
        statuses=page_tables.status_table(tables.units),
        costs=page_tables.cost_table([dict(row) for _, row in tables.costs.iterrows()]),
        skipped=views.skipped(tables.checkpoints, tables.images, content.missing),
        parameters=[
            *[(stage, views.parameter_list(workspace.parameters(name))) for stage, name in stages.items()],
            ("report", views.parameter_list(asdict(settings))),
        ],
        thumbnails={
            image: thumbnails.data_uri(one, _THUMBNAIL_SIZE) for image, one in content.pictures.items()
        },
    )
