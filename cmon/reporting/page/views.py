"""The parts of the page, as `html` renders them: their content, and no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FigureView:
    """A figure with the words around it."""

    name: str
    title: str
    caption: str
    alt: str
    """What the figure shows, for those who cannot see it."""
    light: bytes
    """SVG on a light background."""
    dark: bytes
    """The same on a dark one."""


@dataclass(frozen=True)
class Moment:
    """A tracked unit at one epoch of one run."""

    epoch: str
    label: str
    """Its label, or its status where it has none."""
    score: float | None
    fit: float | None
    """Share of its most activating images that fit the label."""
    significant: bool
    next_labels: str
    images: Sequence[int]


@dataclass(frozen=True)
class TrackedView:
    """A tracked unit in all runs that have it."""

    name: str
    reason: str
    color: str
    color_dark: str
    runs: Mapping[str, Sequence[Moment]]


@dataclass(frozen=True)
class TableView:
    """A table; its title is empty where its place on the page says what it is. Cells are text or numbers."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class UnitRow:
    """A unit at its run's last epoch."""

    run: str
    layer: str
    unit: int
    label: str
    category: str
    color: str
    score: float | None
    p_value: float | None
    fit: float | None
    significant: bool
    images: Sequence[int]


@dataclass(frozen=True)
class Page:
    """All parts of the page."""

    origin: str
    version: str
    title: str
    subtitle: str
    """What was shown to the network, and in whose words it is described."""
    facts: Sequence[tuple[str, str]]
    """(number, what it counts)."""
    findings: Sequence[tuple[str, str]]
    """(run, recipe or other subject, sentences about it)."""
    warnings: Sequence[str]
    """Why some of it says little."""
    explorer: Mapping[str, Any]
    """What `explorer_data.explorer_data` gives."""
    figures: Mapping[str, FigureView]
    """By name; 'embedding', 'd_anchor', 'interpretable' and 'side-by-side' have places of their own."""
    files: Mapping[str, Sequence[tuple[str, str]]]
    """Name of a figure or table to (form, link) of each of its files beside the page."""
    tracked: Sequence[TrackedView]
    d_anchor_table: TableView
    frequent: Sequence[TableView]
    movement: TableView
    units: Sequence[UnitRow]
    more_units: int
    """Units for which the table of all units has no room."""
    statuses: TableView
    costs: TableView | None
    skipped: Sequence[tuple[str, str]]
    """(what, why)."""
    parameters: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """(stage or table, its parameters)."""
    over_runs: Sequence[TableView] = ()
    """Of repeated runs; none where there are none."""

    @property
    def more_figures(self) -> list[FigureView]:
        """Figures without a place of their own."""
        placed = ("embedding", "d_anchor", "interpretable", "side-by-side")
        return [figure for name, figure in self.figures.items() if name not in placed]
