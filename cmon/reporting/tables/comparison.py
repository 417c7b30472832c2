"""Every two runs compared by d_anchor, per layer and epoch that both have.

DataFrames in the order of `keys.sort_rows` in, rows by pair of runs, layer and epoch out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from cmon.reporting.tables.bootstrap import RESAMPLES, interval, resampled_groups, resampled_means
from cmon.reporting.tables.d_anchor import DISTANCES, live_distances
from cmon.workspace.keys import GROUP
from cmon.workspace.schemas import GROUP_FIELDS, column

COMPARISON = pa.schema(
    [
        column("reference", pa.string(), "the run that was given first"),
        column("run", pa.string(), "the other run"),
        *GROUP_FIELDS[1:],
        column(
            "difference",
            pa.float64(),
            "d_anchor of `run` minus d_anchor of `reference`; empty where a run has no live unit",
            null=True,
        ),
        column("difference_low", pa.float64(), "lower end of its bootstrap interval", null=True),
        column("difference_high", pa.float64(), "upper end of its bootstrap interval", null=True),
        column(
            "d_prime", pa.float64(), "the difference over the standard deviation between units", null=True
        ),
        column("difference_clip", pa.float64(), "the same difference of d_anchor_clip", null=True),
        column("difference_clip_low", pa.float64(), "lower end of its bootstrap interval", null=True),
        column("difference_clip_high", pa.float64(), "upper end of its bootstrap interval", null=True),
        column(
            "d_prime_clip",
            pa.float64(),
            "the difference over the standard deviation between units",
            null=True,
        ),
        column("n_reference", pa.int32(), "live units of `reference`"),
        column("n_run", pa.int32(), "live units of `run`"),
        column(
            "paired",
            pa.bool_(),
            "whether both runs started from the same weights, and so are compared unit by unit",
        ),
    ]
)

SAME_START = 0.99
"""Share of units with the same status and label at the first epoch from which two runs count as started alike."""
_AT_ONCE = 1024
"""Runs, layers and epochs whose resampled means are held at a time: 160 MB."""

Floats = npt.NDArray[np.floating]
Group: TypeAlias = tuple[str, str, float]
"""run, layer, epoch."""
Distances: TypeAlias = Mapping[Group, pd.DataFrame]
"""Of each group's live units, indexed by unit: the columns of `DISTANCES`."""


def comparison(
    units: pd.DataFrame,
    layout: pd.DataFrame,
    seed: int,
    confidence: float,
    paired: bool | None = None,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Difference in d_anchor between every two runs, per layer and epoch that both have: COMPARISON.

    units, layout: as for `d_anchor`. `reference` is the run that was given first, `run` the other one.
    `difference` is d_anchor of `run` minus d_anchor of `reference`: negative where the units of `run` are nearer to
    the anchors; `_low` and `_high` are its percentile bootstrap interval over units. The runs differ where it does not
    hold 0. `difference_clip` is the same in CLIP's space. NaN where one of them has no live unit.
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
    pairs = {
        pair: same_start(units, *pair) if paired is None else paired
        for pair in combinations(units["run"].unique(), 2)
    }
    members = units.groupby("layer")["unit"].unique()
    rows = []
    for distances in _in_parts(units, live_distances(layout)):
        means: dict[bool, dict[Group, Floats]] = {}
        if False in pairs.values():
            means[False] = _independent_means(distances, seed, resamples)
        if True in pairs.values():
            means[True] = _paired_means(distances, members, seed, resamples)
        for reference, run in _comparable(distances, pairs):
            alike = pairs[reference[0], run[0]]
            differences = _differences(means[alike][reference], means[alike][run], alike)
            numbers = _numbers(distances[reference], distances[run], interval(differences, confidence))
            row = dict(zip(["reference", *GROUP], (reference[0], *run), strict=True))
            rows.append({**row, **numbers, "paired": alike})
    return _in_order(pd.DataFrame(rows, columns=COMPARISON.names), units)


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


def _in_parts(units: pd.DataFrame, distances: Distances) -> Iterator[Distances]:
    """The distances of all groups, about _AT_ONCE groups at a time, all runs of a layer and epoch together."""
    nobody = pd.DataFrame({name: np.empty(0) for name in DISTANCES.values()})
    runs_of = units[GROUP].drop_duplicates().groupby(["layer", "epoch"], sort=False)["run"].unique()
    step = max(1, _AT_ONCE // max(1, units["run"].nunique()))
    for start in range(0, len(runs_of), step):
        some = runs_of.iloc[start : start + step]
        groups = [(run, *where) for where, runs in some.items() for run in runs]
        yield {group: distances.get(group, nobody) for group in groups}


def _comparable(distances: Distances, pairs: Mapping[tuple[str, str], bool]) -> Iterator[tuple[Group, Group]]:
    """The groups of `reference` and of `run` that are compared: one layer and epoch of a pair of runs."""
    for where in dict.fromkeys(group[1:] for group in distances):
        for reference, run in pairs:
            if (reference, *where) in distances and (run, *where) in distances:
                yield (reference, *where), (run, *where)


def _independent_means(distances: Distances, seed: int, resamples: int) -> dict[Group, Floats]:
    """Each group's (resamples, 2) means over its live units; NaN where it has none."""
    groups = list(distances)
    means = dict.fromkeys(groups, np.full((resamples, 2), np.nan))
    values = [own.to_numpy() for own in distances.values()]
    return means | {groups[at]: found for at, found in resampled_groups(values, seed, resamples)}


def _paired_means(distances: Distances, members: pd.Series, seed: int, resamples: int) -> dict[Group, Floats]:
    """The same, with one draw of unit indices for all runs and epochs of a layer. members: units by layer."""
    means: dict[Group, Floats] = {}
    for layer in dict.fromkeys(layer for _, layer, _ in distances):
        own = {
            group: frame.reindex(members[layer]) for group, frame in distances.items() if group[1] == layer
        }
        found = resampled_means(np.concatenate(list(own.values()), axis=1), seed, resamples)
        means |= zip(own, np.split(found, len(own), axis=1), strict=True)
    return means


def _differences(reference: Floats, run: Floats, paired: bool) -> Floats:
    """(resamples, 2) differences of the resampled means of two groups, `run` minus `reference`."""
    # Groups with as many live units share their draws, see `resampled_groups`. Where units are not paired, the draws
    # must be independent: resample b of one run is set against b + 1 of the other.
    return (run if paired else np.roll(run, -1, axis=0)) - reference


def _numbers(reference: pd.DataFrame, run: pd.DataFrame, ends: Floats) -> dict[str, float]:
    """A row's numbers. reference, run: distances of live units. ends: (2, 2), low or high by distance."""
    row: dict[str, float] = {"n_reference": len(reference), "n_run": len(run)}
    for space, (suffix, name) in enumerate(DISTANCES.items()):
        one, other = reference[name].to_numpy(), run[name].to_numpy()
        difference = float(other.mean() - one.mean()) if len(one) and len(other) else np.nan
        row[f"difference{suffix}"] = difference
        row[f"difference{suffix}_low"], row[f"difference{suffix}_high"] = ends[:, space]
        deviation = _pooled_deviation(one, other)
        row[f"d_prime{suffix}"] = difference / deviation if deviation > 0 else np.nan
    return row


def _pooled_deviation(one: Floats, other: Floats) -> float:
    """Root mean square of two standard deviations; 0 if either has fewer than two values."""
    if min(len(one), len(other)) < 2:
        return 0.0
    return float(np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2))


def _in_order(table: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """By pair of runs, layer, both as `units` has them, and epoch."""
    runs, layers = ({value: at for at, value in enumerate(units[name].unique())} for name in ("run", "layer"))
    ranks = {"reference": runs, "run": runs, "layer": layers}
    return table.sort_values(
        ["reference", "run", "layer", "epoch"],
        key=lambda values: values.map(ranks[values.name]) if values.name in ranks else values,
        ignore_index=True,
    )
