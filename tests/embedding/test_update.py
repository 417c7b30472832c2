"""What is placed already stays where it is, whatever comes after; what cannot be updated is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmon.concepts import Concept
from cmon.embedding.layouts.aligned import Aligned
from cmon.embedding.layouts.anchored import Anchored
from cmon.embedding.layouts.base import Fitted, Places, Points
from cmon.embedding.layouts.joint import Joint
from cmon.embedding.layouts.pca import Pca
from cmon.embedding.layouts.registry import create_layout
from cmon.embedding.stage import EmbedSettings, embed
from cmon.errors import CmonError
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace
from tests.support import scored_tables
from tests.support.embedded import LAYERS, dead, layout_of, run, scored, units_of
from tests.support.scored_tables import NAMES, texts, unasked


@pytest.mark.parametrize("name", ["anchored", "joint", "pca"])
def test_a_new_epoch_is_placed_and_nothing_else_moves(tmp_path: Path, name: str) -> None:
    settings = EmbedSettings(create_layout(name))
    run(scored(tmp_path, {"good": 2, "poor": 2}), settings)
    before = layout_of(Workspace(tmp_path))
    workspace = scored(tmp_path, {"good": 3, "poor": 2})
    summary = run(workspace, settings, update=True)
    after = layout_of(workspace)
    new = after["epoch"] == 2
    pd.testing.assert_frame_equal(after[~new].reset_index(drop=True), before, check_exact=True)
    live = after[new & (after["status"] == "ok")]
    assert summary.added == len(live) == 28
    assert (live["placed"] == "placed").all()
    assert np.isfinite(live[["x", "y"]]).all(axis=None)
    # a unit that stands still in CLIP's space (every fifth) stays where it was
    merged = live.merge(before, on=["run", "layer", "unit"], suffixes=("", "_old")).query("epoch_old == 1")
    step = np.hypot(merged["x"] - merged["x_old"], merged["y"] - merged["y_old"])
    still = merged["unit"] % 5 == 0
    assert step[still].mean() < 0.1 * step[~still].mean()
    assert not run(workspace, settings, update=True).made
    # the next epoch goes among the fitted ones; those added before stay, too
    workspace = scored(tmp_path, {"good": 4, "poor": 2})
    run(workspace, settings, update=True)
    again = layout_of(workspace)
    pd.testing.assert_frame_equal(again[again["epoch"] != 3].reset_index(drop=True), after, check_exact=True)
    # all anew: all are fitted again
    run(workspace, settings)
    assert (layout_of(workspace)["placed"].dropna() == "fitted").all()


def test_an_update_of_the_anchored_layout_is_the_layout_of_all(tmp_path: Path) -> None:
    run(scored(tmp_path / "grown", {"good": 2}))
    grown, whole = scored(tmp_path / "grown", {"good": 4}), scored(tmp_path / "whole", {"good": 4})
    run(grown, update=True)
    run(whole)
    columns = ["x", "y", "distance", "step_clip", "from_first_clip"]
    np.testing.assert_allclose(layout_of(grown)[columns], layout_of(whole)[columns], atol=1e-6)


def test_a_joint_update_puts_new_points_among_the_fitted_ones(tmp_path: Path) -> None:
    """Against `Joint.place`, from the table alone; a point that was placed by an update is no support."""
    settings = EmbedSettings(Joint())
    for epochs in (2, 3, 4):
        workspace = scored(tmp_path, {"good": epochs})
        run(workspace, settings, update=True)
    table = layout_of(workspace)
    live = units_of(table).query("status == 'ok'")
    concepts = dict(tuple(workspace.read("concepts").to_pandas().groupby(UNIT_KEYS)))
    vectors = np.stack([scored_tables.vector_of(concepts[tuple(key)]) for key in live[UNIT_KEYS].to_numpy()])
    anchors = table.query("kind == 'anchor'")
    fitted = (live["placed"] == "fitted").to_numpy()
    assert set(live.loc[fitted, "epoch"]) == {0.0, 1.0}
    text = np.stack([texts()[name] for name in anchors["concept"]])
    places = Places(live.loc[fitted, ["x", "y"]].to_numpy(), anchors[["x", "y"]].to_numpy())
    points = Points(
        vectors[fitted], live.loc[fitted, "unit"].to_numpy(), live.loc[fitted, "epoch"].to_numpy()
    )
    found = Joint().place(vectors[~fitted], Fitted(points, text, places), np.empty((0, 24)), 0)
    np.testing.assert_allclose(live.loc[~fitted, ["x", "y"]], found, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (EmbedSettings(Anchored(0.3)), "other temperature"),
        (EmbedSettings(Pca()), "other layout"),
        (EmbedSettings(seed=4), "other seed"),
    ],
)
def test_an_update_must_be_of_the_same_layout(tmp_path: Path, settings: EmbedSettings, message: str) -> None:
    run(scored(tmp_path, {"good": 2}))
    before = layout_of(Workspace(tmp_path))
    with pytest.raises(CmonError, match=rf"(?s)--update: .*{message}.*without --update"):
        run(scored(tmp_path, {"good": 3}), settings, update=True)
    pd.testing.assert_frame_equal(layout_of(Workspace(tmp_path)), before)


def test_an_update_must_be_of_the_same_anchors_and_scores(tmp_path: Path) -> None:
    run(scored(tmp_path, {"good": 2}))
    more, anchors = scored(tmp_path, {"good": 3}), [Concept(name, None) for name in NAMES[:5]]
    with pytest.raises(CmonError, match=r"(?s)other anchors.*42: thing 0, thing 1.*5: thing 0"):
        embed(more, anchors, unasked, EmbedSettings(), update=True)
    units, concepts = scored_tables.units({"good": 3}, LAYERS, dead)
    concepts["score"] *= 3
    with pytest.raises(CmonError, match="other vectors of units"):
        run(scored_tables.write(tmp_path, units, concepts), update=True)


@pytest.mark.parametrize(
    "choice", [Choice(epochs=((1, 2),)), Choice(runs=("poor",)), Choice(layers=("late",), epochs=((0, 2),))]
)
def test_an_update_must_hold_all_that_is_placed(tmp_path: Path, choice: Choice) -> None:
    run(scored(tmp_path, {"good": 2, "poor": 2}))
    before = layout_of(Workspace(tmp_path))
    more = scored(tmp_path, {"good": 3, "poor": 2})
    with pytest.raises(CmonError, match=r"(?s)--update: .* placed already were not chosen.*without --update"):
        run(more, EmbedSettings(choice=choice), update=True)
    pd.testing.assert_frame_equal(layout_of(Workspace(tmp_path)), before)


def test_an_update_may_choose_more_than_was_placed(tmp_path: Path) -> None:
    workspace = scored(tmp_path)
    run(workspace, EmbedSettings(choice=Choice(runs=("poor",))))
    before = layout_of(workspace)
    summary = run(workspace, update=True)
    after = layout_of(workspace)
    assert (
        summary.added
        == (after["run"] == "good").sum() - (after.query("run == 'good'")["status"] == "dead").sum()
    )
    stayed = after[after["run"] != "good"].reset_index(drop=True)
    pd.testing.assert_frame_equal(stayed, before, check_exact=True)


@pytest.mark.parametrize("name", ["anchored", "joint", "pca"])
def test_with_a_single_anchor_new_epochs_do_not_change_the_scale(tmp_path: Path, name: str) -> None:
    """Units that stand still at all epochs, about an anchor that has no radius."""
    one, settings = [Concept("thing 1", None)], EmbedSettings(create_layout(name))
    for epochs in (2, 6):
        units, concepts = scored_tables.units({"good": epochs}, {"late": 12})
        still = concepts[concepts["epoch"] == 0]
        concepts = pd.concat([still.assign(epoch=float(epoch)) for epoch in range(epochs)], ignore_index=True)
        workspace = scored_tables.write(tmp_path, units, concepts)
        embed(workspace, one, unasked, settings, update=True)
    places = units_of(layout_of(workspace)).groupby("unit")[["x", "y"]]
    assert (places.max() - places.min()).max(axis=None) < 0.01
    assert places.mean().std().min() > 0.1


def test_the_aligned_layout_cannot_be_added_to(tmp_path: Path) -> None:
    workspace = scored_tables.write(tmp_path, *scored_tables.units({"a": 2}, {"x": 1}))
    settings, few = EmbedSettings(Aligned()), [Concept("thing 1", None)]
    embed(workspace, few, unasked, settings)
    more = scored_tables.write(tmp_path, *scored_tables.units({"a": 3}, {"x": 1}))
    with pytest.raises(CmonError, match=r"(?s)'aligned' cannot place.*without --update, all are placed anew"):
        embed(more, few, unasked, settings, update=True)


def test_an_update_of_nothing_is_a_layout(tmp_path: Path) -> None:
    workspace = scored(tmp_path)
    summary = run(workspace, update=True)
    assert (summary.made, summary.added) == (True, 0)
    assert not run(workspace).made
