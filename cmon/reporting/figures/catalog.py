"""The figures of the report: which there are, and their files."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cmon.progress import Progress
from cmon.reporting.figures import curves, embedding, movement, side_by_side, style
from cmon.reporting.figures import tracked as tracked_figure
from cmon.reporting.figures.style import Theme
from cmon.reporting.inputs import Frames
from cmon.reporting.tables.catalog import write_bytes
from cmon.reporting.tracked import Tracked
from cmon.workspace.workspace import Workspace

ON_PAGE = ("embedding", "d_anchor", "interpretable", "side-by-side", "movement")
"""Figures of the whole report; the page shows tracked units' images one by one."""


@dataclass(frozen=True)
class Sources:
    """What the figures show."""

    frames: Frames
    tables: Mapping[str, pd.DataFrame]
    """What `report_tables.make` gave."""
    tracked: Sequence[Tracked]
    pictures: Mapping[int, np.ndarray]
    """(S,S,3) uint8 by image_id: of the tracked units' top images."""


def drawn(it: Sources) -> dict[str, Callable[[Theme], Figure]]:
    """Each figure by name, to be drawn on a ground."""
    units, tables = it.frames.units, it.tables

    def top_images(run: str) -> Callable[[Theme], Figure]:
        return lambda theme: tracked_figure.tracked_images(units, run, it.tracked, it.pictures, theme)

    return {
        "embedding": lambda theme: embedding.embedding(
            it.frames.layout, tables["d_anchor"], it.tracked, theme
        ),
        "d_anchor": lambda theme: curves.d_anchor_curves(tables["d_anchor"], tables["training"], theme),
        "interpretable": lambda theme: curves.interpretable_shares(
            tables["interpretable"], tables["status"], theme
        ),
        "side-by-side": lambda theme: side_by_side.comparison(
            units, tables["concept_counts"], tables["interpretable"], tables["concept_differences"], theme
        ),
        "movement": lambda theme: movement.movement_curves(tables["movement"], theme),
        **{_tracked_name(run): top_images(run) for run in it.frames.runs},
    }


def paths(folder: Path, runs: Sequence[str]) -> list[Path]:
    """All files that `write` makes."""
    names = [*ON_PAGE, *map(_tracked_name, runs)]
    return [folder / f"{name}.{form}" for name in names for form in ("png", "svg")]


def write(workspace: Workspace, sources: Sources, progress: Progress) -> dict[str, dict[Theme, bytes]]:
    """Write every figure; give the SVGs of those in ON_PAGE, by name and ground."""
    wanted = drawn(sources)
    svgs: dict[str, dict[Theme, bytes]] = {}
    for name, draw in progress(wanted.items(), "drawing figures", len(wanted)):
        figure = draw(style.LIGHT)
        files = {form: _bytes(figure, form, style.LIGHT) for form in ("png", "svg")}
        for form, data in files.items():
            write_bytes(workspace, f"{name}.{form}", data)
        if name in ON_PAGE:
            dark = _bytes(draw(style.DARK), "svg", style.DARK)
            svgs[name] = {style.LIGHT: files["svg"], style.DARK: dark}
    current = set(paths(workspace.report, sources.frames.runs))
    for old in workspace.report.glob("tracked-*.*"):
        if old not in current:  # of a run that is gone
            old.unlink()
    return svgs


def _tracked_name(run: str) -> str:
    return "tracked-" + quote(run, safe=" ._-")


def _bytes(figure: Figure, form: str, theme: Theme) -> bytes:
    buffer = io.BytesIO()
    style.save(figure, buffer, form, theme)
    return buffer.getvalue()
