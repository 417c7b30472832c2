"""Tables of a training in which anything happens: for slow twins to be compared on."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from cmon.workspace.keys import UNIT_KEYS, sort_rows

ANCHORS = ["dog", "cat", "bus", "tree", "sky"]
WORDS = [*ANCHORS[:3], "red", "Tree"]


def tables(
    seed: int,
    epochs: dict[str, tuple[float, ...]] | None = None,
    units: int = 12,
    dead: float = 0.15,
    gone: float = 0.05,
    named: float = 0.6,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """units, layout (anchors first): some units dead, some rows missing altogether, labels drawn anew or kept.

    epochs: of each run; by default two runs that share some.
    """
    random = np.random.default_rng(seed)
    epochs = {"b": (0.0, 1.0, 2.5, 4.0), "a": (0.0, 2.5, 5.0)} if epochs is None else epochs
    rows, label = [], {}
    for run, layer in product(epochs, ["late", "early"]):
        for epoch, unit in product(epochs[run], range(units)):
            if random.uniform() < gone:
                continue
            key = (run, layer, unit)
            if key not in label or random.uniform() < 0.4:
                label[key] = str(random.choice(WORDS))
            live = random.uniform() >= dead
            place = random.normal(size=2) if live else (np.nan, np.nan)
            rows.append(
                {
                    "run": run, "layer": layer, "epoch": epoch, "unit": unit,
                    "status": "ok" if live else "dead",
                    "label": label[key] if live else None,
                    "category": "object" if live else None,
                    "interpretable": bool(live and random.uniform() < named),
                    "kind": "unit", "concept": None, "x": place[0], "y": place[1],
                    "nearest_anchor": str(random.choice(ANCHORS)) if live else None,
                    "nearest_anchor_clip": str(random.choice(ANCHORS)) if live else None,
                    "distance": random.exponential() if live else np.nan,
                    "distance_clip": random.uniform(0, 2) if live else np.nan,
                }
            )  # fmt: skip
    _add_clip_lengths(rows)
    table = sort_rows(pd.DataFrame(rows))
    anchors = pd.DataFrame({"kind": "anchor", "concept": ANCHORS, "status": "ok"})
    parts = anchors.reindex(columns=table.columns), table.drop(columns=["label", "category", "interpretable"])
    layout = pd.DataFrame([row for part in parts for row in part.to_dict("records")])
    return table[[*UNIT_KEYS, "status", "label", "category", "interpretable"]], layout


def planted(
    values: dict[str, dict[float, np.ndarray]], layer: str = "l"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """units, layout with these distances per run and epoch, twice as large in CLIP's space; NaN: a dead unit."""
    found = []
    for run, epochs in values.items():
        for epoch, own in epochs.items():
            for unit, value in enumerate(own):
                live = bool(np.isfinite(value))
                found.append(
                    {"run": run, "layer": layer, "epoch": epoch, "unit": unit, "status": "ok" if live else "dead",
                     "label": f"{run} {unit} {epoch}" if live else None, "interpretable": live,
                     "distance": value, "distance_clip": 2 * value}
                )  # fmt: skip
    table = sort_rows(pd.DataFrame(found))
    keys = [*UNIT_KEYS, "status"]
    return table[[*keys, "label", "interpretable"]], table[[*keys, "distance", "distance_clip"]]


def _add_clip_lengths(rows: list[dict[str, Any]]) -> None:
    """As if CLIP's space were the plane, twice as large. rows: by epoch for each unit."""
    ways: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for row in rows:
        way = ways.setdefault((row["run"], row["layer"], row["unit"]), [])
        place = (row["x"], row["y"])
        row["step_clip"] = 2 * math.dist(place, way[-1]) if way and row["status"] == "ok" else math.nan
        row["from_first_clip"] = 2 * math.dist(place, way[0]) if way and row["status"] == "ok" else math.nan
        if row["status"] == "ok":
            way.append(place)


def places(layout: pd.DataFrame) -> pd.DataFrame:
    return layout[layout["kind"] == "unit"].reset_index(drop=True)


def live_at(layout: pd.DataFrame) -> dict[tuple[str, str, float], dict[int, tuple[float, float]]]:
    """(run, layer, epoch) to {unit: place} of the live units."""
    found: dict[tuple[str, str, float], dict[int, tuple[float, float]]] = {}
    for row in places(layout).to_dict("records"):
        own = found.setdefault((row["run"], row["layer"], row["epoch"]), {})
        if row["status"] == "ok":
            own[row["unit"]] = (row["x"], row["y"])
    return found


def names_at(units: pd.DataFrame) -> dict[tuple[str, str, float], dict[int, str | None]]:
    """(run, layer, epoch) to {unit: its label if it is interpretable, else None}."""
    found: dict[tuple[str, str, float], dict[int, str | None]] = {}
    for row in units.to_dict("records"):
        own = found.setdefault((row["run"], row["layer"], row["epoch"]), {})
        own[row["unit"]] = row["label"] if row["interpretable"] else None
    return found
