"""The tables layout and fidelity, whole: who has a place, whose it is, what stays where it is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmon.concepts import Concept
from cmon.embedding import advice, fidelity
from cmon.embedding.layouts.anchored import Anchored, fit_map
from cmon.embedding.layouts.pca import Pca
from cmon.embedding.layouts.registry import LAYOUTS, create_layout
from cmon.embedding.stage import EmbedSettings, embed
from cmon.errors import CmonError
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables
from tests.support.embedded import LAYERS, RUNS, dead, layout_of, run, scored, units_of
from tests.support.scored_tables import NAMES, OTHERS, texts, unasked, word_vectors


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = scored(tmp_path_factory.mktemp("scored"))
    summary = run(workspace, EmbedSettings(Anchored(), seeds=2))
    assert (summary.anchors, summary.placed, summary.left_out, summary.added) == (42, 136, 24, 0)
    return workspace


# -- the tables ----------------------------------------------------------------------------------------


def test_every_scored_unit_is_a_row_and_only_live_ones_have_a_place(made: Workspace) -> None:
    table = units_of(layout_of(made))
    scored = made.read("units").to_pandas()
    pd.testing.assert_frame_equal(
        table[[*UNIT_KEYS, "status"]], scored[[*UNIT_KEYS, "status"]], check_dtype=False
    )
    away = table["status"] == "dead"
    assert 0 < away.sum() < len(table)
    own = ["placed", "x", "y", "nearest_anchor", "distance", "nearest_anchor_clip", "distance_clip"]
    assert table.loc[away, [*own, "step_clip", "from_first_clip"]].isna().all(axis=None)
    assert table.loc[~away, own].notna().all(axis=None)
    assert (table.loc[~away, "placed"] == "fitted").all()


def test_anchors_are_the_concepts_with_a_category_and_their_frame(made: Workspace) -> None:
    anchors = layout_of(made).query("kind == 'anchor'")
    assert anchors["concept"].tolist() == NAMES
    assert (anchors["category"] == "object").all()
    places = anchors[["x", "y"]].to_numpy()
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-9)
    assert math.sqrt((places**2).sum(axis=1).mean()) == pytest.approx(1)


def test_places_and_distances_are_those_of_the_units_vectors(made: Workspace) -> None:
    """Each row anew from the table of concepts, its nearest anchors by a plain loop."""
    table = layout_of(made)
    anchors = table[table["kind"] == "anchor"]
    text = texts()
    others = np.stack([text[name] for name in OTHERS])
    mapped = fit_map(np.stack([text[name] for name in NAMES]), others, 0)
    places = dict(zip(anchors["concept"], anchors[["x", "y"]].to_numpy(), strict=True))
    concepts = dict(tuple(made.read("concepts").to_pandas().groupby(UNIT_KEYS)))
    live = units_of(table).query("status == 'ok'")
    for row in live.itertuples():
        vector = scored_tables.vector_of(concepts[row.run, row.layer, row.epoch, row.unit])
        np.testing.assert_allclose([row.x, row.y], mapped.place(vector[None])[0], atol=1e-4)
        apart = {name: math.dist((row.x, row.y), place) for name, place in places.items()}
        assert row.distance == pytest.approx(min(apart.values()))
        assert apart[row.nearest_anchor] == pytest.approx(row.distance)
        apart = {name: math.dist(vector, text[name]) for name in NAMES}
        assert row.distance_clip == pytest.approx(min(apart.values()), abs=1e-4)
        assert row.nearest_anchor_clip == min(apart, key=lambda name: apart[name])


def test_the_measures_are_of_the_places_that_are_written_and_of_the_next_seeds(made: Workspace) -> None:
    table = made.read("fidelity").to_pandas()
    assert table["seed"].unique().tolist() == [0, 1]
    layout = layout_of(made)
    live, anchors = units_of(layout).query("status == 'ok'"), layout.query("kind == 'anchor'")
    concepts = dict(tuple(made.read("concepts").to_pandas().groupby(UNIT_KEYS)))
    vectors = np.stack([scored_tables.vector_of(concepts[tuple(key)]) for key in live[UNIT_KEYS].to_numpy()])
    text = np.stack([texts()[name] for name in anchors["concept"]])
    places = (live[["x", "y"]].to_numpy(), text, anchors[["x", "y"]].to_numpy())
    wanted = fidelity.measure(live[UNIT_KEYS], vectors, *places)
    own = table[(table["seed"] == 0) & table["epoch"].isna()].set_index("measure")["value"]
    for name in fidelity.OVERALL:
        assert own[name] == pytest.approx(getattr(wanted, name), abs=0.01, nan_ok=True), name
    assert made.parameters("fidelity")["sentence"] == advice.sentence(wanted)
    summary = run(made, EmbedSettings(Anchored(), seeds=2))
    assert not summary.made
    assert (summary.measures["seeds"] == 2).all()


# -- which layout, and of what -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "aligned"])  # see test_aligned
def test_the_same_seed_gives_the_same_places_in_every_layout(tmp_path: Path, name: str) -> None:
    first, second = scored(tmp_path / "first"), scored(tmp_path / "second")
    for workspace in (first, second):
        run(workspace, EmbedSettings(create_layout(name)))
    pd.testing.assert_frame_equal(layout_of(first), layout_of(second), check_exact=True)
    live = units_of(layout_of(first)).query("status == 'ok'")
    assert np.isfinite(live[["x", "y", "distance"]]).all(axis=None)
    assert first.parameters("layout")["layout"] == name


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(
    ("runs", "layers"), [({"a": 1}, {"x": 1}), ({"a": 2}, {"x": 1}), ({"a": 1}, {"x": 2, "y": 1})]
)
def test_a_few_units_at_an_epoch_or_two_have_places(
    tmp_path: Path, name: str, runs: dict[str, int], layers: dict[str, int]
) -> None:
    workspace = scored_tables.write(tmp_path, *scored_tables.units(runs, layers))
    summary = embed(
        workspace,
        [Concept("thing 1", None), Concept("thing 9", None)],
        unasked,
        EmbedSettings(create_layout(name)),
    )
    assert summary.left_out == 0
    assert layout_of(workspace)[["x", "y"]].notna().all(axis=None)
    assert "cannot be told from so few" in summary.sentence


def test_a_part_is_placed_as_in_the_whole(made: Workspace, tmp_path: Path) -> None:
    """A place is a function of the unit's vector: leaving others out changes nothing."""
    workspace = scored(tmp_path)
    choice = Choice(("good",), ("late",), ((1, 2),))
    run(workspace, EmbedSettings(Anchored(), choice=choice))
    part = units_of(layout_of(workspace))
    assert part.groupby(["run", "layer", "epoch"]).size().to_dict() == {
        ("good", "late", 1.0): 20,
        ("good", "late", 2.0): 20,
    }
    whole = part[UNIT_KEYS].merge(units_of(layout_of(made)), on=UNIT_KEYS)
    pd.testing.assert_frame_equal(part[[*UNIT_KEYS, "x", "y"]], whole[[*UNIT_KEYS, "x", "y"]])


def test_words_that_were_not_scored_are_anchors_too(tmp_path: Path) -> None:
    workspace = scored(tmp_path)
    anchors = [Concept("quokka", "animal"), *(Concept(name, None) for name in NAMES[:5])]
    embed(workspace, anchors, word_vectors, EmbedSettings())
    table = layout_of(workspace)
    found = table[table["kind"] == "anchor"]
    assert found["concept"].tolist() == ["quokka", *NAMES[:5]]
    assert found["category"].tolist() == ["animal", *["object"] * 5]
    concepts = dict(tuple(workspace.read("concepts").to_pandas().groupby(UNIT_KEYS)))
    [quokka] = word_vectors({}, ["quokka"])
    near = 0
    for row in units_of(table).query("nearest_anchor_clip == 'quokka'").itertuples():
        vector = scored_tables.vector_of(concepts[row.run, row.layer, row.epoch, row.unit])
        assert row.distance_clip == pytest.approx(math.dist(vector, quokka), abs=1e-4)
        near += 1
    assert near > 0


# -- freshness -----------------------------------------------------------------------------------------


def test_everything_that_matters_makes_it_anew_and_nothing_else(tmp_path: Path) -> None:
    workspace = scored(tmp_path)
    base = EmbedSettings()
    assert run(workspace, base).made
    assert not run(workspace, base).made
    for changed in (
        replace(base, layout=Anchored(0.2)),
        replace(base, layout=Pca()),
        replace(base, seed=1),
        replace(base, seeds=2),
        replace(base, choice=Choice(runs=("good",))),
    ):
        assert run(workspace, changed).made
        assert not run(workspace, changed).made
    workspace.table("fidelity").unlink()
    assert run(workspace, changed).made
    units, concepts = scored_tables.units(RUNS, LAYERS, dead)
    concepts["score"] *= 2
    units["score"] = 1.0
    assert run(scored_tables.write(tmp_path, units, concepts), changed).made


def test_a_scoring_that_was_stopped_is_not_embedded(tmp_path: Path) -> None:
    workspace = scored(tmp_path)
    workspace.write(workspace.table("vocabulary"), workspace.read("vocabulary"), "other words", {})
    with pytest.raises(CmonError, match="made from other vocabulary"):
        run(workspace)


@pytest.mark.parametrize("name", LAYOUTS)
def test_anchors_without_any_live_unit_have_places(tmp_path: Path, name: str) -> None:
    units, concepts = scored_tables.units({"a": 1}, {"x": 3})
    workspace = scored_tables.write(tmp_path, units.assign(status="dead"), concepts.iloc[:0])
    summary = run(workspace, EmbedSettings(create_layout(name)))
    assert (summary.placed, summary.left_out) == (0, 3)
    assert layout_of(workspace).query("kind == 'anchor'")[["x", "y"]].notna().all(axis=None)
