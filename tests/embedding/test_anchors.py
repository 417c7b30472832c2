"""Which concepts are anchors, whose vectors are looked up or asked for, and when units lie on them from the start."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from cmon.concepts import Concept
from cmon.embedding.anchors import MAX_ANCHORS, choose_anchors, concept_vectors, warn_of_taken
from cmon.errors import CmonError
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables
from tests.support.scored_tables import NAMES, OTHERS, texts, unasked, word_vectors


def word(name: str, category: str | None = None) -> Concept:
    return Concept(name, category)


def vocabulary(workspace: Workspace) -> pd.DataFrame:
    return workspace.read("vocabulary").to_pandas()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    tables = scored_tables.units({"good": 1}, {"late": 3})
    return scored_tables.write(tmp_path_factory.mktemp("scored"), *tables)


def test_thousands_of_anchors_are_refused(workspace: Workspace) -> None:
    many = [word(f"word {index}") for index in range(MAX_ANCHORS + 1)]
    with pytest.raises(CmonError, match=r"(?s)4,001 anchors.*at most 4,000.*--anchors"):
        choose_anchors(many, vocabulary(workspace))


def test_all_concepts_with_a_category_are_the_anchors_where_none_are_given(workspace: Workspace) -> None:
    assert choose_anchors(None, vocabulary(workspace)) == [Concept(name, "object") for name in NAMES]
    with pytest.raises(
        CmonError, match=r"(?s)there is no anchor.*54 concepts, none with a category.*--anchors"
    ):
        choose_anchors(None, vocabulary(workspace).assign(category=None))


def test_of_all_categories_those_of_content_are_the_anchors_where_none_are_given() -> None:
    categories = ["color", "object", "texture", "Scene", "part", None, "material", "emotion"]
    mixed = pd.DataFrame({"concept": [f"word {number}" for number in range(8)], "category": categories})
    found = choose_anchors(None, mixed)
    assert [anchor.name for anchor in found] == ["word 1", "word 3", "word 4"]
    others = mixed[~mixed["category"].isin(["object", "Scene", "part"])]
    found = choose_anchors(None, others)
    assert [anchor.category for anchor in found] == ["color", "texture", "material", "emotion"]


def placed(shares: dict[tuple[str, str], list[float]], units: int = 40) -> pd.DataFrame:
    """Units of which a share lies on the anchor 'white' at each epoch from 1 on, and the others far away."""
    rows = []
    for (run, layer), by_epoch in shares.items():
        for epoch, share in enumerate(by_epoch, start=1):
            near = np.arange(units) < share * units
            rows.append(
                pd.DataFrame(
                    {
                        "run": run,
                        "layer": layer,
                        "epoch": float(epoch),
                        "unit": np.arange(units),
                        "distance_clip": np.where(near, 0.2, 0.9),
                        "nearest_anchor_clip": np.where(near, "white", "dog"),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def test_units_that_lie_on_anchors_from_the_start_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="cmon"):
        warn_of_taken(placed({("good", "late"): [0.1, 0.9, 1.0], ("poor", "late"): [0.05, 0]}))
        warn_of_taken(placed({("good", "late"): [0.5]}).assign(distance_clip=np.nan))
        warn_of_taken(placed({("good", "head"): [0.4]}, units=10))
    assert not caplog.records
    with caplog.at_level(logging.WARNING, logger="cmon"):
        warn_of_taken(
            placed({("good", "early"): [0.5, 0], ("good", "late"): [0.75, 0.1], ("poor", "late"): [0, 1]})
        )
    (record,) = caplog.records
    text = record.getMessage()
    assert (
        "at its first epoch (1) 75 % of the units of late of good already lie on an anchor (white 30)" in text
    )
    assert "in 1 other layers" in text
    assert "--anchors" in text


def test_only_live_units_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    units = placed({("good", "late"): [0.5, 0.5]})
    dead = units["unit"] >= 20
    units.loc[dead, ["distance_clip", "nearest_anchor_clip"]] = [np.nan, None]
    with caplog.at_level(logging.WARNING, logger="cmon"):
        warn_of_taken(units)
    assert "100 % of the units of late" in caplog.text


def test_a_given_anchor_keeps_its_category_or_takes_the_one_it_was_scored_under(workspace: Workspace) -> None:
    given = [word("THING 3"), word("thing 4", "animal"), word("other 1"), word("quokka")]
    found = choose_anchors(given, vocabulary(workspace))
    assert [anchor.category for anchor in found] == ["object", "animal", None, None]
    assert [anchor.name for anchor in found] == [anchor.name for anchor in given]


def test_anchors_are_looked_up_and_only_new_words_are_embedded(workspace: Workspace) -> None:
    text = texts()
    given = [word("Thing 5"), word("other 0")]
    found, others = concept_vectors({}, vocabulary(workspace), given, unasked)
    np.testing.assert_allclose(found, [text["thing 5"], text["other 0"]], atol=1e-6)
    rest = [name for name in (*NAMES, *OTHERS) if name not in ("thing 5", "other 0")]
    np.testing.assert_allclose(others, [text[name] for name in rest], atol=1e-6)
    asked = []

    def counting(parameters: object, words: list[str]) -> np.ndarray:
        asked.append(list(words))
        return word_vectors({}, words)

    given = [word("quokka"), word("thing 0"), word("wombat")]
    found, others = concept_vectors({}, vocabulary(workspace), given, counting)
    assert asked == [["quokka", "wombat"]]
    quokka, wombat = word_vectors({}, ["quokka", "wombat"])
    np.testing.assert_allclose(found, [quokka, text["thing 0"], wombat], atol=1e-6)
    assert others.shape == (53, found.shape[1])


def test_where_all_concepts_are_anchors_there_are_no_others(workspace: Workspace) -> None:
    given = [word(name) for name in texts()]
    found, others = concept_vectors({}, vocabulary(workspace), given, unasked)
    assert (found.shape, others.shape) == ((54, 24), (0, 24))
