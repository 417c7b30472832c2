"""How many units carry which label, category and status: tidy counts per run, layer and epoch.

units: the table `units` in the order of `keys.sort_rows`, which the rows keep.
"""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from cmon.reporting.categories import interpretable_categories, label_categories
from cmon.reporting.repeats import titles
from cmon.reporting.tables.columns import N_UNITS
from cmon.workspace.keys import GROUP
from cmon.workspace.schemas import GROUP_FIELDS, column
from cmon.workspace.status import STATUSES

INTERPRETABLE = pa.schema(
    [
        *GROUP_FIELDS,
        column("category", pa.string(), "of the label; `no category` where the concept list gives none"),
        column("units", pa.int32(), "interpretable units whose label is of this category"),
        N_UNITS,
        column("share", pa.float64(), "`units` / `n_units`, 0 to 1"),
    ]
)

CONCEPT_COUNTS = pa.schema(
    [
        *GROUP_FIELDS,
        column("concept", pa.string(), "a label of interpretable units"),
        column("category", pa.string(), "of the concept", null=True),
        column("units", pa.int32(), "interpretable units with this label"),
        N_UNITS,
        column("share", pa.float64(), "`units` / `n_units`, 0 to 1"),
    ]
)

STATUS = pa.schema(
    [
        *GROUP_FIELDS,
        N_UNITS,
        column("n_ok", pa.int32(), "units that are scored"),
        column("n_dead", pa.int32(), "units with activation 0 for every image"),
        column("n_constant", pa.int32(), "units with the same activation, not 0, for every image"),
        column("n_tied", pa.int32(), "units of which it is arbitrary which images are their top ones"),
        column("n_non_finite", pa.int32(), "units with a NaN or an infinity among their activations"),
    ]
)


def category_counts(units: pd.DataFrame) -> pd.DataFrame:
    """Interpretable units by category: INTERPRETABLE.

    A row for every category that occurs anywhere, with 0 units where it does not occur, in the order of
    `categories.in_order`; so the shares of a layer and epoch add up to its share of interpretable units.
    """
    names, category = interpretable_categories(units), label_categories(units)
    keyed = pd.concat([units[GROUP], *[(category == name).rename(name) for name in names]], axis=1)
    sums = keyed.groupby(GROUP, sort=False).sum().reset_index()
    tidy = sums.melt(GROUP, var_name="category", value_name="units")
    # melt gives one category after the other; the rows of one layer and epoch belong together.
    tidy = tidy.assign(at=list(range(len(sums))) * len(names)).sort_values(
        "at", kind="stable", ignore_index=True
    )
    return _with_shares(tidy.drop(columns="at"), units)


def category_shares(categories: pd.DataFrame, statuses: pd.DataFrame) -> pd.DataFrame:
    """Share of each layer's units that are interpretable, by category, and share that are dead, side by side.

    categories, statuses: what `category_counts` and `status_counts` give. One row per run, layer, epoch; columns: the
    keys, one per category, and `dead`; each in 0..1, their sum at most 1.
    """
    names = list(categories["category"].unique())
    shares = categories.pivot(index=GROUP, columns="category", values="share")[names]
    dead = statuses.set_index(GROUP)["n_dead"] / statuses.set_index(GROUP)["n_units"]
    return shares.reindex(dead.index).assign(dead=dead).rename_axis(columns=None).reset_index()


def concept_counts(units: pd.DataFrame) -> pd.DataFrame:
    """Interpretable units by label, the most frequent first, then by name: CONCEPT_COUNTS."""
    named = units[units["interpretable"]]
    groups = named.groupby([*GROUP, "label"], sort=False)["category"]
    found = groups.agg(units="size", category="first").reset_index().rename(columns={"label": "concept"})
    found = found.sort_values(["units", "concept"], ascending=[False, True], kind="stable")
    order = {
        key: at for at, key in enumerate(units[GROUP].drop_duplicates().itertuples(index=False, name=None))
    }
    places = [order[key] for key in found[GROUP].itertuples(index=False, name=None)]
    found = found.assign(at=places).sort_values("at", kind="stable", ignore_index=True)
    return _with_shares(found[[*GROUP, "concept", "category", "units"]], units)


def over_recipes(counts: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """`units` and `share` as means over the runs of each recipe, the largest first, then by name.

    counts: what `concept_counts` or `category_counts` gives for `units`. `run` is the recipe's title. A mean is over
    the runs that have the layer and epoch; a concept that none of a run's units has counts 0 there.
    """
    recipe = titles(map(str, units["run"].unique()))
    groups = units[GROUP].drop_duplicates()
    runs = groups.assign(run=groups["run"].map(recipe)).groupby(GROUP, sort=False).size().rename("runs")
    name = "concept" if "concept" in counts else "category"
    grouped = counts.assign(run=counts["run"].map(recipe)).groupby([*GROUP, name], sort=False)
    found = grouped.agg(units=("units", "sum"), share=("share", "sum"), category=("category", "first"))
    if name == "category":
        found = found.drop(columns="category")
    found = found.reset_index().merge(runs.reset_index(), on=GROUP, how="left")
    found[["units", "share"]] = found[["units", "share"]].div(found["runs"], axis=0)
    found = found.sort_values(["units", name], ascending=[False, True], kind="stable", ignore_index=True)
    return found.drop(columns="runs")


def status_counts(units: pd.DataFrame) -> pd.DataFrame:
    """Units by status: STATUS."""
    flags = {"n_units": pd.Series(True, index=units.index)}
    flags |= {status_column(status): units["status"] == status for status in STATUSES}
    keyed = pd.concat([units[GROUP], pd.DataFrame(flags)], axis=1)
    return keyed.groupby(GROUP, sort=False).sum().reset_index()


def status_column(status: str) -> str:
    """'n_non_finite' for 'non-finite'."""
    return f"n_{status.replace('-', '_')}"


def _with_shares(counts: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    sizes = units.groupby(GROUP).size().rename("n_units").reset_index()
    found = counts.merge(sizes, on=GROUP, how="left")
    return found.assign(share=found["units"] / found["n_units"])
