"""d_anchor, the mean distance of a layer's units to the nearest anchor, and runs compared by it.

DataFrames in the order of `keys.sort_rows` in, the same order out. Intervals are percentile bootstrap intervals
over units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cmon.reporting.tables import schemas as report_schemas
from cmon.reporting.tables.bootstrap import resampled_means
from cmon.workspace.keys import GROUP

Floats = npt.NDArray[np.float64]
RESAMPLES = 10_000
SAME_START = 0.99
"""Share of units with the same status and label at the first epoch from which two runs count as started alike."""
_SPACES = {"": "distance", "_clip": "distance_clip"}
_COLUMNS = list(_SPACES.values())
_NOBODY = pd.DataFrame({name: np.empty(0) for name in _COLUMNS})
_AT_ONCE = 1024
"""Runs, layers and epochs whose resampled means are held at a time: 160 MB."""
_Cell: TypeAlias = tuple[str, str, float]
"""run, layer, epoch."""


def d_anchor(
    units: pd.DataFrame, layout: pd.DataFrame, seed: int, confidence: float, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Mean distance from the live units to their nearest anchor, with bootstrap intervals and counts. D_ANCHOR.

    units, layout: the tables of those names, layout's units only. Per run, layer, epoch: `d_anchor` in the
    plane (lengths in units of the anchors' RMS radius; 0 or more), `d_anchor_clip` between unit vectors of CLIP's
    text space (0 to 2), each with `_low` and `_high`; NaN where no unit is live, no width where one is. `n_units`
    counts all units, `n_live` those with status 'ok', `n_dead` those with status 'dead'; constant, tied and
    non-finite units are the rest. An interval depends on its own units and the seed alone, not on other runs,
    layers and epochs.
    """
    distances = _distances(layout)
    status = units["status"]
    counted = units[GROUP].assign(
        n_units=1, n_live=status == "ok", n_dead=status == "dead", n_interpretable=units["interpretable"]
    )
    counts = counted.groupby(GROUP, sort=False).sum().astype(int)
    values = [distances.get(key, np.empty((0, 2))) for key in counts.index]
    means = [one.mean(axis=0) if len(one) else np.full(2, np.nan) for one in values]
    bounds = np.full((len(values), 2, 2), np.nan)  # group, low or high, space
    for at, resampled in _resampled(values, seed, resamples):
        bounds[at] = _interval(resampled, confidence)
    table = {}
    for space, suffix in enumerate(_SPACES):
        table[f"d_anchor{suffix}"] = np.array([mean[space] for mean in means])
        table[f"d_anchor{suffix}_low"], table[f"d_anchor{suffix}_high"] = bounds[:, :, space].T
    return pd.concat([pd.DataFrame(table, index=counts.index), counts], axis=1).reset_index()


def comparison(
    units: pd.DataFrame,
    layout: pd.DataFrame,
    seed: int,
    confidence: float,
    paired: bool | None = None,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Difference in d_anchor between every two runs, per layer and epoch that both have. Schema COMPARISON.

    units, layout: as for `d_anchor`. `reference` is the run that was given first, `run` the other one.
    `difference` is d_anchor of `run` minus d_anchor of `reference`: negative where the units of `run` are nearer to
    the anchors; `_low` and `_high` its interval. The runs differ where it does not hold 0. `difference_clip` is the
    same in CLIP's space. NaN where one of them has no live unit.
    `d_prime`, `d_prime_clip`: the difference over the root mean square of the two standard deviations between units
    (n - 1 in the denominator): how far the units are apart, however many there are. NaN if either run has fewer than
    two live units, or none of their distances differ.
    `n_reference`, `n_run`: live units.

    `paired`: whether one draw of unit indices was used for both runs. Unit k of two runs is the same unit only if
    both started from the same weights; then what k drew at the start is in both values, and drops out of their
    difference. By default (None) that is seen from the tables, run by run: `same_start`. Otherwise unit k of one
    run has nothing to do with unit k of the other, and each run is resampled on its own. True and False decide it
    for all. A paired draw is of all units of the layer, and each mean is over the drawn ones that are live.
    """
    own = {key: rows.set_index("unit")[_COLUMNS] for key, rows in _live(layout).groupby(GROUP)}
    runs = list(units["run"].unique())
    pairs = list(combinations(runs, 2))
    alike = {pair: same_start(units, *pair) if paired is None else paired for pair in pairs}
    members = units.groupby("layer")["unit"].unique()
    cells = units[GROUP].drop_duplicates().groupby(["layer", "epoch"], sort=False)["run"].agg(set)
    rows = []
    step = max(1, _AT_ONCE // len(runs)) if runs else 1
    for start in range(0, len(cells), step):
        some = cells.iloc[start : start + step]
        keys = [(run, *cell) for cell, present in some.items() for run in runs if run in present]
        values = {key: own.get(key, _NOBODY) for key in keys}
        means: dict[bool, dict[_Cell, Floats]] = {}
        if False in alike.values():
            means[False] = _independent(values, seed, resamples)
        if True in alike.values():
            means[True] = _paired(values, members, seed, resamples)
        for ((layer, epoch), present), (number, pair) in product(some.items(), enumerate(pairs)):
            if not present.issuperset(pair):
                continue
            one, other = ((run, layer, epoch) for run in pair)
            drawn = means[alike[pair]]
            # Layers with as many live units share their draws: unless these are to pair the units, resample b of
            # one run is set against b + 1 of the other.
            theirs = drawn[other] if alike[pair] else np.roll(drawn[other], -1, axis=0)
            row = {"number": number, "reference": pair[0], "run": pair[1], "layer": layer, "epoch": epoch}
            row |= _compared(values[one], values[other], theirs - drawn[one], confidence)
            rows.append({**row, "paired": alike[pair]})
    table = pd.DataFrame(rows, columns=["number", *report_schemas.COMPARISON.names])
    layers = {layer: at for at, layer in enumerate(units["layer"].unique())}
    table = table.assign(at=table["layer"].map(layers)).sort_values(["number", "at", "epoch"])
    return table[report_schemas.COMPARISON.names].reset_index(drop=True)


def same_start(units: pd.DataFrame, reference: str, run: str) -> bool:
    """Whether two runs start from the same weights, as far as their first epoch shows.

    Their first epoch is the same, and at it, in all layers that both have, at least SAME_START of the units of
    either have the same status and label. Runs whose first checkpoint was saved after training began, or that share
    no layer, do not.
    """
    first = []
    for name in (reference, run):
        own = units[units["run"] == name]
        first.append(own[own["epoch"] == own["epoch"].min()])
    layers = set(first[0]["layer"]) & set(first[1]["layer"])
    keys = ["layer", "epoch", "unit"]
    ours, theirs = (one.loc[one["layer"].isin(layers), [*keys, "status", "label"]] for one in first)
    both = ours.merge(theirs, on=keys, suffixes=("", "_run")).fillna("")
    same = (both["status"] == both["status_run"]) & (both["label"] == both["label_run"])
    return bool(len(both) and same.sum() >= SAME_START * max(len(ours), len(theirs)))


def _compared(
    reference: pd.DataFrame, run: pd.DataFrame, differences: Floats, confidence: float
) -> dict[str, float]:
    """A row's numbers. reference, run: distances of live units. differences: (resamples, 2) of their means."""
    row: dict[str, float] = {}
    bounds = _interval(differences, confidence)
    for space, (suffix, column) in enumerate(_SPACES.items()):
        one, other = reference[column].to_numpy(), run[column].to_numpy()
        known = len(one) and len(other)
        gap = float(other.mean() - one.mean()) if known else np.nan
        row[f"difference{suffix}"] = gap
        row[f"difference{suffix}_low"], row[f"difference{suffix}_high"] = bounds[:, space]
        size = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2) if min(len(one), len(other)) > 1 else 0.0
        row[f"d_prime{suffix}"] = gap / size if size > 0 else np.nan
    return row | {"n_reference": len(reference), "n_run": len(run)}


def _independent(values: Mapping[_Cell, pd.DataFrame], seed: int, resamples: int) -> dict[_Cell, Floats]:
    """Each cell's (resamples, 2) means over its live units; NaN where it has none."""
    names = list(values)
    means = dict.fromkeys(names, np.full((resamples, 2), np.nan))
    for at, found in _resampled([one.to_numpy() for one in values.values()], seed, resamples):
        means[names[at]] = found
    return means


def _paired(
    values: Mapping[_Cell, pd.DataFrame], members: pd.Series, seed: int, resamples: int
) -> dict[_Cell, Floats]:
    """The same, with one draw of unit indices for all runs and epochs of a layer. members: its units."""
    means: dict[_Cell, Floats] = {}
    for layer in dict.fromkeys(layer for _, layer, _ in values):
        own = {cell: frame.reindex(members[layer]) for cell, frame in values.items() if cell[1] == layer}
        found = resampled_means(np.concatenate(list(own.values()), axis=1), seed, resamples)
        means |= zip(own, np.split(found, len(own), axis=1), strict=True)
    return means


def _resampled(values: Sequence[Floats], seed: int, resamples: int) -> Iterator[tuple[int, Floats]]:
    """(position in values, (resamples, 2) means) of each (K,2) array with K > 0.

    Arrays of the same length share their draws: these are what takes the time.
    """
    sizes = np.array([len(one) for one in values])
    for size in np.unique(sizes[sizes > 0]):
        own = np.flatnonzero(sizes == size)
        for start in range(0, len(own), 64):
            some = own[start : start + 64]
            stacked = np.concatenate([values[at] for at in some], axis=1)
            means = resampled_means(stacked, seed, resamples)
            yield from zip(some.tolist(), np.split(means, len(some), axis=1), strict=True)


def _interval(resampled: Floats, confidence: float) -> Floats:
    """(resamples, M) to (2, M): lower and upper bound; NaN where any resample is."""
    tail = (1 - confidence) / 2
    return np.quantile(resampled, [tail, 1 - tail], axis=0)


def _live(layout: pd.DataFrame) -> pd.DataFrame:
    return layout[layout["status"] == "ok"]


def _distances(layout: pd.DataFrame) -> dict[tuple[object, ...], Floats]:
    """(run, layer, epoch) to (K,2): the live units' distances in the plane and in CLIP's space."""
    return {key: rows[_COLUMNS].to_numpy() for key, rows in _live(layout).groupby(GROUP)}
