"""What tells two recipes apart: the difference of their means over seeds, and its interval over runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import false_discovery_control, ttest_ind

from cmon.reporting.tables.columns import bounds
from cmon.reporting.tables.differences import RATE
from cmon.reporting.tables.seeds import CATEGORY, MEASURE, Floats, RunValues, by_recipe
from cmon.workspace.schemas import GROUP_FIELDS, column

SEED_COMPARISON = pa.schema(
    [
        column("reference", pa.string(), "the recipe that was given first"),
        column("recipe", pa.string(), "the other recipe"),
        *GROUP_FIELDS[1:],
        MEASURE,
        column(
            "difference",
            pa.float64(),
            "mean of `recipe` minus mean of `reference`; empty where one has no value",
            null=True,
        ),
        *bounds("difference", "confidence interval (Welch's, over runs)"),
        column(
            "p_value", pa.float64(), "of Welch's test, two-sided, that the two means are equal", null=True
        ),
        column("n_reference", pa.int32(), "runs of `reference` that have a value"),
        column("n_recipe", pa.int32(), "runs of `recipe` that have a value"),
    ]
)


def seed_comparison(measures: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Every two recipes with at least two runs each: SEED_COMPARISON, a row per pair, layer, epoch, measure of both.

    measures: of `seeds.run_measures`. `difference` is the mean of `recipe`'s runs minus that of `reference`'s, the
    recipe that was given first, with Welch's interval and test (Welch 1947), which assume neither equal standard
    deviations nor pairs of runs: with m and n runs of standard deviations r and s, a = r^2 / m, b = s^2 / n,

        difference +- t(confidence, (a + b)^2 / (a^2 / (m - 1) + b^2 / (n - 1))) * sqrt(a + b)

    Interval and `p_value` are NaN where either has fewer than two values. Where the runs of neither differ among
    themselves, the interval has no width, and `p_value` is 0, or 1 if the recipes do not differ either. Like the
    intervals of `seeds`, each holds by itself.
    """
    values = by_recipe(measures)
    recipes = dict.fromkeys(recipe for recipe, _ in values)
    layers = dict.fromkeys(layer for _, layer in values)
    parts = [
        _compared(values[reference, layer], values[recipe, layer], measures.columns, confidence).assign(
            reference=reference, recipe=recipe, layer=layer
        )
        for reference, recipe in combinations(recipes, 2)
        for layer in layers
        if _common_epochs(values.get((reference, layer)), values.get((recipe, layer)))
    ]
    if not parts:
        return pd.DataFrame(columns=SEED_COMPARISON.names)
    return pd.concat(parts, ignore_index=True)[SEED_COMPARISON.names]


def compared_categories(comparison: pd.DataFrame, reference: str, epoch: float) -> pd.DataFrame:
    """The rows of categories of all recipes and layers against `reference` at an epoch: whose shares differ by chance?

    comparison: of `seed_comparison`. Added are `name`, the category, and `differs`: whether Benjamini and Hochberg's
    procedure takes it, over these rows, at the false discovery rate `differences.RATE`. Rows without a p-value are
    left out.
    """
    of_category = comparison["measure"].astype(str).str.startswith(CATEGORY)
    here = (comparison["reference"] == reference) & (comparison["epoch"] == epoch) & of_category
    rows = comparison[here].dropna(subset=["p_value"])
    q_values = false_discovery_control(rows["p_value"].to_numpy(dtype=float))
    return rows.assign(name=rows["measure"].str.removeprefix(CATEGORY), differs=q_values <= RATE)


def _common_epochs(one: RunValues | None, other: RunValues | None) -> list[float]:
    return [epoch for epoch in one.epochs if epoch in other.epochs] if one and other else []


def _compared(one: RunValues, other: RunValues, measures: Iterable[str], confidence: float) -> pd.DataFrame:
    """A row for each epoch that both have and each measure."""
    epochs = _common_epochs(one, other)
    reference, recipe = (
        own.values[[own.epochs.index(epoch) for epoch in epochs]].reshape(-1, own.values.shape[2])
        for own in (one, other)
    )
    keys = pd.MultiIndex.from_product([epochs, measures], names=["epoch", "measure"]).to_frame(index=False)
    return pd.concat([keys, _welch(reference, recipe, confidence)], axis=1)


def _welch(reference: Floats, recipe: Floats, confidence: float) -> pd.DataFrame:
    """(K, runs) values of either, NaN for none, to the other columns of SEED_COMPARISON."""
    counts = np.stack([np.isfinite(values).sum(axis=1) for values in (reference, recipe)], axis=1)
    found = np.full((len(counts), 4), np.nan)
    for pair in np.unique(counts[(counts > 0).all(axis=1)], axis=0):
        rows = (counts == pair).all(axis=1)
        one, other = (  # sorted, the missing values are last
            np.sort(values[rows], axis=1)[:, :count]
            for values, count in zip((reference, recipe), pair, strict=True)
        )
        found[rows, 0] = other.mean(axis=1) - one.mean(axis=1)
        if pair.min() > 1:
            found[rows] = _tested(one, other, confidence)
    names = ["difference", "difference_low", "difference_high", "p_value"]
    return pd.DataFrame(found, columns=names).assign(n_reference=counts[:, 0], n_recipe=counts[:, 1])


def _tested(one: Floats, other: Floats, confidence: float) -> Floats:
    """(K, 4) difference, low, high, p_value of (K, m) and (K, n) values, m and n at least 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of runs that hardly differ
        test = ttest_ind(other, one, axis=1, equal_var=False)
        interval = test.confidence_interval(confidence)
    means = other.mean(axis=1) - one.mean(axis=1)
    found = np.stack([means, interval.low, interval.high, test.pvalue], axis=1)
    alike = (np.ptp(one, axis=1) == 0) & (np.ptp(other, axis=1) == 0)
    difference = other[alike, 0] - one[alike, 0]
    found[alike] = np.stack([difference, difference, difference, difference == 0], axis=1)
    return found
