"""What is read of a study on disk, against the workspace's own tables."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest

from cmon.workspace.workspace import Workspace
from scripts.cases import results as measures
from scripts.cases.results import (
    Measure,
    Results,
    kept_labels,
    share_of_interpretable,
    share_of_units,
    top_concepts,
)
from tests.support import case_results
from tests.support.synthetic_tables import World

WORLD = World(
    runs=("standard@1", "standard@2", "rate-too-high@1", "rate-too-high@2", "unknown@1", "plain"),
    layers=("layer2", "layer4"), epochs=(0.0, 1.0, 2.0), units=30, images=20,
)  # fmt: skip


def log(recipe: str, seed: int) -> pd.DataFrame:
    broken = recipe == "rate-too-high"
    return pd.DataFrame(
        {"epoch": [0, 1, 2], "recipe": recipe, "seed": seed, "train_loss": [3.0, np.inf if broken else 2, seed],
         "test_accuracy": [0.1, 0.2, 0.3]}
    )  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of rate-too-high@1, layer4 is dead at the last epoch; two runs are none of the study's."""
    folder = tmp_path_factory.mktemp("out")

    def die(tables: dict[str, list[dict]]) -> None:
        case_results.kill(
            tables,
            lambda row: (row["run"], row["layer"], row["epoch"]) == ("rate-too-high@1", "layer4", 2.0),
        )

    case_results.write(folder, "training", World(**{**WORLD.__dict__, "runs": WORLD.runs[:4]}), die, log)
    other = World(**{**WORLD.__dict__, "runs": ("standard@1", "adversarial@1", *WORLD.runs[4:])})
    case_results.write(folder, "adversarial", other)
    return folder


@pytest.fixture(scope="module")
def training(out: Path) -> Results:
    return Results.read(out, "training")


def test_runs_are_told_apart_by_recipe_and_seed(out: Path, training: Results) -> None:
    assert training.recipes == ["standard", "rate-too-high"]
    assert training.seeds("standard") == [1, 2]
    assert training.seeds("random-labels") == []
    assert (training.layers, training.main) == (["layer2", "layer4"], "layer4")
    assert (training.epochs, training.first, training.last) == ([0, 1, 2], 0, 2)
    assert Results.read(out, "adversarial").recipes == ["standard", "adversarial"], "others are none of it"


def test_measures_are_the_tables_own(out: Path, training: Results) -> None:
    workspace = Workspace(out / "training" / "workspace")
    units, layout = workspace.frame("units"), workspace.frame("layout")
    for recipe, seed, layer, epoch in (("standard", 2, "layer2", 1.0), ("rate-too-high", 1, "layer4", 1.0)):

        def of_run(frame: pd.DataFrame, epoch: float = epoch) -> pd.DataFrame:
            return frame[
                (frame["run"] == f"{recipe}@{seed}") & (frame["layer"] == layer) & (frame["epoch"] == epoch)  # noqa: B023
            ].set_index("unit")

        own, places = of_run(units), of_run(layout)
        named = own[own["interpretable"]]
        low = named["category"].isin(["color", "texture"]).sum()
        live, before = places.dropna(subset="x"), of_run(layout, 0.0)[["x", "y"]]
        moved = np.hypot(*(live[["x", "y"]] - before.loc[live.index]).to_numpy().T).mean()
        kept = of_run(units, 0.0)
        kept = kept[kept["interpretable"]]
        stays = [
            name in named.index and named.loc[name, "label"] == kept.loc[name, "label"] for name in kept.index
        ]
        colors = ("color", "texture")
        for measure, expected in (
            (measures.D_ANCHOR, live["distance"].mean()),
            (measures.D_ANCHOR_CLIP, live["distance_clip"].mean()),
            (measures.FROM_FIRST, moved),
            (measures.INTERPRETABLE, len(named) / 30),
            (share_of_units(colors, ""), low / 30),
            (share_of_interpretable(colors, ""), low / len(named) if len(named) else np.nan),
            (measures.KEPT, np.mean(stays) if stays else np.nan),
        ):
            assert training.of(measure, recipe, layer, epoch)[seed] == pytest.approx(expected, nan_ok=True)


def test_logs_stand_beside_them_and_one_that_is_not_there_is_empty(out: Path, training: Results) -> None:
    assert training.of(measures.TRAIN_LOSS, "standard", "layer4", 2).tolist() == [1, 2]
    assert training.of(measures.TRAIN_LOSS, "rate-too-high", "layer4", 1).tolist() == [np.inf, np.inf]
    assert training.of(measures.ACCURACY, "standard", "layer2", 1).tolist() == [0.2, 0.2]
    assert training.of(measures.ROBUST_ACCURACY, "standard", "layer4", 2).isna().all()
    (out / "runs" / "standard@1" / "training.csv").rename(out / "kept.csv")
    gone = Results.read(out, "training")
    (out / "kept.csv").rename(out / "runs" / "standard@1" / "training.csv")
    assert gone.of(measures.ACCURACY, "standard", "layer2", 1).isna().tolist() == [True, False]
    assert (
        gone.why_missing(measures.ACCURACY, "standard", 1, "layer2", 1)
        == "standard@1: no accuracy at epoch 1"
    )


def test_a_dead_layer_has_no_distance_and_says_so(training: Results) -> None:
    assert training.of(measures.D_ANCHOR, "rate-too-high", "layer4", 2).isna().tolist() == [True, False]
    assert training.of(measures.INTERPRETABLE, "rate-too-high", "layer4", 2)[1] == 0

    def why(layer: str, measure: Measure = measures.D_ANCHOR) -> str:
        return training.why_missing(measure, "rate-too-high", 1, layer, 2)

    assert why("layer4") == "rate-too-high@1: layer4 has no live unit at epoch 2"
    assert why("layer4", measures.SPREAD) == why("layer4", share_of_interpretable((), "")) == why("layer4")
    assert why("layer3") == "rate-too-high@1: layer3 is not there at epoch 2"


def test_a_label_is_kept_under_its_own_name_and_only_while_it_is_beyond_chance() -> None:
    units = pd.DataFrame(
        [
            {"run": "r", "layer": "l", "epoch": epoch, "unit": unit, "label": label.strip("-"),
             "interpretable": "-" not in label}
            for unit, labels in enumerate([("dog", "dog"), ("cat", "dog"), ("red", "red-"), ("car-", "car")])
            for epoch, label in zip((0.0, 1.0), labels, strict=True)
        ]
    )  # fmt: skip
    found = kept_labels(units).set_index("epoch")["kept"]
    assert found.to_dict() == {0.0: 1.0, 1.0: pytest.approx(1 / 3)}
    none = kept_labels(units.assign(interpretable=False))["kept"]
    assert none.isna().all()
    assert len(none) == 2


def test_a_concept_counts_as_0_where_a_seed_has_it_not() -> None:
    results = case_results.results("adversarial", lambda *_: {}, seeds=(1, 2))
    rows = [
        ("standard", 1, "layer4", 2.0, "dog", "object", 10),
        ("standard", 2, "layer4", 2.0, "dog", "object", 6),
        ("standard", 2, "layer4", 2.0, "cat", "object", 9),
        ("standard", 2, "layer4", 1.0, "red", "color", 99),
        ("standard", 2, "layer3", 2.0, "red", "color", 99),
        ("adversarial", 1, "layer4", 2.0, "red", "color", 99),
    ]
    concepts = pd.DataFrame(
        rows, columns=["recipe", "seed", "layer", "epoch", "concept", "category", "units"]
    )
    planted = Results(**{**results.__dict__, "concepts": concepts})
    found = top_concepts(planted, "standard", 8).to_dict("records")
    assert [tuple(row.values()) for row in found] == [
        ("dog", "object", 8, 6, 10),
        ("cat", "object", 4.5, 0, 9),
    ]
    assert len(top_concepts(planted, "standard", 1)) == 1
    assert top_concepts(results, "standard", 8).empty


def test_a_study_without_a_report_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="cmon report"):
        Results.read(tmp_path, "lottery")
