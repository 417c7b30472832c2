"""The images that activate a run's tracked units most, at its first, middle and last epoch."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from cmon.reporting.epochs import first_middle_last
from cmon.reporting.figures.report_figure import FigureInputs
from cmon.reporting.figures.style import LIGHT, SMALL, WIDTH, Theme, headline, shortened, using
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.keys import UNIT_KEYS, epoch_text

IMAGES = 8
"""Of a unit at an epoch."""
_LINE = 0.19
"""Inches that a line of SMALL text takes."""
_COLUMNS = [*UNIT_KEYS, "status", "label", "score", "fit", "interpretable", "top_images"]
_NOTES = (
    "Fit: share of a neuron's 100 most activating images (or a twentieth of all) among the",
    "tenth that CLIP ranks highest for the label; by chance 10%. Grey, n.s.: not beyond chance.",
)


def file_name(run: str) -> str:
    """Of the figure's files, without their ending."""
    return "tracked-" + quote(run, safe=" ._-")


def shown(inputs: FigureInputs, run: str) -> dict[str, Any]:
    """What a run's figure is drawn from: the arguments of `top_images`."""
    rows = shown_rows(inputs.stored.units, run, inputs.tracked)
    used = sorted({int(image) for own in rows for images in own["top_images"] for image in images})
    pictures = {image: inputs.pictures[image] for image in used if image in inputs.pictures}
    return {"run": run, "tracked": inputs.tracked, "rows": rows, "pictures": pictures}


def shown_rows(units: pd.DataFrame, run: str, tracked: Sequence[TrackedUnit]) -> list[pd.DataFrame]:
    """For each tracked unit its rows at the run's first, middle and last epoch, as `top_images` draws them."""
    own = units.loc[units["run"] == run, _COLUMNS]
    own = own[own["epoch"].isin(first_middle_last(own["epoch"]))]
    own = own[own["unit"].isin([one.unit for one in tracked])]
    own = own.assign(top_images=[images[:IMAGES] for images in own["top_images"]])
    return [own[(own["layer"] == one.layer) & (own["unit"] == one.unit)] for one in tracked]


def image_ids(units: pd.DataFrame, runs: Sequence[str], tracked: Sequence[TrackedUnit]) -> set[int]:
    """The images that the figures of all runs show."""
    shown = [row for run in runs for rows in shown_rows(units, run, tracked) for row in rows["top_images"]]
    return {int(image) for row in shown for image in row}


def top_images(
    run: str,
    tracked: Sequence[TrackedUnit],
    rows: Sequence[pd.DataFrame],
    pictures: Mapping[int, np.ndarray],
    theme: Theme = LIGHT,
) -> Figure:
    """The IMAGES most activating images of each tracked unit (row) at a run's first, middle and last epoch.

    rows: what `shown_rows` gives. pictures: image_id to (S,S,3) uint8; ids
    without a picture are grey squares.
    """
    columns = max([1, *map(len, rows)])
    across = 4 if columns > 1 else IMAGES
    down = IMAGES // across
    block_width = WIDTH / columns
    side = (block_width - 0.15) / across
    block_height = side * down + 3 * _LINE + 0.12
    with using(theme):
        figure = Figure(figsize=(WIDTH, 1))
        head = 0.24 + 0.21 * headline(
            figure, f"What activates the tracked neurons most, in {shortened(run, 30)}"
        )
        height = block_height * max(1, len(rows)) + head + _LINE * len(_NOTES)
        figure.set_size_inches(WIDTH, height)
        for row, (one, shown) in enumerate(zip(tracked, rows, strict=True)):
            top = height - head - row * block_height
            color = theme.tracked[row % len(theme.tracked)]
            title = textwrap.shorten(
                f"{one.name} · {one.reason}", _characters(1.08 * WIDTH), placeholder=" …"
            )
            _text(figure, 0, top, title, color=color)
            if shown.empty:
                _text(figure, 0, top - _LINE, "this run has no such unit", color=theme.faint)
            for column, moment in enumerate(shown.to_dict("records")):
                left = column * block_width
                words, numbers = _moment_text(moment, _characters(block_width))
                sure = {"fontweight": "bold"} if moment["interpretable"] else {"color": theme.faint}
                _text(figure, left, top - _LINE, words, **sure)
                _text(figure, left, top - 2 * _LINE, numbers, color=theme.faint)
                # A dead unit's top images are the first ones of a tie among all: they say nothing.
                if moment["status"] == "ok":
                    mosaic = _mosaic(moment["top_images"], pictures, across, down, theme)
                    corner = ((left + 0.06) / WIDTH, (top - block_height + 0.12) / height)
                    ax = figure.add_axes((*corner, across * side / WIDTH, down * side / height))
                    ax.imshow(mosaic, interpolation="lanczos")
                    ax.set_axis_off()
        if not tracked:
            _text(figure, 0, height - head, "no live unit to follow", color=theme.faint)
        for below, note in enumerate(reversed(_NOTES)):
            _text(figure, 0, 0.2 + below * _LINE, note, color=theme.faint)
    return figure


def _characters(inches: float) -> int:
    """Characters of SMALL text that fit, bold ones too."""
    return int((inches - 0.1) * 72 / (0.62 * SMALL))


def _text(figure: Figure, left: float, top: float, words: str, **looks: str) -> None:
    """Text at inches from the lower left corner, hanging from `top`."""
    width, height = figure.get_size_inches()
    figure.text((left + 0.06) / width, top / height, words, va="top", fontsize=SMALL, **looks)  # type: ignore[arg-type]


def _moment_text(moment: Mapping[Any, Any], most: int) -> tuple[str, str]:
    """'epoch 4: dog' in at most about `most` characters, and '86.3, 74% fit'."""
    epoch = f"epoch {epoch_text(moment['epoch'])}"
    if moment["status"] != "ok":
        return f"{epoch}: {moment['status']}", ""
    score = f"{moment['score']:#.3g}".rstrip(".") + ("" if moment["interpretable"] else " n.s.")
    words = f"{epoch}: {shortened(str(moment['label']), max(4, most - len(epoch) - 2))}"
    return words, f"{score}, {moment['fit']:.0%} fit"


def _mosaic(
    ids: Sequence[int], pictures: Mapping[int, np.ndarray], across: int, down: int, theme: Theme
) -> np.ndarray:
    """The pictures side by side on the figure's background; an id without a picture is a grey square."""
    size = next((len(picture) for picture in pictures.values()), 1)
    gap = -(-size // 20)
    pitch = size + gap
    mosaic = np.empty((down * pitch, across * pitch, 3), dtype=np.uint8)
    mosaic[:] = np.round(np.multiply(to_rgb(theme.paper), 255))
    missing = np.round(np.multiply(to_rgb(theme.neurons[0]), 255))
    for place, image_id in enumerate(ids[:IMAGES]):
        top, left = place // across * pitch, place % across * pitch
        mosaic[top : top + size, left : left + size] = pictures.get(image_id, missing)
    return mosaic
