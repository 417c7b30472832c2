"""The figures of the report: which there are, and their files.

A new figure is a module with a `ReportFigure`, and a line in FIGURES.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

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
from cmon.reporting.output import write_bytes
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
    """All files that `write_figures` makes."""
    names = [*(figure.name for figure in FIGURES), *map(top_images.file_name, runs)]
    return [folder / f"{name}.{form}" for name in names for form in _FORMS]


def write_figures(
    workspace: Workspace, inputs: FigureInputs, progress: Progress
) -> dict[str, dict[Theme, bytes]]:
    """Write every figure; give the SVGs of FIGURES, by name and theme."""
    drawings: dict[str, Callable[[Theme], Figure]] = {
        **{figure.name: partial(figure.draw, inputs) for figure in FIGURES},
        **{top_images.file_name(run): partial(top_images.draw, inputs, run) for run in inputs.stored.runs},
    }
    on_page = {figure.name for figure in FIGURES}
    svgs: dict[str, dict[Theme, bytes]] = {}
    for name, draw in progress(drawings.items(), "drawing figures", len(drawings)):
        figure = draw(style.LIGHT)
        files = {form: _encode(figure, form, style.LIGHT) for form in _FORMS}
        for form, data in files.items():
            write_bytes(workspace, workspace.report / f"{name}.{form}", data)
        if name in on_page:
            svgs[name] = {style.LIGHT: files["svg"], style.DARK: _encode(draw(style.DARK), "svg", style.DARK)}
    _remove_old_runs(workspace.report, inputs.stored.runs)
    return svgs


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
