"""The second scoring of a study: on the same activations, without touching the first one's tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cmon.workspace.keys import GROUP
from cmon.workspace.workspace import Workspace
from scripts.cases import results as measures
from scripts.cases.against_untrained import STANDS_OUT, link_extraction, read_counts
from scripts.cases.results import Results
from scripts.cases.studies import untrained_folder
from tests.support import case_results, synthetic_tables
from tests.support.synthetic_tables import World

WORLD = World(
    runs=("standard@1", "standard@2"), layers=("layer2", "layer4"), epochs=(0.0, 1.0), units=30, images=20
)


def test_a_linked_workspace_has_the_same_activations_and_loses_what_it_had(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first / "activations" / "run" / "layer", first / "cache", second / "activations" / "gone"):
        folder.mkdir(parents=True)
    (first / "activations" / "run" / "layer" / "0.parquet").write_text("of now")
    (second / "activations" / "gone" / "0.parquet").write_text("of a run that is no longer there")
    for name in ("checkpoints", "images", "shards", "scores"):
        (first / f"{name}.parquet").write_text(name)
    (second / "shards.parquet").write_text("before")
    for _ in range(2):  # a second time, it finds its own links
        link_extraction(first, second)
        found = {
            path.relative_to(second).as_posix(): path.read_text()
            for path in second.rglob("*")
            if path.is_file()
        }
        assert found == {
            "activations/run/layer/0.parquet": "of now",
            "checkpoints.parquet": "checkpoints",
            "images.parquet": "images",
            "shards.parquet": "shards",
        }
    assert (first / "scores.parquet").read_text() == "scores"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """In the second scoring, units 0 to 4 stand out at epoch 1 of standard@2's layer4, and none elsewhere."""
    case_results.write(tmp_path, "training", WORLD)
    tables = synthetic_tables.rows(WORLD)
    for row in tables["units"]:
        where = (row["run"], row["layer"], row["epoch"])
        row["interpretable"] = where == ("standard@2", "layer4", 1.0) and row["unit"] < 5
    made = synthetic_tables.write(tmp_path / "made", WORLD, tables)
    made.root.rename(untrained_folder(tmp_path, "training"))
    return tmp_path


def test_shares_are_counted_in_the_second_scoring(out: Path) -> None:
    units = Workspace(untrained_folder(out, "training")).frame("units")
    counted = read_counts(untrained_folder(out, "training")).set_index(GROUP)[STANDS_OUT]
    assert counted.to_dict() == units.groupby(GROUP)["interpretable"].sum().to_dict()
    found = Results.read(out, "training")
    for layer, epoch, expected in (
        ("layer4", 1.0, [0, 5 / 30]),
        ("layer2", 1.0, [0, 0]),
        ("layer4", 0.0, [0, 0]),
    ):
        shares = found.of(measures.AGAINST_UNTRAINED, "standard", layer, epoch)
        assert shares.tolist() == pytest.approx(expected)
    first = Workspace(out / "training" / "workspace").frame("units")
    own = first[(first["layer"] == "layer4") & (first["epoch"] == 1)].groupby("run")["interpretable"].mean()
    assert found.of(measures.INTERPRETABLE, "standard", "layer4", 1.0).tolist() == own.tolist()
    assert own["standard@2"] != 5 / 30, "the two scorings differ"


def test_a_study_without_one_has_no_value_and_says_so(tmp_path: Path) -> None:
    case_results.write(tmp_path, "training", WORLD)
    found = Results.read(tmp_path, "training")
    assert found.of(measures.AGAINST_UNTRAINED, "standard", "layer4", 1.0).isna().all()
    why = found.why_missing(measures.AGAINST_UNTRAINED, "standard", 1, "layer4", 1.0)
    assert why == "standard@1: layer4 was not scored against the untrained network at epoch 1"
    pd.testing.assert_frame_equal(
        read_counts(tmp_path / "no"), pd.DataFrame(columns=[*GROUP, STANDS_OUT]), check_dtype=False
    )
