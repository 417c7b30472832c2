"""The results of a case study, planted: in memory from a function, or on disk as the four commands would leave them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cmon.reporting import inputs
from cmon.reporting.record import Record
from cmon.reporting.tables.catalog import TableInputs, make_tables, write_tables
from cmon.reporting.training_log import TRAINING
from cmon.workspace.workspace import Workspace
from scripts.cases.against_untrained import STANDS_OUT
from scripts.cases.results import LOGGED, Results
from scripts.cases.studies import STUDIES, run_folder
from tests.support import synthetic_tables
from tests.support.synthetic_tables import World

LAYERS = ("layer2", "layer3", "layer4")
UNITS = 100
Planted = Callable[[str, int, str, float], Mapping[str, float]]
"""From recipe, seed, layer and epoch to what is other than in PLAIN."""
PLAIN: dict[str, float] = {
    "d_anchor": 0.5,
    "d_anchor_clip": 0.5,
    "n_units": UNITS,
    "n_live": UNITS,
    "n_interpretable": 50,
    "from_first": 0.2,
    "from_first_clip": 0.2,
    "spread": 1.0,
    "entropy": 3.0,
    "effective_labels": 8.0,
    "kept": 0.5,
    STANDS_OUT: 20,
    **{f"count of {name}": 10 for name in ("object", "part", "scene", "texture", "color")},
    **dict.fromkeys(LOGGED, 1.0),
}
OF_LIVE_UNITS = ("d_anchor", "d_anchor_clip", "from_first", "from_first_clip", "spread")
DEAD: dict[str, float] = {
    "n_live": 0,
    "n_interpretable": 0,
    STANDS_OUT: 0,
    **dict.fromkeys(OF_LIVE_UNITS, np.nan),
}
"""What a layer without a live unit has."""


def results(
    study: str,
    planted: Planted,
    *,
    seeds: Sequence[int] = (1, 2, 3),
    epochs: Sequence[float] = (0.0, 1.0, 2.0),
    recipes: Sequence[str] | None = None,
    same_start: bool = True,
) -> Results:
    """A study whose runs have PLAIN everywhere but where `planted` says otherwise.

    same_start: whether all runs of a seed have the same labels at the first epoch.
    """
    rows, units = [], []
    recipes = STUDIES[study].recipes if recipes is None else recipes
    for number, recipe in enumerate(recipes):
        for seed in seeds:
            for layer in LAYERS:
                for epoch in epochs:
                    key = {"recipe": recipe, "seed": seed, "layer": layer, "epoch": epoch}
                    rows.append({**key, **PLAIN, **planted(recipe, seed, layer, epoch)})
                start = f"of {seed}" if same_start else f"of {seed}, {number}"
                units += [
                    {"run": f"{recipe}@{seed}", "layer": layer, "epoch": epochs[0], "unit": unit, "status": "ok",
                     "label": f"{unit} {start}", "interpretable": True}
                    for unit in range(5)
                ]  # fmt: skip
    concepts = pd.DataFrame(columns=["recipe", "seed", "layer", "epoch", "concept", "category", "units"])
    return Results(study, list(LAYERS), LAYERS[-1], pd.DataFrame(rows), pd.DataFrame(units), concepts)


def write(
    out: Path,
    study: str,
    world: World,
    change: Callable[[dict[str, list[dict[str, Any]]]], None] = lambda tables: None,
    log: Callable[[str, int], pd.DataFrame] | None = None,
) -> Workspace:
    """OUT/STUDY/workspace with the report's tables, and a training.csv for each run.

    world: runs are RECIPE@SEED. change: what it does to the tables' rows. log: from recipe and seed; None for no logs.
    """
    tables = synthetic_tables.rows(world)
    change(tables)
    workspace = synthetic_tables.write(out / study, world, tables)
    stored = inputs.read(workspace)
    made = make_tables(TableInputs(stored, 0, 0.95, pd.DataFrame(columns=TRAINING.names)))
    write_tables(workspace, Record(workspace), made)
    for run in world.runs if log else ():
        recipe, _, seed = run.rpartition("@")
        folder = run_folder(out, recipe, int(seed))
        folder.mkdir(parents=True, exist_ok=True)
        assert log is not None
        log(recipe, int(seed)).to_csv(folder / "training.csv", index=False)
    return workspace


def kill(tables: dict[str, list[dict[str, Any]]], dead: Callable[[Mapping[str, Any]], bool]) -> None:
    """Make units dead: those of whose rows `dead` says so."""
    for row in tables["units"]:
        if dead(row):
            row |= {"status": "dead", "interpretable": False} | dict.fromkeys(
                ("label", "category", "score", "margin", "p_value")
            )
    tables["concepts"] = [row for row in tables["concepts"] if not dead(row)]
    places = dict.fromkeys(("x", "y", "nearest_anchor", "distance", "nearest_anchor_clip", "distance_clip"))
    for row in tables["layout"]:
        if row["kind"] == "unit" and dead(row):
            row |= {"status": "dead"} | places
