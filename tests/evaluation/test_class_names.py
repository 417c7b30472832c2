from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cmon.cli.main import main
from cmon.clip import embedders
from cmon.errors import CmonError
from cmon.evaluation import class_names
from cmon.evaluation.intervals import wilson
from cmon.workspace.workspace import Workspace
from tests.support import tiny_models

WORDS = [f"word {number}" for number in range(30)]


def vectors(names: list[str], words: list[str] = WORDS, seed: int = 5) -> class_names.Vectors:
    """Random directions for all words, and for the names that are none of them."""
    random = np.random.default_rng(seed)

    def directions(texts: list[str]) -> np.ndarray:
        found = random.normal(size=(len(texts), 7)) + 1  # in a cone, as CLIP's are
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    vocabulary = pd.DataFrame({"concept": words, "vector": list(directions(words).astype(np.float32))})
    return class_names.Vectors.of(vocabulary, names, directions)


def world(sizes: dict[str, int], epochs: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `units` and `concepts`: ten concepts of each unit at random; the last unit of a layer is dead."""
    random = np.random.default_rng(seed)
    units, concepts = [], []
    for run in ("b", "a"):
        for epoch in range(epochs):
            for layer, size in sizes.items():
                for unit in range(size):
                    key = {"run": run, "layer": layer, "epoch": float(epoch), "unit": unit}
                    best = random.permutation(WORDS)[:10] if unit < size - 1 else []
                    units.append({**key, "label": best[0] if len(best) else None})
                    concepts += [{**key, "rank": rank, "concept": word} for rank, word in enumerate(best)]
    return pd.DataFrame(units), pd.DataFrame(concepts)


def test_accuracy_is_the_share_of_units_whose_name_is_among_their_best_concepts() -> None:
    units, concepts = world({"layer4": 25, "fc": 20}, epochs=3)
    names = [*WORDS[:9], "Word  3", "unheard of", *WORDS[10:19]]  # one twice, in another spelling
    found = class_names.accuracy(units, concepts, vectors(names), names)
    assert [(row["run"], row["layer"], row["epoch"]) for row in found] == [
        (run, "fc", epoch) for run in "ba" for epoch in (0, 1, 2)
    ]
    hits = 0
    for row in found:
        counted = {1: 0, 5: 0}
        for unit, name in enumerate(names):
            own = concepts[(concepts["run"] == row["run"]) & (concepts["layer"] == "fc")]
            own = own[(own["epoch"] == row["epoch"]) & (own["unit"] == unit)].sort_values("rank")
            for top in counted:
                counted[top] += " ".join(name.lower().split()) in list(own["concept"][:top])
        assert (row["units"], row["nameable"]) == (20, 19)
        for top, number in counted.items():
            assert row[f"top-{top} found"] == number
            assert row[f"top-{top} share"] == pytest.approx(number / 20)
            assert (row[f"top-{top} low"], row[f"top-{top} high"]) == wilson(number, 20)
        hits += counted[5]
    assert hits > 5, "chance alone finds some"


def test_labels_that_are_the_names_are_all_found_and_shuffled_names_are_not() -> None:
    units, concepts = world({"fc": 20}, epochs=1)
    labels = list(units.loc[units["run"] == "b", "label"].fillna("-"))
    planted, other = class_names.accuracy(units, concepts, vectors(labels), labels)
    assert (planted["top-1 found"], planted["top-5 found"]) == (19, 19), "all but the dead unit"
    assert other["top-1 found"] < 5
    turned = labels[1:] + labels[:1]
    (shuffled, _) = class_names.accuracy(units, concepts, vectors(turned), turned)
    assert shuffled["top-1 found"] < 5
    assert planted["cosine"] == pytest.approx(1), "over the units that have a label"
    assert shuffled["cosine"] < 0.8


def test_cosine_is_the_mean_over_labelled_units_and_beside_it_that_of_any_concept() -> None:
    units, concepts = world({"layer4": 25, "fc": 20}, epochs=2)
    names = [*WORDS[:9], "Word  3", "unheard of", *WORDS[10:19]]
    found = vectors(names)
    for row in class_names.accuracy(units, concepts, found, names):
        own = units[
            (units["run"] == row["run"]) & (units["epoch"] == row["epoch"]) & (units["layer"] == "fc")
        ]
        labels = own.sort_values("unit")["label"].fillna("").tolist()
        cosines = [
            float(found.names[unit] @ found.concepts[label]) for unit, label in enumerate(labels) if label
        ]
        assert len(cosines) == 19, "the last is dead"
        assert row["cosine"] == pytest.approx(np.mean(cosines))
        chance = [float(name @ vector) for name in found.names for vector in found.concepts.values()]
        assert row["any concept's"] == pytest.approx(np.mean(chance))
    np.testing.assert_array_equal(found.names[9], found.names[3].astype(np.float64))
    assert np.linalg.norm(found.names, axis=1) == pytest.approx(np.ones(20), abs=1e-6)


def test_a_name_that_is_a_concept_needs_no_clip() -> None:
    asked: list[str] = []

    def directions(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.eye(3)[: len(texts)]

    vocabulary = pd.DataFrame({"concept": ["Dog", "cat"], "vector": list(np.eye(3, dtype=np.float32)[:2])})
    found = class_names.Vectors.of(vocabulary, ["dog ", "CAT", "lorry", "lorry"], directions)
    assert asked == ["lorry"]
    assert found.names.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]]


def test_every_class_is_shown_with_its_label_at_the_last_epoch() -> None:
    units, concepts = world({"layer4": 25, "fc": 20}, epochs=3)
    names = [f"class {number}" for number in range(20)]
    found = vectors(names)
    rows = class_names.class_labels(units, concepts, found, names)
    assert [(row["run"], row["layer"], row["epoch"], row["unit"]) for row in rows] == [
        (run, "fc", 2, unit) for run in "ba" for unit in range(20)
    ]
    for row in rows:
        own = concepts[(concepts["run"] == row["run"]) & (concepts["layer"] == "fc")]
        own = own[(own["epoch"] == 2) & (own["unit"] == row["unit"])].sort_values("rank")
        assert row["class"] == names[row["unit"]]
        if row["unit"] == 19:
            assert (row["label"], row["cosine"], row["top five"]) == (None, None, None), "a dead unit"
            continue
        assert row["label"] == own["concept"].iloc[0]
        assert row["top five"].split("; ") == own["concept"].iloc[:5].tolist()
        cosine = float(found.names[row["unit"]] @ found.concepts[row["label"]])
        assert row["cosine"] == pytest.approx(cosine)


def test_a_head_whose_units_are_all_dead_has_no_cosine() -> None:
    units, concepts = world({"fc": 4}, epochs=1)
    names = ["a", "b", "c", "d"]
    nothing = concepts.iloc[:0]
    row, _ = class_names.accuracy(units, nothing, vectors(names), names)
    assert math.isnan(row["cosine"])
    assert row["top-5 found"] == 0
    labels = class_names.class_labels(units, nothing, vectors(names), names)
    assert [row["label"] for row in labels] == [None] * 8


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("dog\nPolar  bear\ndog\n\n", ["dog", "Polar bear", "dog"]),
        ("\ufefftench, Tinca tinca\r\ncrane\r\n", ["tench, Tinca tinca", "crane"]),
    ],
)
def test_class_names_are_lines_and_may_come_twice(tmp_path: Path, content: str, names: list[str]) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(content.encode())
    assert class_names.read_names(path) == names


@pytest.mark.parametrize(
    ("content", "message"), [("a\n\nb\n", "line 2: is blank"), ("\n \n", "holds no class")]
)
def test_a_blank_line_never_shifts_the_names(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "names.txt"
    path.write_text(content)
    with pytest.raises(CmonError, match=message):
        class_names.read_names(path)


def test_names_that_are_no_concepts_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="cmon"):
        class_names.warn_of_unknown(WORDS, ["WORD 1", "word  2"])
        assert not caplog.records
        class_names.warn_of_unknown(WORDS, ["word 1", "cat", "dog", "ant", "bee", "cow", "elk"])
    (record,) = caplog.records
    assert "6 of 7 class names" in record.getMessage()
    assert "'cat', 'dog', 'ant', 'bee', 'cow' ..." in record.getMessage()


def test_a_scored_workspace_is_measured_in_one_call(
    workspace: Path, concepts_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place, names = Workspace(workspace), [*list(tiny_models.COLORS)[:4], "mauve"]
    embedder = tiny_models.embedder()

    def directions(texts: list[str]) -> np.ndarray:
        return embedders.text_features(embedder, texts).numpy()

    with pytest.raises(CmonError, match="cmon score"):
        class_names.measure(place, names, directions)
    assert scored(workspace, concepts_file).exit_code == 0
    with caplog.at_level(logging.WARNING, logger="cmon"):
        found = class_names.measure(place, names, directions)
    assert "1 of 5 class names" in caplog.text
    known = class_names.Vectors.of(place.frame("vocabulary"), names, directions)
    tables = place.frame("units"), place.frame("concepts")
    assert found.accuracy == class_names.accuracy(*tables, known, names)
    assert found.labels == class_names.class_labels(*tables, known, names)
    assert (len(found.accuracy), len(found.labels)) == (2, 5)


def test_classes_of_one_name_are_said(caplog: pytest.LogCaptureFixture) -> None:
    class_names.warn_of_repeated(["crane", "maillot", "cat", "dog"])
    assert not caplog.records
    class_names.warn_of_repeated(["crane", "maillot", "cat", "Crane ", "maillot", "crane"])
    (record,) = caplog.records
    assert (
        "of one name: 2 ('crane' is units 0 and 3 and 5; 'maillot' is units 1 and 4): " in record.getMessage()
    )


# -- by the command ------------------------------------------------------------------------------------


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def workspace(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path) -> Path:
    options = [
        "--run",
        f"standard={checkpoints_folder}",
        "--probe",
        probe_folder,
        "--layer",
        "conv2",
        "--layer",
        "fc",
    ]
    model = ["--model", "python:tests.support.tiny_models:network", "--workers", 0, "--device", "cpu"]
    result = run("extract", tmp_path / "work", *options, *model)
    assert result.exit_code == 0, result.output
    return tmp_path / "work"


def scored(workspace: Path, concepts: Path, *more: object) -> Result:
    options = [
        "--concepts",
        concepts,
        "--clip",
        "python:tests.support.tiny_models:embedder",
        "--pseudo-units",
        50,
        "--top-k",
        10,
    ]
    return run("score", workspace, *options, "--workers", 0, "--device", "cpu", *more)


def test_the_command_prints_the_table_of_class_names_also_when_all_is_fresh(
    workspace: Path, concepts_file: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join([*list(tiny_models.COLORS)[:4], "mauve"]) + "\n")
    printed = []
    for _ in range(2):
        result = scored(workspace, concepts_file, "--class-names", names, "--format", "json")
        assert result.exit_code == 0, result.output
        assert "1 of 5 class names are not among the concepts" in result.stderr
        printed.append(json.loads(result.stdout))
    assert "all is fresh" in result.stderr
    assert printed[0] == printed[1]
    assert list(printed[0]) == ["units", "class names", "class labels"]
    units, accuracy, labels = printed[0].values()
    assert [(row["layer"], row["units"]) for row in units] == [
        ("conv2", 8),
        ("conv2", 8),
        ("fc", 5),
        ("fc", 5),
    ]
    assert [(row["layer"], row["epoch"], row["nameable"]) for row in accuracy] == [("fc", 0, 4), ("fc", 1, 4)]
    assert [(row["epoch"], row["unit"], row["class"]) for row in labels] == [
        (1, unit, name) for unit, name in enumerate([*list(tiny_models.COLORS)[:4], "mauve"])
    ]
    alone = scored(workspace, concepts_file, "--format", "json")
    assert json.loads(alone.stdout) == {"units": units}
    csv = scored(workspace, concepts_file, "--class-names", names, "--format", "csv").stdout
    assert [part.count("\n") for part in csv.split("\n\n")] == [4, 2, 6]


def test_names_that_fit_no_layer_list_the_layers(
    workspace: Path, concepts_file: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("red\nblue\n")
    result = scored(workspace, concepts_file, "--class-names", names)
    assert result.exit_code == 1
    assert "no layer has as many units as there are names, 2" in result.stderr
    assert "conv2 8, fc 5" in result.stderr
    assert not (workspace / "units.parquet").exists(), "said before the work is done"
