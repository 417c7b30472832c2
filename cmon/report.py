"""Stage 4: from the tables to what a person reads.

units, layout --bootstrap--> report/d_anchor, report/movement (.csv, .md, .parquet)
units, layout, probe images --matplotlib--> report/embedding, d_anchor, interpretable, tracked-RUN (.png, .svg)
all of them --jinja2--> report/index.html, written last: when it is there, all is there
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
from matplotlib.figure import Figure
from PIL import Image

import cmon
from cmon import (
    costs,
    distances,
    explorer,
    figures,
    maps,
    measures,
    movement,
    page_files,
    page_tables,
    schemas,
    style,
    text,
    thumbnails,
    tracking,
    views,
)
from cmon.errors import CmonError
from cmon.page import FigureView, Page, TrackedView, UnitRow
from cmon.store import Workspace, digest, read_table, written_whole
from cmon.style import Theme
from cmon.tracking import Tracked

Progress = Callable[..., Iterable[Any]]
_TABLES = ("images", "checkpoints", "shards", "units", "concepts", "layout")
_ON_PAGE = ("embedding", "d_anchor", "interpretable")
"""Figures that the page shows as they are; tracked units' images stand there one by one."""
_PICTURE_SIZE = 160
"""Pixels of a top image in the figures: 0.55 inches at 300 dpi."""


@dataclass(frozen=True)
class Settings:
    """What `cmon report` was asked for, but where."""

    track: tuple[tuple[str, int], ...] = ()
    """(layer, unit) to follow; empty to let `tracking.chosen` choose."""
    seed: int = 0
    """Of the bootstrap."""
    confidence: float = 0.95
    max_html_mb: float = 25.0
    """Megabytes up to which the page holds its thumbnails; beyond, they lie in a folder beside it."""


@dataclass(frozen=True)
class Summary:
    """What the stage made."""

    page: Path
    figures: tuple[Path, ...]
    d_anchor: pa.Table
    """schemas.D_ANCHOR."""
    findings: tuple[tuple[str, str], ...]
    """(run or other subject, what is said of it)."""
    missing_images: int
    """Top images that could not be shown, moved or changed since they were extracted; 0 if nothing was made."""
    images_beside: int
    """Thumbnails that lie beside the page, which has no room for them."""
    made: bool
    """False if everything was fresh."""


@dataclass(frozen=True)
class Tables:
    """The workspace's tables as DataFrames in the order of `measures.in_order`."""

    images: pd.DataFrame
    checkpoints: pd.DataFrame
    units: pd.DataFrame
    concepts: pd.DataFrame
    layout: pd.DataFrame
    """Anchors first."""
    costs: list[dict[str, Any]]
    """Of the other stages."""

    @property
    def places(self) -> pd.DataFrame:
        """The units of `layout`."""
        return self.layout[self.layout["kind"] == "unit"]


@dataclass(frozen=True)
class Content:
    """What the report says, before it is drawn and written."""

    tracked: list[Tracked]
    d_anchor: pd.DataFrame
    movement: pd.DataFrame
    findings: tuple[tuple[str, str], ...]
    moments: list[TrackedView]
    unit_rows: list[UnitRow]
    pictures: dict[int, Image.Image]
    """By image_id: of the tracked units, for the figures."""
    small: dict[int, bytes]
    """By image_id: the page's thumbnails."""
    missing: dict[int, str]
    """image_id to the reason why there is no picture."""


def report(workspace: Workspace, settings: Settings, progress: Progress = lambda items, *_: items) -> Summary:
    """Write the report's tables, figures and page, unless they are there and fresh.

    Raises CmonError when an earlier stage has not run, the layout is not of these units, or there is no such
    unit to track.
    """
    earlier_costs = _costs(workspace)
    key = digest(
        [workspace.key(name) for name in _TABLES],
        earlier_costs,
        asdict(settings),
        cmon.__version__,
        schemas.VERSION,
    )
    runs = workspace.read("units")["run"].unique().to_pylist()
    target, drawings, written = _outputs(workspace, runs)
    if page_files.is_fresh(workspace, key) and all(path.is_file() for path in (*drawings, *written)):
        d_anchor = read_table(workspace.report / "d_anchor.parquet")
        findings = tuple(views.findings(d_anchor.to_pandas()))
        beside = page_files.images_beside(workspace)
        return Summary(target, drawings, d_anchor, findings, 0, beside, made=False)

    with costs.measured(workspace, "report", "figures") as work:
        tables = _tables(workspace, earlier_costs)
        content = _content(tables, settings, progress)
        svgs = _write_figures(workspace, tables, content, progress)
        for old in workspace.report.glob("tracked-*.*"):
            if old not in drawings:  # of a run that is gone
                old.unlink()
        d_anchor = _write_table(workspace, "d_anchor", content.d_anchor, schemas.D_ANCHOR, key)
        _write_table(workspace, "movement", content.movement, schemas.MOVEMENT, key)
        shown = _page(workspace, key, tables, content, settings, svgs, (*drawings, *written))
        beside = page_files.write(workspace, shown, content.small, settings.max_html_mb)
        work.items = len(drawings)
    missing = len(content.missing)
    return Summary(target, drawings, d_anchor, content.findings, missing, beside, made=True)


def _outputs(workspace: Workspace, runs: Sequence[str]) -> tuple[Path, tuple[Path, ...], tuple[Path, ...]]:
    """All files of a report: the page, the figures, the tables."""
    drawn = [*_ON_PAGE, *[_tracked_name(run) for run in runs]]
    drawings = tuple(workspace.report / f"{name}.{form}" for name in drawn for form in ("png", "svg"))
    written = tuple(
        workspace.report / f"{name}.{form}"
        for name in ("d_anchor", "movement")
        for form in ("csv", "md", "parquet")
    )
    return page_files.path(workspace), drawings, written


def _tables(workspace: Workspace, earlier_costs: list[dict[str, Any]]) -> Tables:
    """Read all tables; the units of `layout` must be those of `units`."""
    frames = {name: workspace.read(name).to_pandas() for name in _TABLES}
    units = measures.in_order(frames["units"])
    anchors = frames["layout"][frames["layout"]["kind"] == "anchor"]
    places = measures.in_order(frames["layout"][frames["layout"]["kind"] == "unit"])
    live, placed = (
        set(frame.loc[frame["status"] == "ok", [*measures.GROUP, "unit"]].itertuples(index=False, name=None))
        for frame in (units, places)
    )
    if live != placed:
        raise CmonError(
            f"{workspace.table('layout')}: was not made from these units",
            expected=f"the {len(live)} live units of the table 'units'",
            found=f"{len(placed)} placed units, {len(live & placed)} of them the same",
            hint=f"run `cmon embed {workspace.root}` again",
        )
    return Tables(
        frames["images"],
        frames["checkpoints"],
        units,
        frames["concepts"],
        pd.concat([anchors, places.astype(anchors.dtypes)], ignore_index=True),
        earlier_costs,
    )


def _costs(workspace: Workspace) -> list[dict[str, Any]]:
    """What the other stages cost; nothing if they were not measured."""
    path = workspace.table("costs")
    rows = read_table(path).to_pylist() if path.is_file() else []
    return [row for row in rows if row["stage"] != "report"]


def _content(tables: Tables, settings: Settings, progress: Progress) -> Content:
    units, places = tables.units, tables.places
    tracked = tracking.named(units, settings.track) if settings.track else tracking.chosen(units, places)
    d_anchor = distances.d_anchor(units, places, settings.seed, settings.confidence)
    moments = views.tracked_moments(tracked, units, tables.concepts)
    unit_rows = views.unit_rows(units)
    followed = {
        image for view in moments for run in view.runs.values() for one in run for image in one.images
    }
    shown = sorted({*explorer.image_ids(units), *followed})
    known = tables.images.set_index("image_id")[["path", "sha256"]].loc[shown]
    files = {image: (Path(path), sha256) for image, path, sha256 in known.itertuples(name=None)}
    pictures, _ = thumbnails.load({image: files[image] for image in sorted(followed)}, _PICTURE_SIZE)
    small, missing = thumbnails.small(files, progress)
    return Content(
        tracked=tracked,
        d_anchor=d_anchor,
        movement=movement.of_layers(units, places),
        findings=tuple(views.findings(d_anchor)),
        moments=moments,
        unit_rows=unit_rows,
        pictures=pictures,
        small=small,
        missing=missing,
    )


def _write_figures(
    workspace: Workspace, tables: Tables, content: Content, progress: Progress
) -> dict[str, dict[Theme, bytes]]:
    """Write every figure; give the SVGs of those that the page shows, by name and ground."""
    drawn = _figures(tables, content)
    svgs: dict[str, dict[Theme, bytes]] = {}
    for name, draw in progress(drawn.items(), "drawing figures", len(drawn)):
        figure = draw(style.LIGHT)
        files = {form: _drawn(figure, form, style.LIGHT) for form in ("png", "svg")}
        for form, data in files.items():
            _write_bytes(workspace, f"{name}.{form}", data)
        if name in _ON_PAGE:
            dark = _drawn(draw(style.DARK), "svg", style.DARK)
            svgs[name] = {style.LIGHT: files["svg"], style.DARK: dark}
    return svgs


def _figures(tables: Tables, content: Content) -> dict[str, Callable[[Theme], Figure]]:
    """Each figure by name, to be drawn on a ground."""
    pictures = {image: np.asarray(one) for image, one in content.pictures.items()}

    def top_images(run: str) -> Callable[[Theme], Figure]:
        cells = views.tracked_cells(content.moments, run)
        title = f"What activates the tracked neurons most, in {run}"
        return lambda theme: figures.tracked_images(cells, pictures, title, theme)

    return {
        "embedding": lambda theme: maps.embedding(tables.layout, content.d_anchor, content.tracked, theme),
        "d_anchor": lambda theme: figures.d_anchor_curves(content.d_anchor, theme),
        "interpretable": lambda theme: figures.interpretable_shares(tables.units, theme),
        **{_tracked_name(run): top_images(run) for run in tables.units["run"].unique()},
    }


def _page(
    workspace: Workspace,
    key: str,
    tables: Tables,
    content: Content,
    settings: Settings,
    svgs: Mapping[str, Mapping[Theme, bytes]],
    files: Sequence[Path],
) -> Page:
    said = " ".join(f"{subject}: {words}" for subject, words in content.findings)

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
        title="What the neurons learn",
        facts=views.facts(tables.units, tables.images, tables.layout, tables.concepts),
        findings=content.findings,
        explorer=explorer.data(
            tables.units,
            tables.layout,
            dict(tables.images[["image_id", "path"]].itertuples(index=False, name=None)),
            content.tracked,
        ),
        figures={
            "embedding": figure(
                "embedding", "The embedding", views.embedding_alt(tables.layout, content.d_anchor)
            ),
            "d_anchor": figure("d_anchor", "d_anchor over training", f"Line charts by epoch. {said}"),
            "interpretable": figure(
                "interpretable", "Interpretable units by category", f"Stacked bars by epoch. {said}"
            ),
        },
        files=page_files.links(files),
        tracked=content.moments,
        d_anchor_table=page_tables.d_anchor_table(content.d_anchor),
        frequent=page_tables.frequent_tables(tables.units),
        movement=page_tables.movement_table(content.movement),
        units=content.unit_rows,
        more_units=len(measures.last_epochs(tables.units)) - len(content.unit_rows),
        statuses=page_tables.status_table(tables.units),
        costs=page_tables.cost_table(tables.costs),
        skipped=views.skipped(tables.checkpoints, tables.images, content.missing),
        parameters=[
            *[(stage, views.parameter_list(workspace.parameters(name))) for stage, name in stages.items()],
            ("report", views.parameter_list(asdict(settings))),
        ],
    )


def _tracked_name(run: str) -> str:
    return "tracked-" + quote(run, safe=" ._-")


def _drawn(figure: Figure, form: str, theme: Theme) -> bytes:
    buffer = io.BytesIO()
    style.save(figure, buffer, form, theme)
    return buffer.getvalue()


def _write_bytes(workspace: Workspace, name: str, content: bytes) -> None:
    with written_whole(workspace.report / name) as aside:
        aside.write_bytes(content)
    workspace.written_bytes += len(content)


def _write_table(
    workspace: Workspace, name: str, frame: pd.DataFrame, schema: pa.Schema, key: str
) -> pa.Table:
    """Write one table as Parquet, CSV and Markdown."""
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    workspace.write(workspace.report / f"{name}.parquet", table, key)
    _write_bytes(workspace, f"{name}.csv", text.csv(table).encode())
    _write_bytes(workspace, f"{name}.md", text.markdown(table).encode())
    return table
