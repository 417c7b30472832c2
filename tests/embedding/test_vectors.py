"""From scores and tables to the units' vectors, against the definition."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmon.embedding.vectors import read_unit_vectors, vectors_from_scores, vocabulary_digest
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables
from tests.support.directions import directions


def vocabulary(workspace: Workspace) -> pd.DataFrame:
    return workspace.read("vocabulary").to_pandas()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    tables = scored_tables.units(
        {"good": 3, "poor": 2}, {"early": 7, "late": 9}, lambda row: row["unit"] == 2 and row["epoch"] == 1
    )
    return scored_tables.write(tmp_path_factory.mktemp("scored"), *tables)


def test_a_units_vector_is_the_softmax_weighted_sum_of_its_concepts() -> None:
    random = np.random.default_rng(0)
    scores, concepts = random.normal(0, 3, (5, 4)), directions(20).reshape(5, 4, 24)
    found = vectors_from_scores(scores, concepts)
    for k in range(5):
        weights = [math.exp(score) / sum(math.exp(other) for other in scores[k]) for score in scores[k]]
        summed = sum(weight * vector for weight, vector in zip(weights, concepts[k], strict=True))
        np.testing.assert_allclose(found[k], summed / np.linalg.norm(summed))


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=10))
def test_any_scores_give_a_vector_of_unit_length(scores: list[float]) -> None:
    concepts = np.abs(directions(len(scores)))[None]
    found = vectors_from_scores(np.array([scores]), concepts)
    assert np.linalg.norm(found) == pytest.approx(1)
    shifted = vectors_from_scores(np.array([scores]) + 5000, concepts)
    np.testing.assert_allclose(shifted, found, atol=1e-6)


@pytest.mark.parametrize(
    "choice", [Choice(), Choice(runs=("poor",)), Choice(("good",), ("late",), ((1, 1),))]
)
def test_each_live_unit_has_its_own_vector(workspace: Workspace, choice: Choice) -> None:
    units, live, found, fingerprints = read_unit_vectors(workspace, vocabulary(workspace), choice)
    assert len(np.unique(fingerprints)) == len(live)
    pd.testing.assert_frame_equal(
        units[UNIT_KEYS], choice.of(workspace.read("units").to_pandas())[UNIT_KEYS], check_dtype=False
    )
    assert (units["status"] == "dead").sum() > 0
    np.testing.assert_array_equal(live, np.flatnonzero(units["status"] == "ok"))
    concepts = workspace.read("concepts").to_pandas()
    for row, vector in zip(units.iloc[live].itertuples(), found, strict=True):
        own = concepts[(concepts[UNIT_KEYS] == [row.run, row.layer, row.epoch, row.unit]).all(axis=1)]
        np.testing.assert_allclose(vector, scored_tables.vector_of(own), atol=1e-6)


def test_a_fingerprint_is_of_the_unit_and_its_scores_whatever_else_was_scored(tmp_path: Path) -> None:
    def fingerprints(epochs: int, changed: float = 0) -> dict[tuple[object, ...], int]:
        units, concepts = scored_tables.units({"good": epochs}, {"late": 4})
        concepts.loc[0, "score"] += changed
        workspace = scored_tables.write(tmp_path, units, concepts)
        rows, live, _, found = read_unit_vectors(workspace, vocabulary(workspace), Choice())
        keys = rows.iloc[live][UNIT_KEYS].itertuples(index=False, name=None)
        return dict(zip(keys, found.tolist(), strict=True))

    few, many = fingerprints(2), fingerprints(3)
    assert {key: many[key] for key in few} == few
    other = fingerprints(3, changed=1e-3)
    assert [key for key in many if many[key] != other[key]] == [("good", "late", 0.0, 0)]


def test_equal_words_and_vectors_are_one_vocabulary_whatever_was_scored(tmp_path: Path) -> None:
    first, second = (
        vocabulary(
            scored_tables.write(tmp_path / str(epochs), *scored_tables.units({"good": epochs}, {"late": 4}))
        )
        for epochs in (2, 3)
    )
    assert vocabulary_digest(first) == vocabulary_digest(second)
    other = first.assign(vector=[vector * np.float32(1.001) for vector in first["vector"]])
    assert vocabulary_digest(other) != vocabulary_digest(first)
    assert vocabulary_digest(first.assign(concept=first["concept"].str.upper())) != vocabulary_digest(first)
