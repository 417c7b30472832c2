"""What is placed already stays where it is while epochs, runs and layers are added; all else is a fit, and says why."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmon.concepts import Concept
from cmon.embedding.layouts.aligned import Aligned
from cmon.embedding.layouts.anchored import Anchored
from cmon.embedding.layouts.pca import Pca
from cmon.embedding.layouts.registry import create_layout
from cmon.embedding.layouts.umap import Umap
from cmon.embedding.stage import EmbedSettings, embed
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables
from tests.support.embedded import LAYERS, dead, layout_of, run, scored, units_of
from tests.support.scored_tables import NAMES, unasked

GROWING = ["umap", "anchored", "joint", "pca"]


@pytest.mark.parametrize("name", GROWING)
def test_a_new_epoch_is_placed_and_nothing_else_moves(tmp_path: Path, name: str) -> None:
    settings = EmbedSettings(create_layout(name))
    run(scored(tmp_path, {"good": 2, "poor": 2}), settings)
    before = layout_of(Workspace(tmp_path))
    workspace = scored(tmp_path, {"good": 3, "poor": 2})
    summary = run(workspace, settings)
    after = layout_of(workspace)
    new = after["epoch"] == 2
    pd.testing.assert_frame_equal(after[~new].reset_index(drop=True), before, check_exact=True)
    live = after[new & (after["status"] == "ok")]
    assert summary.added == len(live) == 28
    assert summary.changed == ""
    assert (live["placed"] == "placed").all()
    assert np.isfinite(live[["x", "y"]]).all(axis=None)
    # a unit that stands still in CLIP's space (every fifth) stays where it was
    merged = live.merge(before, on=["run", "layer", "unit"], suffixes=("", "_old")).query("epoch_old == 1")
    step = np.hypot(merged["x"] - merged["x_old"], merged["y"] - merged["y_old"])
    still = merged["unit"] % 5 == 0
    assert step[still].mean() < 0.1 * step[~still].mean()
    again = run(workspace, settings)
    assert (again.made, again.added, again.off_fit) == (False, 28, summary.off_fit)
    # the next epoch goes among all of these, and those added before stay, too
    workspace = scored(tmp_path, {"good": 4, "poor": 2})
    run(workspace, settings)
    again = layout_of(workspace)
    pd.testing.assert_frame_equal(again[again["epoch"] != 3].reset_index(drop=True), after, check_exact=True)


@pytest.mark.parametrize("name", GROWING)
def test_a_refit_places_all_as_if_nothing_had_been_there(tmp_path: Path, name: str) -> None:
    settings = EmbedSettings(create_layout(name))
    run(scored(tmp_path / "grown", {"good": 2}), settings)
    grown, whole = scored(tmp_path / "grown", {"good": 4}), scored(tmp_path / "whole", {"good": 4})
    assert run(grown, settings).added > 0
    run(whole, settings)
    summary = run(grown, settings, refit=True)
    assert (summary.made, summary.added, summary.changed, math.isnan(summary.off_fit)) == (True, 0, "", True)
    pd.testing.assert_frame_equal(layout_of(grown), layout_of(whole), check_exact=True)
    assert not run(grown, settings, refit=True).made, "there is nothing to fit anew"
    assert not run(grown, settings).made


@pytest.mark.parametrize("name", ["anchored", "umap"])
def test_how_far_off_a_fit_the_added_are_is_told(tmp_path: Path, name: str) -> None:
    """`anchored` places by the vector alone, so nothing is off; a UMAP is off a little, less than units move."""
    settings = EmbedSettings(create_layout(name))
    run(scored(tmp_path, {"good": 3}), settings)
    grown = scored(tmp_path, {"good": 4})
    found = run(grown, settings).off_fit
    if name == "anchored":
        assert found == pytest.approx(0, abs=1e-9)
    else:
        table = units_of(layout_of(grown)).query("placed == 'fitted' and unit % 5 != 0")
        steps = table.groupby(["layer", "unit"])[["x", "y"]].diff().dropna()
        assert 0 < found < np.hypot(steps["x"], steps["y"]).mean()


def test_how_far_off_one_epoch_is_cannot_be_told(tmp_path: Path) -> None:
    run(scored(tmp_path, {"good": 1}))
    summary = run(scored(tmp_path, {"good": 2}))
    assert summary.added == 26
    assert math.isnan(summary.off_fit)


def test_runs_and_layers_may_be_added_too(tmp_path: Path) -> None:
    workspace = scored(tmp_path)
    run(workspace, EmbedSettings(choice=Choice(runs=("poor",))))
    before = layout_of(workspace)
    summary = run(workspace)
    after = layout_of(workspace)
    good = after.query("run == 'good'")
    assert summary.added == (good["status"] == "ok").sum()
    stayed = after[after["run"] != "good"].reset_index(drop=True)
    pd.testing.assert_frame_equal(stayed, before, check_exact=True)


# -- what is no growing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (EmbedSettings(Anchored(0.3)), "temperature is 0.3, and was 0.1"),
        (EmbedSettings(Pca()), "layout is pca, and was anchored"),
        (EmbedSettings(Anchored(), seed=4), "seed is 4, and was 0"),
        (EmbedSettings(Anchored(), seeds=2), "2 layouts were asked for"),
        (EmbedSettings(Anchored(), choice=Choice(epochs=((1, 2),))), "32 units .* are not chosen"),
        (EmbedSettings(Anchored(), choice=Choice(layers=("late",))), "24 units .* are not chosen"),
    ],
)
def test_other_options_are_a_fit_of_all(tmp_path: Path, settings: EmbedSettings, message: str) -> None:
    run(scored(tmp_path, {"good": 2}), EmbedSettings(Anchored()))
    workspace = scored(tmp_path, {"good": 3})
    summary = run(workspace, settings)
    assert (summary.made, summary.added) == (True, 0)
    assert pd.Series([summary.changed]).str.contains(message).all(), summary.changed
    assert (layout_of(workspace)["placed"].dropna() == "fitted").all()


def test_other_anchors_or_scores_are_a_fit_of_all(tmp_path: Path) -> None:
    run(scored(tmp_path, {"good": 2}))
    more, anchors = scored(tmp_path, {"good": 3}), [Concept(name, None) for name in NAMES[:5]]
    summary = embed(more, anchors, unasked, EmbedSettings())
    assert (summary.changed, summary.added) == ("the anchors are others than then", 0)
    units, concepts = scored_tables.units({"good": 4}, LAYERS, dead)
    one = (concepts["epoch"] == 1) & (concepts["unit"] == 5) & (concepts["layer"] == "late")
    concepts.loc[one, "score"] += np.array([0, 0, 1e-3])  # of one unit, and hardly
    summary = embed(scored_tables.write(tmp_path, units, concepts), anchors, unasked, EmbedSettings())
    assert (summary.changed, summary.added) == ("units that are placed were scored again since", 0)


def test_a_run_that_is_gone_is_a_fit_of_the_rest(tmp_path: Path) -> None:
    run(scored(tmp_path, {"good": 2, "poor": 2}))
    summary = run(scored(tmp_path, {"good": 3}))
    assert summary.changed.startswith("64 units that have a row are not chosen, or not scored, any more")


def test_the_aligned_layout_is_fitted_anew(tmp_path: Path) -> None:
    workspace = scored_tables.write(tmp_path, *scored_tables.units({"a": 2}, {"x": 1}))
    settings, few = EmbedSettings(Aligned()), [Concept("thing 1", None)]
    assert embed(workspace, few, unasked, settings).changed == ""
    more = scored_tables.write(tmp_path, *scored_tables.units({"a": 3}, {"x": 1}))
    summary = embed(more, few, unasked, settings)
    assert summary.changed == "the layout aligned cannot place units among old ones that stay"


def test_a_table_that_says_less_than_ours_is_not_grown(tmp_path: Path) -> None:
    """An earlier cmon did not write what its units were scored with."""
    workspace = scored(tmp_path, {"good": 2})
    run(workspace)
    parameters = workspace.parameters("layout")
    del parameters["scores"]
    workspace.write(workspace.table("layout"), workspace.read("layout"), "earlier", parameters)
    assert run(workspace).changed == "units that are placed were scored again since"


@pytest.mark.parametrize("name", GROWING)
def test_with_a_single_anchor_new_epochs_do_not_change_the_scale(tmp_path: Path, name: str) -> None:
    """Units that stand still at all epochs, about an anchor that has no radius."""
    one, settings = [Concept("thing 1", None)], EmbedSettings(create_layout(name))
    for epochs in (2, 6):
        units, concepts = scored_tables.units({"good": epochs}, {"late": 12})
        still = concepts[concepts["epoch"] == 0]
        concepts = pd.concat([still.assign(epoch=float(epoch)) for epoch in range(epochs)], ignore_index=True)
        workspace = scored_tables.write(tmp_path, units, concepts)
        embed(workspace, one, unasked, settings)
    table = units_of(layout_of(workspace))
    assert set(table["placed"]) == {"fitted", "placed"}
    places = table.groupby("unit")[["x", "y"]]
    assert (places.max() - places.min()).max(axis=None) < 0.01
    assert places.mean().std().min() > 0.1


def test_the_next_epoch_follows_one_that_was_placed_itself(tmp_path: Path) -> None:
    """A unit moves, is placed, and then stands still: the second time it lies where it was placed the first time."""
    more, moved = scored_tables.units({"good": 4}, LAYERS)
    last = moved[moved["epoch"] == 2].assign(epoch=3.0)
    moved = pd.concat([moved[moved["epoch"] < 3], last]).sort_values(
        ["run", "layer", "epoch", "unit", "rank"], ignore_index=True
    )
    for epochs in (2, 3, 4):
        chosen = more["epoch"] < epochs, moved["epoch"] < epochs
        workspace = scored_tables.write(tmp_path, more[chosen[0]], moved[chosen[1]])
        run(workspace, EmbedSettings(Umap()))
    table = units_of(layout_of(workspace)).set_index(["layer", "unit", "epoch"])[["x", "y"]].unstack("epoch")
    assert (table["x"][3] - table["x"][2]).abs().max() < 1e-3
    assert (table["x"][2] - table["x"][1]).abs().max() > 1e-2
