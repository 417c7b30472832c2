"""The four commands, typed as a user types them, on a tiny drawn world; the tables' contents are judged."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from cmon.cli.main import main
from cmon.workspace.workspace import Workspace
from scripts.demo.draw_world import draw_world
from tests.support import planted_network
from tests.support.planted_network import DEAD, DETECTORS, UNITS

REPOSITORY = Path(__file__).parent.parent
NETWORK = f"python:{REPOSITORY / 'tests' / 'support' / 'planted_network.py'}:factory"
CLIP = f"local-dir:{REPOSITORY / 'data' / 'world-clip'}"
CONCEPTS = REPOSITORY / "data" / "concepts" / "world.csv"
SHARES = {0: 0.0, 1: 0.5, 2: 1.0}

ANCHORS = ["--anchors", CONCEPTS]
"""Colors among them: the planted detectors are of colors."""


def cmon(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def extracting(world: Path, workspace: Path) -> list[object]:
    runs = [f"--run=learning={world / 'learning'}", f"--run=stuck={world / 'stuck'}"]
    return [
        "extract",
        workspace,
        *runs,
        "--model",
        NETWORK,
        "--layer",
        "detectors",
        "--probe",
        world / "probe/images",
    ]


def four_commands(world: Path, workspace: Path) -> list[list[object]]:
    return [
        extracting(world, workspace),
        ["score", workspace, "--clip", CLIP, "--concepts", CONCEPTS, "--top-k", 40],
        ["embed", workspace, *ANCHORS],
        ["report", workspace],
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 pictures; a run that comes to the planted detectors, saved in three ways, and one that never does."""
    folder = tmp_path_factory.mktemp("world")
    draw_world(folder / "probe", 400, seed=11)
    (folder / "probe/images/broken.png").write_bytes(b"no image")
    (folder / "learning").mkdir()
    (folder / "stuck").mkdir()
    for epoch, share in SHARES.items():
        state = planted_network.state(share)
        wrapped = [
            state,
            {"state_dict": {f"module.{name}": value for name, value in state.items()}},
            {"model": state, "epoch": epoch},
        ]
        torch.save(wrapped[epoch], folder / "learning" / f"epoch_{epoch}.pth.tar")
        torch.save(planted_network.state(0.0, seed=1 + epoch), folder / "stuck" / f"epoch_{epoch}.pt")
    whole = (folder / "stuck" / "epoch_2.pt").read_bytes()
    (folder / "stuck" / "epoch_3.pt").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def workspace(coarse_figures: None, world: Path) -> Path:
    """After the four commands."""
    folder = world / "workspace"
    for arguments in four_commands(world, folder):
        result = cmon(*arguments)
        assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def units(workspace: Path) -> pd.DataFrame:
    return Workspace(workspace).frame("units")


def test_every_input_is_a_row_and_what_was_skipped_says_why(workspace: Path) -> None:
    checkpoints = pd.read_parquet(workspace / "checkpoints.parquet").set_index(["run", "checkpoint"])
    assert len(checkpoints) == 7
    assert checkpoints.loc["learning", "wrapper"].tolist() == ["plain", "state_dict", "model"]
    broken = checkpoints.loc[("stuck", "epoch_3.pt")]
    assert (broken["status"], "damaged" in broken["error"]) == ("skipped", True)
    images = pd.read_parquet(workspace / "images.parquet")
    assert images["status"].value_counts().to_dict() == {"ok": 400, "skipped": 1}
    assert images.set_index("status").loc["skipped", "error"] == "not an image, or an empty one"


def test_activations_are_what_the_network_gives(world: Path, workspace: Path) -> None:
    """Against the network run image by image, for one epoch."""
    table = pd.read_parquet(workspace / "activations/learning/detectors/2.parquet")
    assert len(table) == 400
    network = planted_network.factory()
    network.load_state_dict(planted_network.state(1.0))
    images = pd.read_parquet(workspace / "images.parquet").set_index("image_id")
    for image_id, activations in table.sample(20, random_state=0).itertuples(index=False):
        image = (
            Image.open(images.loc[image_id, "path"])
            .convert("RGB")
            .resize((48, 48), Image.Resampling.BILINEAR)
        )
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        expected = network.detectors(pixels[None]).mean((2, 3))[0].detach()
        np.testing.assert_allclose(activations, expected, atol=1e-5)


def test_planted_detectors_get_their_color_and_only_they(units: pd.DataFrame) -> None:
    trained = units[(units["run"] == "learning") & (units["epoch"] == 2)].set_index("unit")
    assert trained.loc[range(len(DETECTORS)), "label"].tolist() == list(DETECTORS)
    assert trained.loc[range(len(DETECTORS)), "interpretable"].all()
    assert (trained.loc[range(len(DETECTORS)), "category"] == "color").all()
    # Where the run never learned, chance may find one of them, not all.
    stuck = units[(units["run"] == "stuck") & (units["epoch"] == 2)].set_index("unit")
    assert (stuck.loc[range(len(DETECTORS)), "label"] == list(DETECTORS)).sum() <= 2


def test_top_images_of_a_detector_show_its_color(world: Path, workspace: Path, units: pd.DataFrame) -> None:
    truth = (
        pd.read_csv(world / "probe/truth.csv", keep_default_na=False)
        .set_index("path")["color"]
        .str.split(";")
    )
    paths = pd.read_parquet(workspace / "images.parquet").set_index("image_id")["path"]
    trained = units[(units["run"] == "learning") & (units["epoch"] == 2)].set_index("unit")
    for unit, color in enumerate(DETECTORS):
        shown = [truth["images/" + Path(paths[image]).name] for image in trained.loc[unit, "top_images"]]
        assert sum(color in colors for colors in shown) >= 8, (color, shown)


def test_a_dead_unit_has_a_status_and_no_label(units: pd.DataFrame) -> None:
    dead = units[units["unit"] == DEAD]
    assert (dead["status"] == "dead").all()
    assert dead[["label", "category", "score", "p_value"]].isna().all(axis=None)
    assert not dead["interpretable"].any()
    assert len(units) == 2 * 3 * UNITS


def test_units_come_to_their_own_anchor_where_the_run_learns(workspace: Path) -> None:
    table = pd.read_csv(workspace / "report/d_anchor.csv").set_index(["run", "layer", "epoch"])
    assert len(table) == 6
    assert (table["n_units"] == UNITS).all()
    for (run, layer, epoch), row in table.iterrows():
        shard = pd.read_parquet(workspace / f"activations/{run}/{layer}/{epoch}.parquet")
        activations = np.stack(shard["activations"])
        assert row["n_dead"] == (activations == 0).all(axis=0).sum() >= 1
    assert (table["d_anchor_low"] <= table["d_anchor"]).all()
    assert (table["d_anchor"] <= table["d_anchor_high"]).all()
    layout = pd.read_parquet(workspace / "layout.parquet")
    learning = layout[(layout["run"] == "learning") & (layout["unit"] < len(DETECTORS))]
    # Random mixtures of colors lie near some color, too: what training brings is that it is the unit's own.
    own = learning["unit"].map(dict(enumerate(DETECTORS))) == learning["nearest_anchor_clip"]
    assert own[learning["epoch"] == 2].all()
    assert own[learning["epoch"] == 0].sum() <= 2
    assert (learning.loc[learning["epoch"] == 2, "distance_clip"] < 0.3).all()


def test_a_stuck_unit_stands_still_in_the_plane(workspace: Path, world: Path) -> None:
    """The same weights at two epochs give the same place, to the last digit that matters."""
    layout = pd.read_parquet(workspace / "layout.parquet")
    places = layout[(layout["run"] == "learning") & (layout["unit"] > DEAD)].set_index(["unit", "epoch"])[
        ["x", "y"]
    ]
    moved = places.unstack("epoch").dropna()
    for axis in ("x", "y"):
        assert (moved[axis].max(axis=1) - moved[axis].min(axis=1)).max() < 1e-6


def test_steps_in_clip_space_are_those_of_the_vectors(workspace: Path) -> None:
    """A unit's vector is made anew from its concepts: normalised sum of softmax(score) times the text vector."""
    text = pd.read_parquet(workspace / "vocabulary.parquet").set_index("concept")["vector"]
    vectors = {}
    for key, own in Workspace(workspace).frame("concepts").groupby(["run", "unit", "epoch"]):
        weights = np.exp(own["score"] - own["score"].max()).to_numpy(dtype=float)
        vector = weights @ np.stack(text[own["concept"]]).astype(float)
        vectors[key] = vector / np.linalg.norm(vector)
    layout = pd.read_parquet(workspace / "layout.parquet")
    compared = 0
    for row in layout[layout["kind"] == "unit"].to_dict("records"):
        own = [(row["run"], row["unit"], epoch) for epoch in range(int(row["epoch"]) + 1)]
        way = [vectors[key] for key in own if key in vectors]
        if len(way) > 1 and row["status"] == "ok":
            assert row["step_clip"] == pytest.approx(np.linalg.norm(way[-1] - way[-2]), abs=1e-5)
            assert row["from_first_clip"] == pytest.approx(np.linalg.norm(way[-1] - way[0]), abs=1e-5)
            compared += 1
        else:
            assert np.isnan(row["step_clip"])
            assert np.isnan(row["from_first_clip"])
    assert compared > UNITS


def test_a_second_round_makes_nothing(world: Path, workspace: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in workspace.rglob("*") if path.is_file()}
    for arguments in four_commands(world, workspace):
        result = cmon(*arguments)
        assert result.exit_code == 0, result.stderr
        assert "nothing to do" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*") if path.is_file()} == files


def test_a_new_checkpoint_costs_only_itself_and_a_changed_one_is_not_reused(
    world: Path, workspace: Path
) -> None:
    copy = world / "second"
    shutil.copytree(workspace, copy)
    first = extracting(world, copy)
    assert "nothing to do" in cmon(*first).stderr
    extra = world / "learning" / "epoch_3.pth"
    torch.save(planted_network.state(0.8), extra)
    try:
        result = cmon(*first)
        assert "1 activation file made, 6 fresh" in result.stderr
        torch.save(planted_network.state(0.9), extra)  # the same name, another network
        result = cmon(*first)
        assert "1 activation file made, 6 fresh" in result.stderr
    finally:
        extra.unlink()


def test_strict_tells_by_its_exit_code_that_something_was_skipped(world: Path, workspace: Path) -> None:
    assert cmon(*extracting(world, workspace), "--strict").exit_code == 3


def test_dry_run_shows_checkpoints_and_layers_and_writes_nothing(world: Path, tmp_path: Path) -> None:
    result = cmon(*extracting(world, tmp_path / "none"), "--dry-run")
    assert result.exit_code == 0
    assert "detectors" in result.stdout
    assert "24x48x48" in result.stdout
    assert not (tmp_path / "none").exists()


def test_report_prints_d_anchor_as_data_and_its_headlines_for_scripts(workspace: Path) -> None:
    rows = pd.read_csv(io.StringIO(cmon("report", workspace, "--format", "csv").stdout))
    table = pd.read_csv(workspace / "report/d_anchor.csv")
    pd.testing.assert_frame_equal(rows, table)
    told = json.loads(cmon("report", workspace, "--format", "json").stdout)
    groups = table.groupby(["run", "layer"], sort=False)
    assert [(one["run"], one["layer"]) for one in told["layers"]] == list(groups.groups)
    for one, (_, own) in zip(told["layers"], groups, strict=True):
        first, last = own.iloc[0], own.iloc[-1]
        assert (one["first_epoch"], one["last_epoch"]) == (first["epoch"], last["epoch"])
        assert one["d_anchor"]["first"]["value"] == pytest.approx(first["d_anchor"])
        assert one["d_anchor_clip"]["last"]["high"] == pytest.approx(last["d_anchor_clip_high"])
        assert one["share_interpretable"] == last["n_interpretable"] / last["n_units"]
        assert one["n_dead"] == last["n_dead"] > 0


def test_what_was_not_run_again_is_told(world: Path, workspace: Path) -> None:
    """A checkpoint is retrained, then scored: until each stage was run, the next one does not take it for fresh."""
    copy = world / "stale"
    shutil.copytree(workspace, copy)
    extra = world / "learning" / "epoch_3.pth"
    torch.save(planted_network.state(0.8), extra)
    try:
        cmon(*extracting(world, copy))
        for command in (["embed", copy, *ANCHORS], ["report", copy]):
            assert "extracted, but not scored yet" in cmon(*command).stderr
        scoring = ["score", copy, "--clip", CLIP, "--concepts", CONCEPTS, "--top-k", 40]
        assert cmon(*scoring).exit_code == 0
        result = cmon("report", copy)
        assert (result.exit_code, "was made from other scores" in result.stderr) == (1, True)
        before = pd.read_parquet(copy / "layout.parquet")
        result = cmon("embed", copy, *ANCHORS)
        assert result.exit_code == 0, result.stderr
        after = pd.read_parquet(copy / "layout.parquet")
        new = (after["run"] == "learning") & (after["epoch"] == 3)
        assert set(after.loc[new & (after["status"] == "ok"), "placed"]) == {"placed"}
        kept = after[~new].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            kept[["x", "y", "placed"]], before[["x", "y", "placed"]], check_exact=True
        )
        result = cmon("report", copy)
        assert (result.exit_code, "not scored yet" in result.stderr) == (0, False)
    finally:
        extra.unlink()


def test_layers_that_are_not_asked_for_again_stay(world: Path, workspace: Path) -> None:
    copy = world / "layers"
    shutil.copytree(workspace, copy)
    result = cmon(*["head" if one == "detectors" else one for one in extracting(world, copy)])
    assert "6 activation files made, 6 fresh" in " ".join(result.stderr.split())
    assert {row["layer"] for row in Workspace(copy).read("shards").to_pylist()} == {"detectors", "head"}
    result = cmon(*extracting(world, copy), "--layer", "head")
    assert "0 activation files made, 12 fresh" in result.stderr
    assert "left out" not in result.stderr
