"""What the units of a layer come to: one row per run, layer and epoch. DataFrames in, DataFrames out.

All frames are in the order of `sort_rows`: runs and layers as they were given, epochs and units rising.
"""

from __future__ import annotations

import pandas as pd

from cmon.workspace.keys import GROUP, epoch_text

CATEGORIES = ("object", "part", "scene", "material", "texture", "color")
"""Broden's categories, in the order in which figures stack them."""
NO_CATEGORY = "no category"


def trend(table: pd.DataFrame, run: str, layer: str, column: str = "d_anchor") -> str:
    """'falls from 0.71 to 0.32', 'rises ...', 'stays near 0.71', 'goes from 0.71 to 0.60, within chance' or 'ends at
    epoch 3 ...'; empty with one epoch.

    The first epoch against the last; it falls or rises only if the two confidence intervals do not touch, and stays
    if besides it is within a tenth of the larger. It ends where no unit lives any more.
    """
    rows = table[(table["run"] == run) & (table["layer"] == layer)]
    own = rows.dropna(subset=[column])
    if own.empty:
        return "is unknown: no unit is live" if len(rows) else ""
    word = verb(rows, column)
    if word is None:
        return ""
    if word == "ends":
        return f"ends at epoch {epoch_text(own['epoch'].iloc[-1])}: no unit is live after it"
    first, last = own.iloc[0], own.iloc[-1]
    if word == "stays":
        before, after = first[column], last[column]
        if abs(after - before) <= 0.1 * max(before, after):
            return f"stays near {after:.2f}"
        return f"goes from {before:.2f} to {after:.2f}, within chance"
    return f"{word} from {first[column]:.2f} to {last[column]:.2f}"


def verb(rows: pd.DataFrame, column: str = "d_anchor") -> str | None:
    """What one run's layer does from its first epoch with live units to its last.

    rows: of a table with `column`, `column_low` and `column_high`, epochs rising. 'falls' or 'rises' only where the
    two confidence intervals do not touch, else 'stays'; 'ends' where no unit lives at the last epoch; None where
    fewer than two epochs are known.
    """
    own = rows.dropna(subset=[column])
    if own.empty:
        return None
    if own.index[-1] != rows.index[-1]:
        return "ends"
    if len(own) < 2:
        return None
    first, last = own.iloc[0], own.iloc[-1]
    if last[f"{column}_high"] < first[f"{column}_low"]:
        return "falls"
    return "rises" if last[f"{column}_low"] > first[f"{column}_high"] else "stays"


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
