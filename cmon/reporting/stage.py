"""Stage 4: from the tables to what people read.

units, concepts, layout --> tables.catalog.TABLES (.csv, .parquet, .md, .tex)
these tables, units, layout, probe images --matplotlib--> embedding, d_anchor, ..., tracked-RUN (.png, .svg)
all of them --jinja2--> report/index.html; then report/files.parquet, by which the next report makes only what changed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cmon.progress import Progress, silent
from cmon.reporting import findings, inputs, tracking, training_log
from cmon.reporting.figures.catalog import figure_paths, page_paths, write_figures
from cmon.reporting.figures.report_figure import FigureInputs
from cmon.reporting.layers import main_layer
from cmon.reporting.origins import made_with
from cmon.reporting.page import storage
from cmon.reporting.page.build import ImageFiles, build_page, load_pictures, load_thumbnails
from cmon.reporting.record import Record
from cmon.reporting.tables.catalog import TableInputs, make_tables, table_paths, write_tables
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest
from cmon.workspace.table_files import read_table
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class ReportSettings:
    """What `cmon report` was asked for, except the workspace."""

    track: tuple[tuple[str, int], ...] = ()
    """(layer, unit) to track; empty to let `tracking.choose` choose."""
    seed: int = 0
    """Of the bootstrap."""
    confidence: float = 0.95
    metrics: tuple[tuple[str, Path], ...] = ()
    """(run, CSV file of what its training logged)."""
    max_html_mb: float = 25.0
    """Megabytes up to which the page holds its thumbnails; beyond, they lie in a folder beside it."""
    images: Path | None = None
    """Where the probe images are now, if not where they were."""
    main_layer: str | None = None
    """The layer that headlines, tracked units and the comparison of runs are of; None for the last before the head."""


@dataclass(frozen=True)
class ReportResult:
    """What the stage made."""

    page: Path
    figures: tuple[Path, ...]
    d_anchor: pa.Table
    """tables.d_anchor.D_ANCHOR."""
    headlines: dict[str, Any]
    """What `findings.headlines` gives."""
    findings: tuple[tuple[str, str], ...]
    """(run, recipe over its runs or other subject, sentences about it)."""
    warnings: tuple[str, ...]
    """Why some of it says little."""
    missing_images: int
    """Top images that could not be shown, moved or changed since they were extracted; 0 if nothing was made."""
    images_beside: int
    """Thumbnails that lie beside the page, which has no room for them."""
    made: bool
    """False if everything was fresh."""


def report(workspace: Workspace, settings: ReportSettings, progress: Progress = silent) -> ReportResult:
    """Write the report's tables, figures and page, as far as they are not there as they would be written.

    Raises CmonError when an earlier stage has not run, the layout is not of these units, there is no such unit
    to track, or no such run or nothing to read in the metrics.
    """
    origin = _origin(workspace, settings)
    provenance.check(workspace, "layout")
    record = Record(workspace)
    figures = figure_paths(workspace.report, inputs.embedded_runs(workspace))
    files = [*figures, *table_paths(workspace.report)]
    whole = record.origin == origin and storage.is_fresh(workspace, record, origin)
    if whole and all(map(record.is_intact, files)):
        return _result(workspace, settings, figures, missing=0, made=False)
    with costs.measured(workspace, "report", "files") as work:
        missing = _write(workspace, settings, origin, record, files, progress)
        work.items = record.made
    return _result(workspace, settings, figures, missing=missing, made=record.made > 0)


def _origin(workspace: Workspace, settings: ReportSettings) -> str:
    """A hash of all that the report is made from."""
    return digest(
        [workspace.origin(name) for name in inputs.TABLES],
        inputs.earlier_costs(workspace).to_dict("records"),
        inputs.fidelity_origin(workspace),
        workspace.read("images")["path"].to_pylist(),  # `cmon extract` may have found them at another place
        [training_log.content_digest(path) for _, path in settings.metrics],
        asdict(settings),
        made_with(),
        schemas.VERSION,
    )


def _write(
    workspace: Workspace,
    settings: ReportSettings,
    origin: str,
    record: Record,
    files: Sequence[Path],
    progress: Progress,
) -> int:
    """Make what is not there; the page links to `files`. Returns how many top images could not be shown."""
    stored = inputs.read(workspace)
    training = training_log.read_all(settings.metrics, stored.runs)
    main = main_layer(stored.units, stored.shards, settings.main_layer)
    if settings.track:
        tracked = tracking.requested(stored.units, settings.track)
    else:
        tracked = tracking.choose(stored.units, stored.places, main)
    tables = make_tables(TableInputs(stored, settings.seed, settings.confidence, training))
    images = ImageFiles(stored, workspace.root, settings.images)
    pictures = load_pictures(stored, tracked, images)
    figure_inputs = FigureInputs(stored, tables, settings.confidence, main, tracked, pictures)
    write_figures(workspace, record, figure_inputs, progress)
    write_tables(workspace, record, tables)
    missing: dict[int, str] = {}
    if not storage.is_fresh(workspace, record, origin):
        shown = load_thumbnails(workspace, stored, tracked, images, progress)
        missing = shown.missing
        svgs, links = page_paths(workspace), storage.file_links(files)
        page = build_page(workspace, origin, figure_inputs, missing, svgs, asdict(settings), links)
        storage.write_page(workspace, record, page, shown.pictures, settings.max_html_mb)
    kept = [path for themes in page_paths(workspace).values() for path in themes.values()]
    record.finish([*files, *kept, storage.page_path(workspace)], origin)
    return len(missing)


def _result(
    workspace: Workspace, settings: ReportSettings, figures: Sequence[Path], *, missing: int, made: bool
) -> ReportResult:
    table = read_table(workspace.report / "d_anchor.parquet")
    d_anchor = table.to_pandas()
    main = main_layer(d_anchor, workspace.read("shards").to_pandas(), settings.main_layer)
    training = read_table(workspace.report / "training.parquet").to_pandas()
    diversity = read_table(workspace.report / "diversity.parquet").to_pandas()
    seeds = read_table(workspace.report / "seeds.parquet").to_pandas()
    return ReportResult(
        page=storage.page_path(workspace),
        figures=tuple(figures),
        d_anchor=table,
        headlines=findings.headlines(d_anchor, main, seeds),
        findings=tuple(findings.findings(d_anchor, main, training, seeds)),
        warnings=tuple(findings.warnings(d_anchor, diversity, main)),
        missing_images=missing,
        images_beside=storage.thumbnails_beside(workspace),
        made=made,
    )
