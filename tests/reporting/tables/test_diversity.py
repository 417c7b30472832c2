from __future__ import annotations

import math

import pandas as pd
import pyarrow as pa
import pytest

from cmon.reporting.tables import diversity
from tests.support import random_training
from tests.support.random_training import ANCHORS, names_at
from tests.support.synthetic_tables import scores_of

GROUP = ["run", "layer", "epoch"]
NO_SCORES = pd.DataFrame(columns=[*GROUP, "most frequent label", "its units", "overlap", "overlap by chance"])


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_the_slow_twin_counts(seed: int) -> None:
    units, layout = random_training.tables(seed, named=0.4)
    found = diversity.layer_diversity(units, layout, scores_of(units)).set_index(GROUP)
    names = names_at(units)
    assert found.index.tolist() == list(names)
    near = {tuple(row[key] for key in (*GROUP, "unit")): row for row in layout.to_dict("records")}
    for key, own in names.items():
        row = found.loc[key]
        named = {unit: label for unit, label in own.items() if label is not None}
        labels = list(named.values())
        assert row["n_interpretable"] == len(named)
        assert row["labels"] == len(set(labels))
        shares = [labels.count(label) / len(labels) for label in set(labels)]
        bits = sum(share * math.log2(1 / share) for share in shares)
        assert row["entropy"] == pytest.approx(bits)
        assert row["effective_labels"] == pytest.approx(2**bits if labels else 0)
        assert row["n_anchors"] == 5
        lower = {label.lower() for label in labels}
        assert row["labelled_anchors"] == sum(anchor.lower() in lower for anchor in ANCHORS) / 5
        for column, source in (("covered", "nearest_anchor"), ("covered_clip", "nearest_anchor_clip")):
            assert row[column] == len({near[(*key, unit)][source] for unit in named}) / 5
        assert row["n_units"] == len(own)
        assert row["its_units"] == max((labels.count(label) for label in labels), default=0)
        assert (row["overlap"], row["overlap_chance"]) == (0.1 / (1 + key[2]), 0.05)


def units_of(labels: list[str | None]) -> pd.DataFrame:
    rows = [("a", "l", 0.0, unit, "ok", label, label is not None) for unit, label in enumerate(labels)]
    table = pd.DataFrame(rows, columns=[*GROUP, "unit", "status", "label", "interpretable"])
    return table.assign(category=None)


def layout_of(near: list[str], anchors: list[str]) -> pd.DataFrame:
    units = [{"kind": "unit", "run": "a", "layer": "l", "epoch": 0.0, "unit": unit, "concept": None,
              "nearest_anchor": name, "nearest_anchor_clip": name} for unit, name in enumerate(near)]  # fmt: skip
    return pd.DataFrame([{"kind": "anchor", "concept": name} for name in anchors] + units)


@pytest.mark.parametrize(
    ("labels", "count", "bits", "effective"),
    [
        (["dog", "cat", "sky", "red"], 4, 2.0, 4.0),
        (["dog"] * 4, 1, 0.0, 1.0),
        (["dog", "dog", "cat", None], 2, 0.9183, 1.8899),
        ([None] * 4, 0, 0.0, 0.0),
    ],
)
def test_labels_by_hand(labels: list[str | None], count: int, bits: float, effective: float) -> None:
    row = diversity.layer_diversity(units_of(labels), layout_of(["dog"] * 4, ["dog", "cat"]), NO_SCORES).iloc[
        0
    ]
    assert (row["labels"], row["n_interpretable"]) == (count, 4 - labels.count(None))
    assert row["entropy"] == pytest.approx(bits, abs=1e-4)
    assert math.copysign(1, row["entropy"]) == 1, "no -0.0"
    assert row["effective_labels"] == pytest.approx(effective, abs=1e-4)
    assert row["covered"] == (0.5 if any(labels) else 0)


def test_a_unit_that_is_not_interpretable_covers_nothing_and_case_does_not_matter() -> None:
    layout = layout_of(["dog", "cat", "sky"], ["Dog", "cat", "sky", "bus"])
    row = diversity.layer_diversity(units_of(["dog", None, "DOG"]), layout, NO_SCORES).iloc[0]
    assert (row["labelled_anchors"], row["covered"], row["covered_clip"]) == (0.25, 0.5, 0.5)


def test_without_anchors_there_is_no_coverage() -> None:
    row = diversity.layer_diversity(units_of(["dog"]), layout_of([None], []), NO_SCORES).iloc[0]  # type: ignore[list-item]
    assert row["n_anchors"] == 0
    assert row[["labelled_anchors", "covered", "covered_clip"]].isna().all()


def test_the_table_fits_its_schema_whatever_happens() -> None:
    for given in ({}, {"dead": 1.0}, {"named": 0.0}, {"units": 1, "gone": 0.0}):
        units, layout = random_training.tables(0, **given)
        found = diversity.layer_diversity(units, layout, scores_of(units))
        table = pa.Table.from_pandas(found, schema=diversity.DIVERSITY, preserve_index=False)
        assert table.num_rows == len(units[GROUP].drop_duplicates())
