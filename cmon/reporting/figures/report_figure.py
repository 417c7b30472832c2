"""What a figure of the report is, and what it is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cmon.reporting.inputs import StoredTables
from cmon.reporting.tracking import TrackedUnit


@dataclass(frozen=True)
class FigureInputs:
    """What the figures show."""

    stored: StoredTables
    tables: Mapping[str, pd.DataFrame]
    """The report's tables by name."""
    confidence: float
    """Of the intervals in `tables`."""
    main: str
    """The layer that headlines are of; see `layers.main_layer`."""
    tracked: Sequence[TrackedUnit]
    pictures: Mapping[int, np.ndarray]
    """(S,S,3) uint8 by image_id: of the tracked units' top images."""


@dataclass(frozen=True)
class ReportFigure:
    """A figure with the words around it."""

    name: str
    """Of its files."""
    title: str
    """On the page; the figure itself has a headline that says what it shows."""
    caption: Callable[[FigureInputs], str]
    alt: Callable[[FigureInputs], str]
    """What it shows, for those who cannot see it."""
    shown: Callable[[FigureInputs], Mapping[str, Any]]
    """All that it is drawn from, by the names of the arguments of `draw`: where that did not change, neither did the
    figure, and it is not drawn again. So no more than the rows and columns that it shows."""
    draw: Callable[..., Figure]
    """Draws it from `shown`, and from a `theme`."""
