"""From tables to vectors, against the definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmon.concepts import Concept
from cmon.embedding import vectors
from cmon.errors import CmonError
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables
from tests.support.scored_tables import NAMES, OTHERS, texts, unasked, word_vectors


def word(name: str, category: str | None = None) -> Concept:
    return Concept(name, category)


def vocabulary(workspace: Workspace) -> pd.DataFrame:
    return workspace.read("vocabulary").to_pandas()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    tables = scored_tables.units(
        {"good": 3, "poor": 2}, {"early": 7, "late": 9}, lambda row: row["unit"] == 2 and row["epoch"] == 1
    )
    return scored_tables.write(tmp_path_factory.mktemp("scored"), *tables)


@pytest.mark.parametrize(
    "choice", [Choice(), Choice(runs=("poor",)), Choice(("good",), ("late",), ((1, 1),))]
)
def test_each_live_unit_has_its_own_vector(workspace: Workspace, choice: Choice) -> None:
    units, live, found = vectors.of_units(workspace, vocabulary(workspace), choice)
    pd.testing.assert_frame_equal(
        units[UNIT_KEYS], choice.of(workspace.read("units").to_pandas())[UNIT_KEYS], check_dtype=False
    )
    assert (units["status"] == "dead").sum() > 0
    np.testing.assert_array_equal(live, np.flatnonzero(units["status"] == "ok"))
    concepts = workspace.read("concepts").to_pandas()
    for row, vector in zip(units.iloc[live].itertuples(), found, strict=True):
        own = concepts[(concepts[UNIT_KEYS] == [row.run, row.layer, row.epoch, row.unit]).all(axis=1)]
        np.testing.assert_allclose(vector, scored_tables.vector_of(own), atol=1e-6)


def test_equal_words_and_vectors_are_one_vocabulary_whatever_was_scored(tmp_path: Path) -> None:
    first, second = (
        vocabulary(
            scored_tables.write(tmp_path / str(epochs), *scored_tables.units({"good": epochs}, {"late": 4}))
        )
        for epochs in (2, 3)
    )
    assert vectors.identity(first) == vectors.identity(second)
    other = first.assign(vector=[vector * np.float32(1.001) for vector in first["vector"]])
    assert vectors.identity(other) != vectors.identity(first)
    assert vectors.identity(first.assign(concept=first["concept"].str.upper())) != vectors.identity(first)


def test_thousands_of_anchors_are_refused(workspace: Workspace) -> None:
    many = [word(f"word {index}") for index in range(vectors.MOST + 1)]
    with pytest.raises(CmonError, match=r"(?s)4,001 anchors.*at most 4,000.*--anchors"):
        vectors.listed(many, vocabulary(workspace))


def test_all_concepts_with_a_category_are_the_anchors_where_none_are_given(workspace: Workspace) -> None:
    assert vectors.listed(None, vocabulary(workspace)) == [Concept(name, "object") for name in NAMES]
    with pytest.raises(
        CmonError, match=r"(?s)there is no anchor.*54 concepts, none with a category.*--anchors"
    ):
        vectors.listed(None, vocabulary(workspace).assign(category=None))


def test_a_given_anchor_keeps_its_category_or_takes_the_one_it_was_scored_under(workspace: Workspace) -> None:
    given = [word("THING 3"), word("thing 4", "animal"), word("other 1"), word("quokka")]
    found = vectors.listed(given, vocabulary(workspace))
    assert [anchor.category for anchor in found] == ["object", "animal", None, None]
    assert [anchor.name for anchor in found] == [anchor.name for anchor in given]


def test_anchors_are_looked_up_and_only_new_words_are_embedded(workspace: Workspace) -> None:
    text = texts()
    given = [word("Thing 5"), word("other 0")]
    found, others = vectors.of_anchors(workspace, vocabulary(workspace), given, unasked)
    np.testing.assert_allclose(found, [text["thing 5"], text["other 0"]], atol=1e-6)
    rest = [name for name in (*NAMES, *OTHERS) if name not in ("thing 5", "other 0")]
    np.testing.assert_allclose(others, [text[name] for name in rest], atol=1e-6)
    asked = []

    def counting(parameters: object, words: list[str]) -> np.ndarray:
        asked.append(list(words))
        return word_vectors({}, words)

    given = [word("quokka"), word("thing 0"), word("wombat")]
    found, others = vectors.of_anchors(workspace, vocabulary(workspace), given, counting)
    assert asked == [["quokka", "wombat"]]
    quokka, wombat = word_vectors({}, ["quokka", "wombat"])
    np.testing.assert_allclose(found, [quokka, text["thing 0"], wombat], atol=1e-6)
    assert others.shape == (53, found.shape[1])


def test_where_all_concepts_are_anchors_there_are_no_others(workspace: Workspace) -> None:
    given = [word(name) for name in texts()]
    found, others = vectors.of_anchors(workspace, vocabulary(workspace), given, unasked)
    assert (found.shape, others.shape) == ((54, 24), (0, 24))
