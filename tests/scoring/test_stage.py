"""The stage's choices: which function, which prior, and what a unit without a label is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from cmon.cli.main import main
from cmon.scoring import populations
from cmon.scoring.groups import plan_groups
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.workspace import schemas
from cmon.workspace.keys import GROUP
from cmon.workspace.table_files import read_table
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

MODEL = ["--model", "python:tests.support.tiny_models:network"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def workspace(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path) -> Path:
    options = ["--run", f"standard={checkpoints_folder}", "--probe", probe_folder, "--layer", "conv2"]
    result = run("extract", tmp_path / "work", *options, *MODEL, "--workers", 0, "--device", "cpu")
    assert result.exit_code == 0, result.output
    return tmp_path / "work"


def scored(workspace: Path, concepts: Path, *more: object) -> pd.DataFrame:
    options = [
        "--concepts",
        concepts,
        "--clip",
        "python:tests.support.tiny_models:embedder",
        "--pseudo-units",
        50,
    ]
    result = run("score", workspace, *options, "--workers", 0, "--device", "cpu", *more)
    assert result.exit_code == 0, result.output
    return Workspace(workspace).read("units").to_pandas()


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_every_function_and_prior_labels_every_live_unit(
    workspace: Path, concepts_file: Path, name: str, prior: str
) -> None:
    units = scored(workspace, concepts_file, "--similarity", name, "--prior", prior)
    live = units["status"] == "ok"
    assert live.any()
    assert units.loc[live, ["label", "score", "margin", "p_value"]].notna().all(axis=None)
    assert np.isfinite(units.loc[live, "score"]).all()
    assert units.loc[~live, ["label", "category", "score", "margin", "p_value"]].isna().all(axis=None)
    assert not units.loc[~live, "interpretable"].any()
    concepts = Workspace(workspace).read("concepts").to_pandas()
    best = concepts[concepts["rank"] == 0].set_index(["run", "layer", "epoch", "unit"])["concept"]
    labels = units[live].set_index(["run", "layer", "epoch", "unit"])["label"]
    pd.testing.assert_series_equal(best, labels, check_names=False)
    stored = Workspace(workspace).parameters("units")
    assert stored["similarity"]["function"] == name
    assert stored["prior"] == prior


def test_another_function_or_number_of_top_images_makes_the_tables_stale(
    workspace: Path, concepts_file: Path
) -> None:
    origins = []
    for options in (
        [],
        ["--similarity", "wpmi"],
        ["--similarity", "wpmi", "--top-k", 10],
        ["--top-k", 10],
        ["--similarity", "cos_similarity"],
        ["--similarity", "cos_similarity_cubed"],
        ["--similarity", "rank_reorder"],
    ):
        scored(workspace, concepts_file, *options)
        origins.append(Workspace(workspace).origin("units"))
    assert len(set(origins)) == len(origins)
    scored(workspace, concepts_file)
    assert Workspace(workspace).origin("units") == origins[0]


def test_templates_are_part_of_the_origin_and_anchors_are_read_in_them(
    workspace: Path, concepts_file: Path, tmp_path: Path
) -> None:
    place = Workspace(workspace)
    scored(workspace, concepts_file)
    plain = place.origin("units")
    scored(workspace, concepts_file, "--template", "a {} wall")
    assert place.origin("units") != plain
    assert place.parameters("units")["templates"] == ["a {} wall"]
    (tmp_path / "anchors.txt").write_text("red\nmauve\n")
    result = run("embed", workspace, "--anchors", tmp_path / "anchors.txt", "--device", "cpu")
    assert result.exit_code == 0, result.output
    parts = place.cache.glob("text-features-*/*.parquet")
    texts = {text for part in parts for text in read_table(part)["text"].to_pylist()}
    assert {"red", "a red wall", "a mauve wall"} <= texts
    assert "mauve" not in texts
    vocabulary = place.read("vocabulary").to_pandas().set_index("concept")["vector"]
    direction = np.asarray(tiny_models.embedder().encode_texts(["a red wall"]))[0]
    np.testing.assert_allclose(vocabulary["red"], direction / np.linalg.norm(direction), atol=1e-6)


def test_a_number_of_top_images_for_a_function_that_has_none_is_wrong_usage(
    workspace: Path, concepts_file: Path
) -> None:
    options = ["--concepts", concepts_file, "--similarity", "cos_similarity", "--top-k", 10]
    result = run("score", workspace, *options)
    assert result.exit_code == 2
    assert "cos_similarity has no fixed number of top images" in result.stderr


@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_a_unit_that_dies_changes_no_other_units_score(
    workspace: Path, concepts_file: Path, name: str
) -> None:
    place = Workspace(workspace)
    whole = scored(workspace, concepts_file, "--similarity", name)
    (shard, *_) = place.read("shards").to_pylist()
    path = place.activations(shard["run"], shard["layer"], shard["epoch"])
    table = read_table(path)
    activations = schemas.matrix(table["activations"])
    activations[:, 0], activations[5, 2] = 1.5, np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(activations.ravel()), activations.shape[1])
    columns = [table["image_id"], column]
    place.write(path, pa.Table.from_arrays(columns, schema=table.schema.remove_metadata()), shard["origin"])
    place.table("units").unlink()
    place.group_file("units", *(shard[key] for key in GROUP)).unlink()
    parts = scored(workspace, concepts_file, "--similarity", name)
    assert parts["status"][:3].tolist() == ["constant", "ok", "non-finite"]
    same = ~parts.index.isin([0, 2])
    assert parts.loc[same, "label"].equals(whole.loc[same, "label"])
    np.testing.assert_allclose(parts.loc[same, "score"], whole.loc[same, "score"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["soft_wpmi", "cos_similarity"])
def test_redundancy_is_that_of_the_activations_whatever_the_function(
    workspace: Path, concepts_file: Path, name: str
) -> None:
    units = scored(workspace, concepts_file, "--similarity", name)
    place = Workspace(workspace)
    listed = place.read("scores").to_pylist()
    for shard, row in zip(place.read("shards").to_pylist(), listed, strict=True):
        table = read_table(place.activations(shard["run"], shard["layer"], shard["epoch"]))
        activations = schemas.matrix(table["activations"])
        own = units[units["epoch"] == shard["epoch"]]
        live = np.flatnonzero(own["status"] == "ok")
        compared = len(activations) // 20
        tops = [set(np.argsort(-activations[:, unit], kind="stable")[:compared]) for unit in live]
        for unit, top in zip(live, tops, strict=True):
            others = [len(top & other) / compared for other in tops if other is not top]
            assert own["shared"].iloc[unit] == pytest.approx(np.mean(others))
        assert row["overlap"] == pytest.approx(own["shared"].mean())
        assert row["overlap by chance"] == compared / len(activations)


@pytest.mark.parametrize("name", ["soft_wpmi", "cos_similarity_cubed"])
def test_against_the_first_epoch_p_values_are_those_of_the_tables_counted_by_hand(
    workspace: Path, concepts_file: Path, name: str
) -> None:
    options = ["--similarity", name, "--fdr", 0.4]
    chance = scored(workspace, concepts_file, *options)
    found = scored(workspace, concepts_file, *options, "--baseline", "first")
    same = [*GROUP, "unit", "status", "label", "score", "shared"]
    pd.testing.assert_frame_equal(found[same], chance[same])
    concepts = Workspace(workspace).read("concepts").to_pandas()
    scores = concepts.pivot(index=["epoch", "unit"], columns="concept", values="score")
    assert scores.notna().all(axis=None), "so few concepts that the table has them all"
    first = scores.loc[0.0]
    surprise = (scores - first.mean()) / first.std(ddof=0)
    labels = found[found["status"] == "ok"].set_index(["epoch", "unit"])["label"]
    of_label = pd.Series({key: surprise.loc[key, label] for key, label in labels.items()})
    null = of_label.loc[0.0].to_numpy()
    for (epoch, unit), value in of_label.items():
        row = found[(found["epoch"] == epoch) & (found["unit"] == unit)].iloc[0]
        expected = (1 + (null >= value - 1e-5).sum()) / (1 + len(null))
        assert row["p_value"] == pytest.approx(expected)
    assert not found.loc[found["epoch"] == 0, "interpretable"].any()


def test_the_first_epoch_counts_the_same_when_a_later_one_is_scored_alone(
    workspace: Path, concepts_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--baseline", "first", "--fdr", 0.4]
    whole = scored(workspace, concepts_file, *options)
    place = Workspace(workspace)
    shards = place.read("shards").to_pylist()
    written = {shard["epoch"]: place.group_file("units", *(shard[key] for key in GROUP)) for shard in shards}
    before = written[0.0].stat().st_mtime_ns
    written[1.0].unlink()
    monkeypatch.setattr(populations, "_PASS_BYTES", 1)
    pd.testing.assert_frame_equal(scored(workspace, concepts_file, *options), whole)
    assert written[0.0].stat().st_mtime_ns == before, "read, not written"
    assert written[1.0].is_file()


def test_another_first_epoch_makes_the_later_ones_stale_and_chance_does_not_mind(
    workspace: Path, concepts_file: Path
) -> None:
    place = Workspace(workspace)
    shards = place.read("shards").to_pylist()
    changed = [{**shard, "origin": "another"} if shard["epoch"] == 0 else shard for shard in shards]
    for against_first, stale in ((False, [0.0]), (True, [0.0, 1.0])):
        now, then = (plan_groups(some, "scoring", against_first=against_first) for some in (changed, shards))
        differs = [a.shard["epoch"] for a, b in zip(now, then, strict=True) if a.origin != b.origin]
        assert differs == stale


def test_too_few_units_and_a_first_epoch_that_is_trained_are_warned_of(
    workspace: Path, concepts_file: Path, checkpoints_folder: Path, probe_folder: Path, tmp_path: Path
) -> None:
    options = ["--concepts", concepts_file, "--clip", "python:tests.support.tiny_models:embedder"]
    more = ["--pseudo-units", 50, "--workers", 0, "--device", "cpu", "--baseline", "first"]
    result = run("score", workspace, *options, *more)
    assert "conv2 can have no interpretable unit: with fewer than 19 units" in result.stderr
    assert "no epoch 0" not in result.stderr
    assert "against the first epoch" in result.stderr
    extract = [
        "--run",
        f"late={checkpoints_folder}",
        "--probe",
        probe_folder,
        "--layer",
        "conv2",
        "--epoch",
        1,
    ]
    assert (
        run("extract", tmp_path / "two", *extract, *MODEL, "--workers", 0, "--device", "cpu").exit_code == 0
    )
    result = run("score", tmp_path / "two", *options, *more)
    assert "of late there is no epoch 0" in result.stderr


def test_the_layers_own_prior_cannot_be_compared_with_another_epoch(
    workspace: Path, concepts_file: Path
) -> None:
    options = ["--concepts", concepts_file, "--clip", "python:tests.support.tiny_models:embedder"]
    result = run("score", workspace, *options, "--baseline", "first", "--prior", "layer")
    assert result.exit_code == 2
    assert "--prior layer cannot be" in result.stderr


@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_passes_over_the_concepts_make_no_difference(
    workspace: Path, concepts_file: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for one layer and epoch at a time."""
    whole = scored(workspace, concepts_file, "--similarity", name)
    shutil.rmtree(workspace / "units")
    monkeypatch.setattr(populations, "_PASS_BYTES", 1)
    parts = scored(workspace, concepts_file, "--similarity", name)
    exact = ["run", "layer", "epoch", "unit", "status", "label", "interpretable"]
    pd.testing.assert_frame_equal(parts[exact], whole[exact])
    np.testing.assert_allclose(parts["score"], whole["score"], rtol=1e-4, atol=1e-4)
