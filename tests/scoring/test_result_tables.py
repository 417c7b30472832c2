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
    compared = np.array([[0, 1, 2, 3], [3, 4, 5, 6]])  # the two share one of four
    alive = Population("a", "fc", 1.0, statuses, np.array([0, 2]), None, SHOWN, activations, compared, labels)
    dead = Population(
        "a",
        "fc",
        2.0,
        np.array(["constant"] * 3),
        np.empty(0, dtype=int),
        None,
        SHOWN,
        activations,
        np.empty((0, 4), dtype=int),
    )
    return [alive, dead]


def first_of(labels: Labels | None) -> Labels:
    """Of the first unit alone."""
    assert labels is not None
    return replace(labels, scores=labels.scores[:1], concepts=labels.concepts[:1])


def test_every_unit_has_a_row_and_live_ones_a_label(populations: list[Population]) -> None:
    fits = (np.array([0.75, 0.1]), np.empty(0))
    table = pa.concat_tables(
        units_table(one, CONCEPTS, 0.05, fit) for one, fit in zip(populations, fits, strict=True)
    )
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
    np.testing.assert_allclose(found["shared"], [0.25, np.nan, 0.25, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(found["fit"], [0.75, np.nan, 0.1, np.nan, np.nan, np.nan])
    single = replace(
        populations[0], statuses=np.array(["ok"]), live=np.array([0]), compared=np.arange(4)[None],
        shown_images=SHOWN[:1], shown_activations=np.ones((1, 10)), labels=first_of(populations[0].labels),
    )  # fmt: skip
    alone = units_table(single, CONCEPTS, 0.05, fit=np.array([0.75]))
    assert alone["shared"].null_count == 1, "there is nothing that they could share"
    assert found["top_images"][4].tolist() == list(range(10))


def test_of_a_single_concept_there_is_no_margin(populations: list[Population]) -> None:
    labels = Labels(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1, dtype=torch.int64), torch.zeros(9))
    found = units_table(populations[0].labelled(labels), CONCEPTS[:1], 0.05, np.ones(2)).to_pandas()
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
