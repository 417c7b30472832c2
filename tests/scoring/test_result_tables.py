"""The tables of two populations worked by hand: one with live units, one without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from cmon.concepts import Concept
from cmon.scoring.labelling import Labels
from cmon.scoring.populations import Population
from cmon.scoring.result_tables import concepts_table, units_table, vocabulary_table
from cmon.workspace import schemas

CONCEPTS = [Concept("dog", "object"), Concept("red", "color"), Concept("mist", None)]
SHOWN = np.tile(np.arange(10, dtype=np.int32), (3, 1))


@pytest.fixture
def populations() -> list[Population]:
    """Units 0 and 2 are live; no pseudo-unit reaches the score of unit 2, all reach that of unit 0."""
    labels = Labels(
        scores=torch.tensor([[1.5, 1.0], [9.0, 2.0]]),
        concepts=torch.tensor([[2, 0], [1, 2]]),
        null_best=torch.full((99,), 3.0),
    )
    statuses = np.array(["ok", "dead", "ok"])
    activations = np.ones((3, 10), dtype=np.float32)
    alive = Population(
        "a", "fc", 1.0, statuses, np.array([0, 2]), None, SHOWN, activations, np.array([0.25, 0.5]), labels
    )
    dead = Population(
        "a",
        "fc",
        2.0,
        np.array(["constant"] * 3),
        np.empty(0, dtype=int),
        None,
        SHOWN,
        activations,
        np.empty(0),
    )
    return [alive, dead]


def test_every_unit_has_a_row_and_live_ones_a_label(populations: list[Population]) -> None:
    table = pa.concat_tables(units_table(one, CONCEPTS, fdr=0.05) for one in populations)
    assert table.schema.equals(schemas.UNITS)
    found = table.to_pandas()
    assert found["unit"].tolist() == [0, 1, 2, 0, 1, 2]
    assert found["epoch"].tolist() == [1, 1, 1, 2, 2, 2]
    assert found["label"].fillna("").tolist() == ["mist", "", "red", "", "", ""]
    assert found["category"].fillna("").tolist() == ["", "", "color", "", "", ""]
    np.testing.assert_allclose(found["score"], [1.5, np.nan, 9, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(found["margin"], [0.5, np.nan, 7, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(found["p_value"], [1, np.nan, 0.01, np.nan, np.nan, np.nan])
    assert found["interpretable"].tolist() == [False, False, True, False, False, False]
    np.testing.assert_allclose(found["shared"], [0.25, np.nan, 0.5, np.nan, np.nan, np.nan])
    alone = units_table(replace(populations[0], shared=np.full(2, np.nan)), CONCEPTS, fdr=0.05)
    assert alone["shared"].null_count == 3, "there is nothing that they could share"
    assert found["top_images"][4].tolist() == list(range(10))


def test_of_a_single_concept_there_is_no_margin(populations: list[Population]) -> None:
    labels = Labels(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1, dtype=torch.int64), torch.zeros(9))
    found = units_table(populations[0].labelled(labels), CONCEPTS[:1], fdr=0.05).to_pandas()
    assert found["margin"].isna().all()
    assert found["label"].fillna("").tolist() == ["dog", "", "dog"]


def test_only_live_units_have_concepts(populations: list[Population]) -> None:
    table = concepts_table(populations[0], CONCEPTS)
    assert table.schema.equals(schemas.CONCEPTS)
    rows = [
        (row["epoch"], row["unit"], row["rank"], row["concept"], row["score"]) for row in table.to_pylist()
    ]
    assert rows == [
        (1, 0, 0, "mist", 1.5), (1, 0, 1, "dog", 1.0), (1, 2, 0, "red", 9.0), (1, 2, 1, "mist", 2.0)
    ]  # fmt: skip
    assert concepts_table(populations[1], CONCEPTS).num_rows == 0


def test_the_vocabulary_has_the_concepts_in_their_order_with_their_vectors() -> None:
    vectors = np.eye(3, 4, dtype=np.float32)
    table = vocabulary_table(CONCEPTS, vectors)
    assert table["concept"].to_pylist() == ["dog", "red", "mist"]
    assert table["category"].to_pylist() == ["object", "color", None]
    np.testing.assert_array_equal(schemas.matrix(table["vector"]), vectors)
