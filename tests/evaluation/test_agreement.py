"""Labels against the truth: the whole tables from their definitions, and what `cmon score --truth` says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cmon.cli.main import main
from cmon.evaluation import agreement
from cmon.evaluation.agreement import MEASURES, agreement_table
from cmon.evaluation.intervals import wilson
from cmon.workspace import schemas
from cmon.workspace.keys import UNIT_KEYS
from cmon.workspace.table_files import read_table
from cmon.workspace.workspace import Workspace
from tests.evaluation.test_detection import literal_average_precision, literal_correlation
from tests.support import tiny_models


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def workspace(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path) -> Path:
    options = ["--run", f"standard={checkpoints_folder}", "--probe", probe_folder, "--layer", "conv*"]
    run(
        "extract",
        tmp_path / "work",
        *options,
        "--model",
        "python:tests.support.tiny_models:network",
        "--workers",
        0,
    )
    return tmp_path / "work"


@pytest.fixture
def truth_file(tmp_path: Path, probe_folder: Path) -> Path:
    """The color of every picture but the last; 'grey' is not among what it names, and 'round' was not scored."""
    colors = [color for color in tiny_models.COLORS if color != "grey"]
    every = list(tiny_models.COLORS)
    rows = [f"{n:02}.png,{every[n % len(every)] if n % len(every) < len(colors) else ''}" for n in range(39)]
    path = tmp_path / "truth.csv"
    path.write_text("\n".join(["path,concept", *rows, "00.png,round"]) + "\n")
    return path


def scored(workspace: Path, concepts: Path, *more: object) -> Result:
    options = [
        "--concepts",
        concepts,
        "--clip",
        "python:tests.support.tiny_models:embedder",
        "--pseudo-units",
        50,
    ]
    return run("score", workspace, *options, "--workers", 0, *more)


def table(workspace: Path, name: str) -> pd.DataFrame:
    return Workspace(workspace).frame(name)


def test_the_tables_are_what_they_are_defined_to_be(
    workspace: Path, concepts_file: Path, truth_file: Path
) -> None:
    scored(workspace, concepts_file, "--truth", truth_file)
    found = table(workspace, "detections").set_index([*UNIT_KEYS, "measure"])
    units, concepts = table(workspace, "units"), table(workspace, "concepts")
    live = units[units["status"] == "ok"]
    assert len(found) == 3 * len(live) > 0
    compared = [color for color in tiny_models.COLORS if color != "grey"]
    every = list(tiny_models.COLORS)
    present = {color: [every[n % len(every)] == color for n in range(39)] for color in compared}
    for key in live[UNIT_KEYS].itertuples(index=False):
        run_name, layer, epoch, unit = key
        shard = read_table(Workspace(workspace).activations(run_name, layer, epoch))
        activations = schemas.matrix(shard["activations"])[:39, unit].tolist()
        own = concepts[(concepts[UNIT_KEYS] == list(key)).all(axis=1)].sort_values("rank")["concept"].tolist()
        auprc = {color: literal_average_precision(activations, some) for color, some in present.items()}
        share = {color: sum(some) / 39 for color, some in present.items()}
        values = {
            "auprc": auprc,
            "auprc over chance": {c: (auprc[c] - share[c]) / (1 - share[c]) for c in compared},
            "correlation": {c: literal_correlation(activations, some) for c, some in present.items()},
        }
        for measure, some in values.items():
            row = found.loc[(*key, measure)]
            best = max(compared, key=lambda color: some[color])
            assert row["concept"] == best
            assert row["value"] == pytest.approx(some[best])
            assert row["label"] == own[0]
            if own[0] in compared:
                assert row["value_of_label"] == pytest.approx(some[own[0]])
            else:
                assert pd.isna(row["value_of_label"])
            assert row["rank"] == own.index(best)
            assert row["clear"] == (max(values["correlation"].values()) > 0.3)
    assert found["clear"].any()
    assert table(workspace, "agreement").equals(
        agreement_table(units, found.reset_index()).astype(
            {name: "int32" for name in ("n_units", "n_live", "n_clear")}
        )
    )


def test_agreement_counts_the_clear_units() -> None:
    units = pd.DataFrame(
        {"run": "a", "layer": "b", "epoch": [0.0] * 6 + [1.0] * 2, "unit": [*range(6), 0, 1]}
    )
    ranks = pd.array([0, 0, 4, 5, None, 0], dtype="Int32")
    detections = pd.concat(
        units[:6].assign(
            measure=measure,
            concept="dog",
            label="cat",
            value=0.5,
            value_of_label=[0.5, 0.3, np.nan, 0.1, 0.3, 9],
            rank=ranks,
            clear=[True] * 5 + [False],
        )
        for measure in MEASURES
    )
    found = agreement_table(units, detections)
    assert list(found.columns) == schemas.AGREEMENT.names
    assert found["measure"].tolist() == [*MEASURES, *MEASURES]
    for row in found[:3].to_dict("records"):
        assert [row[name] for name in ("n_units", "n_live", "n_clear")] == [6, 6, 5]
        assert (row["top1"], row["top5"]) == (0.4, 0.6)
        assert (row["top1_low"], row["top1_high"]) == wilson(2, 5)
        assert (row["top5_low"], row["top5_high"]) == wilson(3, 5)
        assert (row["value"], row["value_of_label"]) == pytest.approx((0.5, 0.3))
    assert (found[3:]["n_units"] == 2).all()
    assert (found[3:][["n_live", "n_clear"]] == 0).all(axis=None)
    assert found[3:][["top1", "top1_low", "top5_high", "value"]].isna().all(axis=None)


def test_the_table_is_printed_and_is_fresh_until_scores_or_truth_change(
    workspace: Path, concepts_file: Path, truth_file: Path
) -> None:
    scored(workspace, concepts_file)
    assert not Workspace(workspace).table("agreement").exists()
    first = scored(workspace, concepts_file, "--truth", truth_file, "--format", "json")
    rows = json.loads(first.stdout)["agreement"]
    stored = table(workspace, "agreement")
    assert len(rows) == len(stored) == 2 * 2 * 3  # layers, epochs, measures
    assert [row["measure"] for row in rows] == stored["measure"].tolist()
    assert [row["n_clear"] for row in rows] == stored["n_clear"].tolist()
    assert "nothing to do" in first.stderr  # the scores
    assert "39 images and 4 concepts; 4 other scored concepts counted as wrong" in first.stderr
    assert "tells nothing of 1 of the 40 images" in first.stderr
    again = scored(workspace, concepts_file, "--truth", truth_file, "--format", "json")
    assert again.stdout == first.stdout
    assert again.stderr.count("nothing to do") == 2
    # Another truth, the same scores; then other scores, the same truth.
    truth_file.write_text(truth_file.read_text().replace("red", "blue"))
    other = scored(workspace, concepts_file, "--truth", truth_file)
    assert other.stderr.count("nothing to do") == 1
    assert not table(workspace, "agreement").equals(stored)
    scored(workspace, concepts_file, "--similarity", "cos_similarity")
    assert (
        "done: labels compared"
        in scored(workspace, concepts_file, "--similarity", "cos_similarity", "--truth", truth_file).stderr
    )


def test_a_layer_without_live_units_has_a_row(
    workspace: Path, concepts_file: Path, truth_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cmon.scoring import status

    monkeypatch.setattr(status, "unit_statuses", lambda finite, *_: np.array(["dead"] * len(finite)))
    scored(workspace, concepts_file, "--truth", truth_file)
    assert len(table(workspace, "detections")) == 0
    found = table(workspace, "agreement")
    assert len(found) == 12
    assert (found[["n_live", "n_clear"]] == 0).all(axis=None)
    assert (found["n_units"] > 0).all()


def test_concepts_that_few_images_show_are_not_compared(
    workspace: Path, concepts_file: Path, tmp_path: Path
) -> None:
    tags = tmp_path / "few.csv"
    tags.write_text("path,red,green\n" + "".join(f"{n:02}.png,{n % 5 == 0:d},{n < 4:d}\n" for n in range(40)))
    result = scored(workspace, concepts_file, "--truth", tags)
    assert "40 images and 1 concept; 7 other" in result.stderr
    tags.write_text("path,red,green\n" + "".join(f"{n:02}.png,{n > 35:d},{n < 4:d}\n" for n in range(40)))
    options = [
        "--concepts",
        concepts_file,
        "--clip",
        "python:tests.support.tiny_models:embedder",
        "--pseudo-units",
        50,
    ]
    failed = CliRunner().invoke(main, [str(x) for x in ("score", workspace, *options, "--truth", tags)])
    assert failed.exit_code == 1
    assert "no concept can be compared" in failed.stderr


def test_of_the_three_measures_only_chance_corrected_ones_pass_over_the_frequent() -> None:
    """A faint detector of a rare concept: plain AUPRC names the concept that half of the images show."""
    random = np.random.default_rng(0)
    present = np.stack([np.arange(2000) % 50 == 0, random.random(2000) < 0.5], axis=1)
    unit = 2 * present[:, :1] + random.normal(size=(2000, 1))
    values = agreement.measure_detection(unit, present)
    assert {name: int(some.argmax()) for name, some in values.items()} == {
        "auprc": 1,
        "auprc over chance": 0,
        "correlation": 0,
    }


def test_a_label_that_the_same_images_show_is_as_right(
    workspace: Path, concepts_file: Path, tmp_path: Path
) -> None:
    tags = tmp_path / "twins.csv"
    every = list(tiny_models.COLORS)
    rows = [f"{n:02}.png,{every[n % 5]}{';mist' * (n % 5 == 0)}" for n in range(40)]
    tags.write_text("\n".join(["path,concept", *rows]) + "\n")
    scored(workspace, concepts_file, "--truth", tags)
    found = table(workspace, "detections")
    assert every[0] == "red"
    assert not (found["concept"] == "mist").any()  # of equals, the first scored
    reds = found[(found["concept"] == "red") & found["label"].isin(["red", "mist"])]
    assert len(reds)
    assert (reds["rank"] == 0).all()
