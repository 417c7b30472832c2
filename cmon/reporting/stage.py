"""Stage 4: from the tables to what a person reads.

units, concepts, layout --> tables.catalog.TABLES (.csv, .parquet, .md, .tex)
these tables, units, layout, probe images --matplotlib--> embedding, d_anchor, ..., tracked-RUN (.png, .svg)
all of them --jinja2--> report/index.html, written last: when it is there, all is there
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

import cmon
from cmon.errors import CmonError, nearest_names
from cmon.progress import Progress, silent
from cmon.reporting import findings, inputs, tracking, training_log
from cmon.reporting.figures.catalog import figure_paths, write_figures
from cmon.reporting.figures.report_figure import FigureInputs
from cmon.reporting.page import build as report_page
from cmon.reporting.page import files as page_files
from cmon.reporting.tables.catalog import TableInputs, make_tables, table_paths, write_tables
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest, file_digest
from cmon.workspace.keys import GROUP
from cmon.workspace.workspace import Workspace, read_table


@dataclass(frozen=True)
class ReportSettings:
    """What `cmon report` was asked for, but where."""

    track: tuple[tuple[str, int], ...] = ()
    """(layer, unit) to follow; empty to let `tracking.choose` choose."""
    seed: int = 0
    """Of the bootstrap."""
    confidence: float = 0.95
    metrics: tuple[tuple[str, Path], ...] = ()
    """(run, CSV file of what its training logged)."""
    max_html_mb: float = 25.0
    """Megabytes up to which the page holds its thumbnails; beyond, they lie in a folder beside it."""


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
    """(run or other subject, what is said of it)."""
    missing_images: int
    """Top images that could not be shown, moved or changed since they were extracted; 0 if nothing was made."""
    images_beside: int
    """Thumbnails that lie beside the page, which has no room for them."""
    made: bool
    """False if everything was fresh."""


def report(workspace: Workspace, settings: ReportSettings, progress: Progress = silent) -> ReportResult:
    """Write the report's tables, figures and page, unless they are there and fresh.

    Raises CmonError when an earlier stage has not run, the layout is not of these units, there is no such unit
    to track, or no such run or nothing to read in the metrics.
    """
    origin = digest(
        [workspace.origin(name) for name in inputs.TABLES],
        inputs.earlier_costs(workspace).to_dict("records"),
        inputs.fidelity_origin(workspace),
        [_metrics_digest(path) for _, path in settings.metrics],
        asdict(settings),
        cmon.__version__,
        schemas.VERSION,
    )
    provenance.check_scores(workspace)
    provenance.check_layout(workspace)
    units = workspace.read("units").select(GROUP).to_pandas()
    runs = list(inputs.embedded(workspace, units)["run"].unique())
    drawings = figure_paths(workspace.report, runs)
    written = table_paths(workspace.report)
    if page_files.is_fresh(workspace, origin) and all(path.is_file() for path in (*drawings, *written)):
        return _summary(workspace, drawings, missing=0, made=False)

    with costs.measured(workspace, "report", "figures") as work:
        tables = inputs.read(workspace)
        training = _training(settings.metrics, tables.runs)
        tracked = (
            tracking.requested(tables.units, settings.track)
            if settings.track
            else tracking.choose(tables.units, tables.places)
        )
        made = make_tables(TableInputs(tables, settings.seed, settings.confidence, training))
        pictures = report_page.pictures(tables, tracked, progress)
        figure_inputs = FigureInputs(tables, made, settings.confidence, tracked, pictures.large)
        svgs = write_figures(workspace, figure_inputs, progress)
        write_tables(workspace, made, origin)
        page = report_page.page(
            workspace,
            origin,
            figure_inputs,
            pictures,
            svgs,
            asdict(settings),
            page_files.links((*drawings, *written)),
        )
        page_files.write(workspace, page, pictures.small, settings.max_html_mb)
        work.items = len(drawings)
    return _summary(workspace, drawings, missing=len(pictures.missing), made=True)


def _summary(workspace: Workspace, drawings: Sequence[Path], *, missing: int, made: bool) -> ReportResult:
    table = read_table(workspace.report / "d_anchor.parquet")
    d_anchor = table.to_pandas()
    found, numbers = tuple(findings.findings(d_anchor)), findings.headlines(d_anchor)
    target, beside = page_files.path(workspace), page_files.images_beside(workspace)
    return ReportResult(target, tuple(drawings), table, numbers, found, missing, beside, made)


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
    """training_log.TRAINING; a run that is not in the workspace is an error."""
    for run, path in metrics:
        if run not in runs:
            raise CmonError(
                f"--metrics {run}={path}: the workspace has no run {run!r}",
                expected="one of " + ", ".join(runs),
                found=run,
                hint=nearest_names(run, runs),
            )
    empty = pd.DataFrame(columns=training_log.TRAINING.names)
    found = [training_log.read(path, run) for run, path in metrics]
    return pd.concat(found, ignore_index=True) if found else empty
