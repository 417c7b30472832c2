"""Values of runs that repeat recipes, as `seeds.run_measures` gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from cmon.workspace.keys import GROUP


def measured(
    values: Mapping[str, Mapping[float, float]], measure: str = "d_anchor", layer: str = "l"
) -> pd.DataFrame:
    """One measure of one layer: run to epoch to value, NaN for none; half of the units are interpretable."""
    rows = [
        {"run": run, "layer": layer, "epoch": float(epoch), measure: value, "interpretable": 0.5}
        for run, own in values.items()
        for epoch, value in own.items()
    ]
    return pd.DataFrame(rows).set_index(GROUP)


def drawn(seed: int, changes: Mapping[str, float], runs: int = 4, sd: float = 0.05) -> pd.DataFrame:
    """Recipes whose runs start around 1 and change by a number, with noise, at epochs 0 and 1."""
    random = np.random.default_rng(seed)
    starts = {f"{recipe}@{run}": random.normal(1, 0.3) for recipe in changes for run in range(runs)}
    values = {
        run: {0: start, 1: start + changes[run.partition("@")[0]] + random.normal(0, sd)}
        for run, start in starts.items()
    }
    return measured(values)


def drawn_often(times: int, changes: Mapping[str, float], runs: int = 4) -> pd.DataFrame:
    """`drawn` anew for each of so many measures."""
    found = [drawn(seed, changes, runs)["d_anchor"].rename(f"{seed}") for seed in range(times)]
    return pd.concat(found, axis=1)


QUANTILES = {1: 12.706204736432095, 2: 4.302652729911275, 3: 3.182446305284263}
"""Of Student's t at 97.5 %, by degrees of freedom: any table of it has them."""


def students(values: list[float]) -> tuple[float, float, float, float]:
    """Mean, low, high, standard deviation, from their definitions, at 95 %."""
    count = len(values)
    mean = sum(values) / count
    sd = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    half = QUANTILES[count - 1] * sd / math.sqrt(count)
    return mean, mean - half, mean + half, sd
