"""The figures of the report: which there are, and their files.

A new figure is a module with a `ReportFigure`, and a line in FIGURES.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cmon.progress import Progress
from cmon.reporting.figures import (
    d_anchor,
    embedding,
    interpretable,
    movement,
    side_by_side,
    style,
    top_images,
)
from cmon.reporting.figures.report_figure import FigureInputs
from cmon.reporting.figures.style import Theme
from cmon.reporting.origins import origin
from cmon.reporting.record import Record
from cmon.workspace.workspace import Workspace

FIGURES = (
    embedding.FIGURE,
    d_anchor.FIGURE,
    interpretable.FIGURE,
    side_by_side.FIGURE,
    movement.FIGURE,
)
"""In the page's order. Besides, each run has a figure of its tracked units, `top_images`; the page shows its images
one by one."""
_FORMS = ("png", "svg")


def figure_paths(folder: Path, runs: Sequence[str]) -> list[Path]:
    """All files of figures in the report's folder."""
    names = [*(figure.name for figure in FIGURES), *map(top_images.file_name, runs)]
    return [folder / f"{name}.{form}" for name in names for form in _FORMS]


def page_paths(workspace: Workspace) -> dict[str, dict[Theme, Path]]:
    """The SVGs of FIGURES that the page shows, by name and theme; the dark ones are kept only for it."""
    return {
        figure.name: {
            style.LIGHT: workspace.report / f"{figure.name}.svg",
            style.DARK: workspace.cache / "figures" / f"{figure.name}-dark.svg",
        }
        for figure in FIGURES
    }


def write_figures(workspace: Workspace, record: Record, inputs: FigureInputs, progress: Progress) -> int:
    """Draw every figure that is not there as it would be drawn; gives how many were drawn."""
    on_page = page_paths(workspace)
    drawings: dict[str, tuple[Mapping[str, Any], Callable[..., Figure]]] = {
        **{figure.name: (figure.shown(inputs), figure.draw) for figure in FIGURES},
        **{
            top_images.file_name(run): (top_images.shown(inputs, run), top_images.top_images)
            for run in inputs.stored.runs
        },
    }
    stale: dict[str, str] = {}
    for name, (shown, _) in drawings.items():
        own = origin(name, shown, style.fingerprint())
        paths = [workspace.report / f"{name}.{form}" for form in _FORMS]
        if not all(record.has(path, own) for path in [*paths, *on_page.get(name, {}).values()]):
            stale[name] = own
    for name, own in progress(stale.items(), "drawing figures", len(stale)):
        shown, draw = drawings[name]
        figure = draw(**shown, theme=style.LIGHT)
        for form in _FORMS:
            record.write(workspace.report / f"{name}.{form}", _encode(figure, form, style.LIGHT), own)
        if name in on_page:
            dark = _encode(draw(**shown, theme=style.DARK), "svg", style.DARK)
            record.write(on_page[name][style.DARK], dark, own)
        record.save()
    _remove_old_runs(workspace.report, inputs.stored.runs)
    return len(stale)


def _remove_old_runs(folder: Path, runs: Sequence[str]) -> None:
    """Remove the figures of runs that are not in the report any more."""
    current = set(figure_paths(folder, runs))
    for path in folder.glob("tracked-*.*"):
        if path not in current:
            path.unlink()


def _encode(figure: Figure, form: str, theme: Theme) -> bytes:
    buffer = io.BytesIO()
    style.save(figure, buffer, form, theme)
    return buffer.getvalue()
