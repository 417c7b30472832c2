"""What the units of a layer come to: one row per run, layer and epoch. DataFrames in, DataFrames out.

All frames are in the order of `in_order`: runs and layers as they were given, epochs and units rising.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from cmon import statistics
from cmon.schemas import epoch_text

GROUP = ["run", "layer", "epoch"]
CATEGORIES = ("object", "part", "scene", "material", "texture", "color")
"""Broden's categories, in the order in which figures stack them."""
NO_CATEGORY = "no category"
RESAMPLES = 2_000
"""Enough for the second digit of a 95 % interval; a large workspace has hundreds of means."""


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Sorted by run and layer in order of appearance, then by epoch and unit."""

    def rank(column: pd.Series) -> pd.Series:
        if column.name in ("run", "layer"):
            return column.map({name: position for position, name in enumerate(column.unique())})
        return column

    by = [name for name in (*GROUP, "unit") if name in frame]
    return frame.sort_values(by, key=rank, kind="stable", ignore_index=True)


def d_anchor(units: pd.DataFrame, layout: pd.DataFrame, seed: int, confidence: float) -> pd.DataFrame:
    """Mean distance from the live units to their nearest anchor, with bootstrap intervals and counts.

    units, layout: the tables of those names, layout's units only. Per run, layer, epoch: `d_anchor` in the
    plane (lengths in units of the anchors' RMS radius), `d_anchor_clip` between unit vectors of CLIP's text
    space (0 to 2), each with `_low` and `_high`; NaN where no unit is live. `n_units` counts all units,
    `n_live` those with status 'ok', `n_dead` those with status 'dead'; tied and non-finite units are the rest.
    """
    live = layout[layout["status"] == "ok"]
    distances = {key: rows[["distance", "distance_clip"]].to_numpy() for key, rows in live.groupby(GROUP)}
    found = []
    for key, rows in units.groupby(GROUP, sort=False):
        plane, clip = distances.get(key, np.empty((0, 2))).T
        row = dict(zip(GROUP, key, strict=True))
        for name, values in (("d_anchor", plane), ("d_anchor_clip", clip)):
            mean = statistics.bootstrap_mean(values, seed, confidence, RESAMPLES)
            row |= {name: mean.value, f"{name}_low": mean.low, f"{name}_high": mean.high}
        row["n_units"] = len(rows)
        row["n_live"] = int((rows["status"] == "ok").sum())
        row["n_dead"] = int((rows["status"] == "dead").sum())
        row["n_interpretable"] = int(rows["interpretable"].sum())
        found.append(row)
    return pd.DataFrame(found)


def trend(table: pd.DataFrame, run: str, layer: str, column: str = "d_anchor") -> str:
    """'falls from 0.71 to 0.32', 'rises ...', 'stays near 0.71' or 'ends at epoch 3 ...'; empty with one epoch.

    The first epoch against the last; it falls or rises only if the two confidence intervals do not touch. It
    ends where no unit lives any more.
    """
    rows = table[(table["run"] == run) & (table["layer"] == layer)]
    own = rows.dropna(subset=[column])
    if own.empty:
        return "is unknown: no unit is live" if len(rows) else ""
    if own.index[-1] != rows.index[-1]:
        return f"ends at epoch {epoch_text(own['epoch'].iloc[-1])}: no unit is live after it"
    if len(own) < 2:
        return ""
    first, last = own.iloc[0], own.iloc[-1]
    if last[f"{column}_high"] < first[f"{column}_low"]:
        verb = "falls"
    elif last[f"{column}_low"] > first[f"{column}_high"]:
        verb = "rises"
    else:
        return f"stays near {last[column]:.2f}"
    return f"{verb} from {first[column]:.2f} to {last[column]:.2f}"


def agreement(first: Iterable[float], second: Iterable[float]) -> float:
    """Kendall's tau-b of two equally long rows of numbers, over the pairs where both are known: -1 to 1.

    NaN if either is constant or fewer than two pairs are known.
    """
    both = np.array([list(first), list(second)], dtype=float)
    both = both[:, np.isfinite(both).all(axis=0)]
    x, y = (np.sign(row[:, None] - row[None]) for row in both)
    norm = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / norm) if norm else float("nan")


def categories(units: pd.DataFrame) -> list[str]:
    """The categories that interpretable units carry: the known ones in their order, others by name, none last."""
    found = set(units.loc[units["interpretable"], "category"].fillna(NO_CATEGORY))
    others = sorted(found - set(CATEGORIES) - {NO_CATEGORY})
    return [name for name in (*CATEGORIES, *others, NO_CATEGORY) if name in found]


def shares(units: pd.DataFrame) -> pd.DataFrame:
    """Share of each layer's units, dead ones included, that are interpretable, by category; and `dead`.

    One row per run, layer, epoch; columns: the keys, one per name of `categories`, and `dead`; each in 0..1,
    their sum at most 1.
    """
    names = categories(units)
    category = units["category"].fillna(NO_CATEGORY).where(units["interpretable"])
    flags = pd.DataFrame({name: category == name for name in names}, index=units.index)
    flags["dead"] = units["status"] == "dead"
    keyed = pd.concat([units[GROUP], flags.astype(float)], axis=1)
    return keyed.groupby(GROUP, sort=False).mean().reset_index()


def frequent_concepts(units: pd.DataFrame, limit: int = 12) -> pd.DataFrame:
    """The most frequent labels of interpretable units per run and layer: run, layer, label, category, count."""
    found = []
    for (run, layer), own in units[units["interpretable"]].groupby(["run", "layer"], sort=False):
        counts = own.groupby("label")["category"].agg(["size", "first"]).reset_index()
        counts = counts.sort_values(["size", "label"], ascending=[False, True])[:limit]
        found += [(run, layer, *row) for row in counts[["label", "first", "size"]].itertuples(index=False)]
    return pd.DataFrame(found, columns=["run", "layer", "label", "category", "count"])


def last_epochs(units: pd.DataFrame) -> pd.DataFrame:
    """The rows of every run's last epoch."""
    return units[units["epoch"] == units.groupby("run")["epoch"].transform("max")]


def movement(units: pd.DataFrame, layout: pd.DataFrame) -> pd.DataFrame:
    """How the units move and what they are called, per run, layer, epoch.

    `step`, `from_first`: mean displacement in the plane since the previous and since the first epoch, over
    the units live at both. `spread`: mean distance between two live units. `labels`: distinct labels among
    interpretable units; `entropy`: of those labels, in bits. `born`, `lost`, `relabelled`: units that became
    interpretable, ceased to be, or are so at both epochs under another label, since the previous epoch.
    `settled`: units that are interpretable under their final label from this epoch on.
    NaN where there is nothing to compare with.
    """
    settled = settled_epochs(units).groupby(GROUP).size()
    keys = [*GROUP, "unit"]
    places = layout.loc[layout["status"] == "ok", [*keys, "x", "y"]]
    merged = units[[*keys, "label", "interpretable"]].merge(places, on=keys, how="left")
    found = []
    for (run, layer), rows in merged.groupby(["run", "layer"], sort=False):
        first = previous = None
        for epoch, one in rows.groupby("epoch"):
            now = one.set_index("unit")
            first = now if first is None else first
            row = {"run": run, "layer": layer, "epoch": epoch}
            row["step"] = np.nan if previous is None else _displacement(previous, now)
            row["from_first"] = np.nan if previous is None else _displacement(first, now)
            row["spread"] = _spread(now[["x", "y"]].dropna().to_numpy())
            names = now.loc[now["interpretable"], "label"]
            share = names.value_counts(normalize=True).to_numpy()
            row |= {"labels": len(share), "entropy": float(-(share * np.log2(share)).sum()) + 0.0}
            row |= _changes(previous, now)
            row["settled"] = settled.get((run, layer, epoch), 0)
            found.append(row)
            previous = now
    return pd.DataFrame(found)


def settled_epochs(units: pd.DataFrame) -> pd.DataFrame:
    """First epoch from which a unit is interpretable under its final label for good: run, layer, unit, epoch.

    Units that are not interpretable at the last epoch of their run and layer are left out.
    """
    found = []
    for (run, layer, unit), rows in units.groupby(["run", "layer", "unit"], sort=False):
        named = rows["label"].where(rows["interpretable"]).to_list()
        if pd.isna(named[-1]):
            continue
        start = len(named) - 1
        while start and named[start - 1] == named[-1]:
            start -= 1
        found.append({"run": run, "layer": layer, "unit": unit, "epoch": rows["epoch"].iloc[start]})
    return pd.DataFrame(found, columns=["run", "layer", "unit", "epoch"])


def _displacement(before: pd.DataFrame, now: pd.DataFrame) -> float:
    step = (now[["x", "y"]] - before[["x", "y"]]).dropna().to_numpy()
    return float(np.linalg.norm(step, axis=1).mean()) if len(step) else np.nan


def _spread(points: np.ndarray) -> float:
    if len(points) < 2:
        return np.nan
    total = sum(
        np.linalg.norm(points[at + 1 :] - point, axis=1).sum() for at, point in enumerate(points[:-1])
    )
    return float(total / (len(points) * (len(points) - 1) / 2))


def _changes(before: pd.DataFrame | None, now: pd.DataFrame) -> dict[str, float]:
    if before is None:
        return {"born": np.nan, "lost": np.nan, "relabelled": np.nan}
    both = before.merge(now, left_index=True, right_index=True, suffixes=("_before", ""))
    was, is_now = both["interpretable_before"], both["interpretable"]
    renamed = was & is_now & (both["label_before"] != both["label"])
    return {"born": (is_now & ~was).sum(), "lost": (was & ~is_now).sum(), "relabelled": renamed.sum()}
