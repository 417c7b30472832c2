"""The tables that the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cmon.reporting.epochs import last_epochs
from cmon.reporting.page.views import TableView
from cmon.reporting.tables.counts import concept_counts, status_column
from cmon.reporting.tables.seeds import last_shared
from cmon.workspace.keys import GROUP, epoch_text
from cmon.workspace.status import STATUSES


def d_anchor_table(d_anchor: pd.DataFrame) -> TableView:
    """The values as text, each with its interval."""
    rows = []
    for row in d_anchor.to_dict("records"):
        rows.append(
            [
                row["run"],
                row["layer"],
                epoch_text(row["epoch"]),
                *[_interval(row, kind) for kind in ("d_anchor", "d_anchor_clip")],
                *[int(row[name]) for name in ("n_units", "n_live", "n_dead", "n_interpretable")],
            ]
        )
    names = ["run", "layer", "epoch", "d_anchor", "d_anchor_clip", "units", "live", "dead", "interpretable"]
    return TableView("", "In brackets: the confidence interval.", names, rows)


def seed_tables(seeds: pd.DataFrame, comparison: pd.DataFrame) -> list[TableView]:
    """Recipes over their runs, and every two of them, at the last epoch that most runs have; none without repeats."""
    views = []
    if len(seeds):
        rows = [
            [
                *_keys(row, "recipe"),
                row["n_runs"],
                _interval(row, "mean"),
                _interval(row, "change"),
            ]
            for row in last_shared(seeds).dropna(subset=["mean"]).to_dict("records")
        ]
        names = ["recipe", "layer", "epoch", "measure", "runs", "mean", "change since the first epoch"]
        note = "In brackets: the confidence interval over runs (Student's); of the change, run by run."
        views.append(TableView("Recipes over their runs", note, names, rows))
    if len(comparison):
        rows = [
            [
                *_keys(row, "reference", "recipe"),
                _interval(row, "difference"),
                row["n_reference"],
                row["n_recipe"],
            ]
            for row in last_shared(comparison).dropna(subset=["difference"]).to_dict("records")
        ]
        names = [
            "reference",
            "recipe",
            "layer",
            "epoch",
            "measure",
            "difference",
            "of reference",
            "of recipe",
        ]
        note = (
            "recipe minus reference; in brackets, the confidence interval over runs (Welch's); runs of each."
        )
        views.append(TableView("Recipes compared over their runs", note, names, rows))
    return views


def movement_table(movement: pd.DataFrame, diversity: pd.DataFrame) -> TableView:
    names = {
        "step": "step",
        "from_first": "from first",
        "spread": "spread",
        "labels": "labels",
        "entropy": "entropy",
        "overlap": "overlap",
        "overlap_chance": "by chance",
    }
    counts = ["born", "lost", "relabelled", "settled"]
    table = movement.merge(diversity[[*GROUP, "overlap", "overlap_chance"]], on=GROUP, how="left")
    rows = [
        [
            row["run"],
            row["layer"],
            epoch_text(row["epoch"]),
            *[row[name] if pd.notna(row[name]) else None for name in names],
            *[int(row[name]) if pd.notna(row[name]) else None for name in counts],
        ]
        for row in table.to_dict("records")
    ]
    note = (
        "step, from first: mean displacement in the plane since the previous and the first epoch. spread: mean "
        "distance between two live units. labels, entropy (bits): how many and how evenly the labels of "
        "interpretable units. overlap: share of a unit's most activating images that another unit has, too. born, "
        "lost, relabelled: since the previous epoch. settled: units that keep their final label from this epoch on."
    )
    return TableView("", note, ["run", "layer", "epoch", *names.values(), *counts], rows)


def frequent_tables(units: pd.DataFrame, most: int = 12) -> list[TableView]:
    """Per run and layer, the labels that most interpretable units carry at the run's last epoch."""
    counts = concept_counts(last_epochs(units))
    return [
        TableView(
            f"{run} · {layer}",
            "",
            ["concept", "category", "units"],
            [
                [row["concept"], "" if pd.isna(row["category"]) else row["category"], int(row["units"])]
                for row in rows[:most].to_dict("records")
            ],
        )
        for (run, layer), rows in counts.groupby(["run", "layer"], sort=False)
    ]


def status_table(statuses: pd.DataFrame) -> TableView:
    """statuses: what `counts.status_counts` gives."""
    rows = [
        [
            row["run"],
            row["layer"],
            epoch_text(row["epoch"]),
            *[int(row[status_column(name)]) for name in STATUSES],
        ]
        for row in last_epochs(statuses).to_dict("records")
    ]
    note = " ".join(f"{status}: {meaning}." for status, meaning in STATUSES.items())
    return TableView("Units by status at the last epoch", note, ["run", "layer", "epoch", *STATUSES], rows)


def cost_table(costs: Sequence[Mapping[str, Any]]) -> TableView | None:
    if not costs:
        return None
    rows = [
        [
            row["stage"],
            row["seconds"],
            f"{row['items']:,} {row['item']}",
            row["items_per_second"],
            row["peak_memory_mb"],
            row["written_mb"],
        ]
        for row in costs
    ]
    names = ["stage", "seconds", "work", "per second", "peak memory, MB", "written, MB"]
    return TableView("Cost of the last run of each stage", "", names, rows)


def _keys(row: Mapping[Any, Any], *recipes: str) -> list[str]:
    return [*(row[name] for name in recipes), row["layer"], epoch_text(row["epoch"]), row["measure"]]


def _interval(row: Mapping[Any, Any], kind: str) -> str | None:
    """'0.123 (0.110 to 0.136)', or the value alone where it has no interval."""
    if pd.isna(row[kind]):
        return None
    if pd.isna(row[f"{kind}_low"]):
        return f"{row[kind]:.3f}"
    return f"{row[kind]:.3f} ({row[f'{kind}_low']:.3f} to {row[f'{kind}_high']:.3f})"
