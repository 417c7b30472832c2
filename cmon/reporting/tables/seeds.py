"""Each recipe over its seeds: the means of its runs, and their intervals over runs.

A recipe is what repeated runs share (see `repeats`). An interval over units is about one network; one over runs is
about the recipe: where the mean over all trainings of it lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from cmon.paired_difference import mean_interval, paired_difference
from cmon.reporting.repeats import repeated
from cmon.reporting.tables.columns import bounds
from cmon.workspace.keys import GROUP
from cmon.workspace.schemas import GROUP_FIELDS, column

CATEGORY = "category: "
"""In front of a category's name: the measure that is its share of the layer's units."""
_OF_TABLES = {
    "movement": [
        *("step", "step_clip", "from_first", "from_first_clip", "spread"),
        *("labels", "entropy", "born", "lost", "relabelled"),
    ],
    "diversity": ["effective_labels", "overlap"],
}
"""Columns that are measures under their own names, by table."""
MEASURE = column(
    "measure",
    pa.string(),
    "a column of the tables `d_anchor`, `movement` and `diversity`; `interpretable`, `dead`: share of such units, 0 to "
    "1; `category: NAME`: share of the layer's units that are interpretable under a label of it, 0 to 1",
)
_OVER_RUNS = "confidence interval (Student's, over runs)"

SEEDS = pa.schema(
    [
        column("recipe", pa.string(), "what its runs are called before `@`"),
        *GROUP_FIELDS[1:],
        MEASURE,
        column("n_runs", pa.int32(), "runs that have a value at this epoch"),
        column("mean", pa.float64(), "over these, in the measure's own unit", null=True),
        *bounds("mean", _OVER_RUNS),
        column("sd", pa.float64(), "standard deviation between them; empty for one run", null=True),
        column(
            "n_paired",
            pa.int32(),
            "of these, runs with a value at the first epoch at which two runs have one; 0 up to that epoch",
        ),
        column(
            "change", pa.float64(), "mean over these of what the value changed by since that epoch", null=True
        ),
        *bounds("change", "confidence interval (Student's, of paired values of runs)"),
    ]
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RunValues:
    """What the runs of a recipe have in a layer."""

    epochs: list[float]
    """Those that any of them has, rising."""
    values: Floats
    """(epochs, measures, runs); NaN where a run has none."""


def run_measures(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What is averaged over seeds: a row per run, layer, epoch, indexed by them; a column per measure, NaN for none.

    tables: the report's `d_anchor`, `movement`, `diversity` and `interpretable`, by name.
    """
    d_anchor = tables["d_anchor"].set_index(GROUP)
    shares = {
        "interpretable": d_anchor["n_interpretable"] / d_anchor["n_units"],
        "dead": d_anchor["n_dead"] / d_anchor["n_units"],
    }
    found = d_anchor[["d_anchor", "d_anchor_clip"]].assign(**shares)
    for name, columns in _OF_TABLES.items():
        found = found.join(tables[name].set_index(GROUP)[columns])
    categories = tables["interpretable"]
    if len(categories):
        wide = categories.pivot(index=GROUP, columns="category", values="share")
        found = found.join(wide[list(categories["category"].unique())].add_prefix(CATEGORY))
    return found.astype(np.float64)


def seeds(measures: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Each recipe with at least two runs, over these: SEEDS, a row per recipe, layer, epoch, measure.

    measures: of `run_measures`. `mean` is over the `n_runs` runs of the recipe that have a value, `mean_low` and
    `mean_high` are the ends of Student's interval of it (Student 1908), with x the runs' values and n their number:

        mean(x) +- t(confidence, n - 1) * sd(x) / sqrt(n)

    `sd` has n - 1 in its denominator. `change` is the same of what each run's value changed by since the first epoch
    at which two runs have one, over the `n_paired` runs that have both: a run is held against itself, so that how much
    runs differ from the start does not widen the interval. NaN at that epoch and before it, and all of them for no run;
    intervals and `sd` for one run. The interval takes runs as independent draws of a normal distribution: that of a
    share may reach beyond 0 and 1. Each holds by itself, not all of them at once.
    """
    rows: list[tuple[object, ...]] = []
    for (recipe, layer), own in by_recipe(measures).items():
        for at, epoch in enumerate(own.epochs):
            for measure, values in zip(measures.columns, own.values.swapaxes(0, 1), strict=True):
                numbers = [*_mean(values[at], confidence), *_change(values, at, confidence)]
                rows.append((recipe, layer, epoch, measure, *numbers))
    return pd.DataFrame(rows, columns=SEEDS.names)


def last_shared(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each recipe (or pair) and layer at its last epoch of those that most of its runs have.

    table: of `seeds` or of `seed_comparison`.
    """
    keys = [name for name in ("reference", "recipe", "layer") if name in table]
    counts = [name for name in ("n_runs", "n_reference", "n_recipe") if name in table]
    whole = table["measure"] == "interpretable"  # every run that has the epoch has that
    found = table.loc[whole, [*keys, "epoch"]].assign(n=table.loc[whole, counts].sum(axis=1))
    most = found[found["n"] == found.groupby(keys)["n"].transform("max")]
    last = most.groupby(keys, sort=False)["epoch"].max().rename("last").reset_index()
    kept = table[keys].merge(last, on=keys, how="left")["last"].to_numpy()
    return table[table["epoch"].to_numpy() == kept]


def by_recipe(measures: pd.DataFrame) -> dict[tuple[str, str], RunValues]:
    """(recipe, layer) to its runs' values, in the order of `measures`."""
    where = measures.index.to_frame(index=False)
    found = {}
    for recipe in repeated(where["run"]):
        own = where[where["run"].isin(recipe.runs)]
        for layer in own["layer"].unique():
            epochs = sorted(own.loc[own["layer"] == layer, "epoch"].unique())
            cells = pd.MultiIndex.from_product([epochs, recipe.runs], names=["epoch", "run"])
            here = measures.xs(layer, level="layer").swaplevel().reindex(cells)
            values = here.to_numpy().reshape(len(epochs), len(recipe.runs), -1).swapaxes(1, 2)
            found[recipe.name, str(layer)] = RunValues([float(epoch) for epoch in epochs], values)
    return found


def _mean(values: Floats, confidence: float) -> Iterator[float]:
    """n_runs, mean, its interval, sd of the finite ones of (runs,) values."""
    known = values[np.isfinite(values)]
    yield len(known)
    yield from mean_interval(known, confidence)
    yield float(known.std(ddof=1)) if len(known) > 1 else np.nan


def _change(values: Floats, at: int, confidence: float) -> tuple[float, float, float, float]:
    """n_paired, change and its interval from the first epoch that two runs have to the one at `at`.

    values: (epochs, runs).
    """
    has_two = np.flatnonzero(np.isfinite(values).sum(axis=1) > 1)
    if not len(has_two) or at <= has_two[0]:
        return 0, np.nan, np.nan, np.nan
    found = paired_difference(values[has_two[0]], values[at], confidence)
    return found.units, found.difference, found.low, found.high
