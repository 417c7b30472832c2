"""What runs detect differently beyond chance: concepts and categories whose shares of units differ.

A side is a run at an epoch. Of several runs each is compared with the first, at the last epoch that all of them have; a
single run is compared at its last epoch with its first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd
import pyarrow as pa
from scipy.stats import false_discovery_control, fisher_exact

from cmon.reporting.tables.counts import category_counts, concept_counts
from cmon.workspace.schemas import LAYER, column

CONCEPT_DIFFERENCES = pa.schema(
    [
        LAYER,
        column("kind", pa.string(), "`concept`, `category`, or `all`: interpretable units under any label"),
        column("name", pa.string(), "the concept or the category"),
        column("run", pa.string(), "the one side: a run"),
        column("epoch", pa.float64(), "and its epoch: the last that all runs have, or else its own last"),
        column("other_run", pa.string(), "the other side: the first run, or with a single run itself"),
        column("other_epoch", pa.float64(), "and its epoch; with a single run its first"),
        column("units", pa.int32(), "interpretable units of `run` under this concept or category"),
        column("n_units", pa.int32(), "all units of the layer in `run`"),
        column("share", pa.float64(), "`units` / `n_units`, 0 to 1"),
        column("other_units", pa.int32(), "`units` on the other side"),
        column("other_n_units", pa.int32(), "`n_units` on the other side"),
        column("other_share", pa.float64(), "`share` on the other side, 0 to 1"),
        column("p_value", pa.float64(), "of Fisher's exact test, two-sided, that the two shares are equal"),
        column("q_value", pa.float64(), "smallest false discovery rate, over all rows, at which it differs"),
        column(
            "differs",
            pa.bool_(),
            "whether `q_value` is at most 0.05, and more than one unit of a side carries it",
        ),
    ]
)

RATE = 0.05
"""False discovery rate: expected share of false ones among the differences that are reported."""
ALL = "interpretable"
"""Name of the row that counts interpretable units under any label."""


@dataclass(frozen=True)
class Side:
    """A run at an epoch."""

    run: str
    epoch: float


def sides(units: pd.DataFrame) -> list[Side]:
    """The sides that are compared; the first is the one that the others are compared with.

    Every run at the last epoch that all runs have, or where there is none each at its own last. A single run:
    first its first, then its last epoch; with one epoch there is only one side.
    """
    epochs = {str(run): set(own["epoch"]) for run, own in units.groupby("run", sort=False)}
    if len(epochs) == 1:
        run, own = next(iter(epochs.items()))
        return [Side(run, epoch) for epoch in sorted({min(own), max(own)})]
    common = set.intersection(*epochs.values())
    return [Side(run, max(common or own)) for run, own in epochs.items()]


def concept_differences(units: pd.DataFrame) -> pd.DataFrame:
    """Every side against the first: rows as in CONCEPT_DIFFERENCES.

    units: the table `units` in the order of `keys.sort_rows`. Per layer that both sides have, a row for each
    concept and each category that an interpretable unit of either carries, and one for all interpretable units.
    `p_value` is that of Fisher's exact test (two-sided) on units that do and do not carry it, out of all units
    of the layer, dead ones included. `q_value` is Benjamini and Hochberg's over all rows; `differs` where it is
    at most RATE and more than one unit of a side carries it: a single one is no difference between two networks. The
    test takes units as independent draws: it separates differences of these two networks from chance, and does not
    say whether two other trainings of the same kind would differ so.
    """
    first, *others = sides(units)
    there = _by_layer(units, first)
    found = [row for other in others for row in _rows(other, _by_layer(units, other), first, there)]
    table = pd.DataFrame(found, columns=CONCEPT_DIFFERENCES.names[:-2])
    table["q_value"] = false_discovery_control(table["p_value"].to_numpy(dtype=float), method="bh")
    more_than_one = table[["units", "other_units"]].max(axis=1) > 1
    table["differs"] = (table["q_value"] <= RATE) & more_than_one
    return table


@dataclass(frozen=True)
class _Layer:
    """A layer of a side."""

    n_units: int
    counts: Mapping[tuple[str, str], int]
    """What `_counts` gives."""


def _by_layer(units: pd.DataFrame, side: Side) -> dict[str, _Layer]:
    """The side's layers, in the order of the table."""
    own = units[(units["run"] == side.run) & (units["epoch"] == side.epoch)]
    layers = {layer: own[own["layer"] == layer] for layer in units["layer"].unique()}
    return {layer: _Layer(len(here), _counts(here)) for layer, here in layers.items() if len(here)}


def _rows(
    side: Side, layers: Mapping[str, _Layer], other: Side, other_layers: Mapping[str, _Layer]
) -> Iterator[tuple[object, ...]]:
    for layer in (name for name in layers if name in other_layers):
        here, there = layers[layer], other_layers[layer]
        for kind, name in dict.fromkeys([*here.counts, *there.counts]):
            count, other_count = (one.counts.get((kind, name), 0) for one in (here, there))
            yield (
                layer, kind, name, side.run, side.epoch, other.run, other.epoch,
                count, here.n_units, count / here.n_units,
                other_count, there.n_units, other_count / there.n_units,
                _p_value(count, here.n_units, other_count, there.n_units),
            )  # fmt: skip


@lru_cache(maxsize=2**16)
def _p_value(count: int, n_units: int, other_count: int, other_n_units: int) -> float:
    """Of Fisher's exact test; most concepts are rare, so that the same few tables come again and again."""
    return float(fisher_exact([[count, n_units - count], [other_count, other_n_units - other_count]]).pvalue)


def _counts(units: pd.DataFrame) -> dict[tuple[str, str], int]:
    """(kind, name) to number of interpretable units: all of them, then by category, then by label.

    units: of one layer at one epoch of one run.
    """
    categories = category_counts(units).sort_values("units", ascending=False, kind="stable")
    concepts = concept_counts(units)
    return {
        ("all", ALL): int(units["interpretable"].sum()),
        **{
            ("category", str(name)): int(n)
            for name, n in zip(categories["category"], categories["units"], strict=True)
        },
        **{
            ("concept", str(name)): int(n)
            for name, n in zip(concepts["concept"], concepts["units"], strict=True)
        },
    }
