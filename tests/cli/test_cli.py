"""Bad input: one clear message on stderr, exit code 1, no traceback, and nothing half written."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result

from cmon.cli.main import main

REPOSITORY = Path(__file__).parents[2]
COMMANDS = ["extract", "score", "embed", "report", "watch"]
MODEL = ["--model", "python:tests.support.tiny_models:network"]
CLIP = ["--clip", "python:tests.support.tiny_models:embedder"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def refused(result: Result, *words: object) -> str:
    """One message on stderr that holds the words, exit code 1, nothing on stdout; gives the message."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a traceback: {result.exception!r}") from result.exception
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert len(re.findall("^error: ", result.stderr, re.MULTILINE)) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert str(word) in result.stderr
    return result.stderr


class Place:
    """The folders and files of a small but whole job; a test spoils one of them."""

    def __init__(self, root: Path, runs: Path, probe: Path, concepts: Path) -> None:
        self.workspace, self.runs, self.probe, self.concepts = root / "work", runs, probe, concepts

    def extract(self, *more: object, layer: str = "conv2") -> Result:
        options = ["--run", f"standard={self.runs}", "--probe", self.probe, "--layer", layer]
        return run("extract", self.workspace, *options, *MODEL, "--workers", 0, "--device", "cpu", *more)

    def score(self, *more: object) -> Result:
        options = ["--concepts", self.concepts, "--top-k", 4, "--pseudo-units", 50]
        return run("score", self.workspace, *options, *CLIP, "--workers", 0, "--device", "cpu", *more)

    def embed(self, *more: object) -> Result:
        return run("embed", self.workspace, "--device", "cpu", *more)


@pytest.fixture
def place(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path) -> Place:
    return Place(tmp_path, checkpoints_folder, probe_folder, concepts_file)


# -- the unspoilt job ----------------------------------------------------------------------------------


def test_the_job_that_the_tests_spoil_runs_whole_and_only_once(place: Place) -> None:
    for _ in range(2):
        for result, table in (
            (place.extract(), ""),
            (place.score(), "Units"),
            (place.embed(), "How far the plane keeps what CLIP's space says"),
        ):
            assert result.exit_code == 0, result.output
            assert result.stdout.partition("\n")[0].strip() == table, "stdout is for data"
    assert "nothing to do, all is fresh" in result.stderr
    written = files(place.workspace)
    assert "activations/standard/conv2/1.parquet" in written
    assert {"scores.parquet", "units/standard/conv2/1.parquet", "layout.parquet"} <= set(written)
    assert not [name for name in written if name.endswith(".part")]


def test_quiet_says_nothing_beside_the_data(place: Place) -> None:
    for result in (place.extract("--quiet"), place.score("--quiet"), place.embed("--quiet")):
        assert result.exit_code == 0
        assert not [line for line in result.stderr.splitlines() if not line.startswith("warning:")]


def test_a_dry_run_prints_the_plan_as_data_and_writes_nothing(place: Place) -> None:
    result = place.extract("--dry-run", "--format", "csv")
    assert result.exit_code == 0, result.output
    assert "standard,epoch_1.pt,torch,state_dict,1,,raw,,6 of 6,ok" in result.stdout
    assert not place.workspace.exists()


def test_a_dry_run_without_layers_shows_all_that_can_be_read(place: Place) -> None:
    command = ("extract", place.workspace, "--run", f"standard={place.runs}", "--probe", place.probe, *MODEL)
    result = run(*command, "--dry-run", "--format", "json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [(row["layer"], row["output"], row["units"]) for row in told["layers"]] == [
        ("conv1", "6x7x7", 6),
        ("conv2", "8x5x5", 8),
        ("fc", "5", 5),
    ]  # but not `unused`, which never runs
    assert [row["epoch"] for row in told["checkpoints"]] == [0, 1]
    assert "40 files in the probing set" in result.stderr
    (preprocessing,) = told["preprocessing"]
    assert preprocessing["size"] == "16x16"
    assert preprocessing["from"] == "the factory's `preprocess`"
    assert [(row["value"], row["epoch"], row["unit"]) for row in told["values"]] == [
        ("first value", 0, 0),
        ("last value", 1, 0),
    ]
    assert told["values"][0]["picture"] == str(place.probe / "00.png")
    for row in told["layers"]:
        assert row["first value"] != row["last value"]
        assert (row["batch axis"], row["unit axis"], row["runs"]) == (0, 1, "once")
    assert [row["pooled"] for row in told["layers"]] == ["7x7 positions", "5x5 positions", "as it is"]
    for form in ("csv", "table"):
        shown = run(*command, "--dry-run", "--format", form)
        assert shown.exit_code == 0, shown.output
        assert "the factory's `preprocess`" in shown.stdout
    result = run(*command)
    assert result.exit_code == 2
    assert "Missing option '--layer'. --dry-run shows the network's layers." in result.stderr


# -- folders and files that are not what they should be ------------------------------------------------


@pytest.mark.parametrize("which", ["runs", "probe"])
@pytest.mark.parametrize("spoilt", ["missing", "empty", "file"])  # locked ones: test_checkpoints, test_images
def test_a_folder_that_holds_nothing_to_read(place: Place, which: str, spoilt: str) -> None:
    folder: Path = getattr(place, which)
    shutil.rmtree(folder)
    if spoilt == "empty":
        folder.mkdir()
    elif spoilt == "file":
        folder.write_text("")
    # An empty file is no folder of checkpoints; as probe images it is a list, and an empty one.
    file = "not a folder" if which == "runs" else "holds no"
    message = {"missing": "no such folder", "empty": "holds no", "file": file}[spoilt]
    refused(place.extract(), folder, message)
    assert not place.workspace.exists() or files(place.workspace) == []


def test_one_bad_checkpoint_is_skipped_with_a_warning_and_fatal_if_strict(place: Place) -> None:
    (place.runs / "epoch_2.pt").write_bytes(b"")
    result = place.extract()
    assert result.exit_code == 0, result.output
    assert "skipped standard/epoch_2.pt" in result.stderr
    assert place.extract("--strict").exit_code == 3


def test_a_copy_of_a_checkpoint_is_a_row_and_no_reason_to_fail(place: Place) -> None:
    (place.runs / "last.pt").hardlink_to(place.runs / "epoch_1.pt")
    for _ in range(2):  # the second time without loading a network
        result = place.extract("--strict")
        assert result.exit_code == 0, result.stderr
        assert "1 checkpoint not read, since another file gives the epoch" in result.stderr
        assert "2 checkpoints and 40 images read" in result.stderr
        assert "warning" not in result.stderr
    rows = pq.read_table(place.workspace / "checkpoints.parquet").to_pylist()
    found = {row["checkpoint"]: (row["status"], row["error"]) for row in rows}
    assert found["last.pt"] == ("redundant", "the same file as epoch_1.pt")
    assert place.extract("--dry-run", "--strict").exit_code == 0


def test_epochs_that_are_not_chosen_are_rows_and_no_reason_to_fail(place: Place) -> None:
    for _ in range(2):  # the second time without loading a network
        result = place.extract("--strict", "--epoch", "1")
        assert result.exit_code == 0, result.stderr
        assert "1 checkpoint and 40 images read" in result.stderr
        assert "1 checkpoint of other epochs left out" in result.stderr
        assert "preprocessing: 16x16 pixels" in result.stderr
        assert "warning" not in result.stderr
    rows = pq.read_table(place.workspace / "checkpoints.parquet").to_pylist()
    assert [(row["checkpoint"], row["status"], row["error"]) for row in rows] == [
        ("epoch_0.pt", "left out", "epoch 0 was not chosen"),
        ("epoch_1.pt", "ok", None),
    ]
    assert files(place.workspace / "activations") == ["standard/conv2/1.parquet"]
    assert "left out" not in place.extract("--strict").stderr
    result = place.extract("--epoch", "0:0")
    assert "nothing to do" in result.stderr, "what was extracted before stays"
    assert len(files(place.workspace / "activations")) == 2
    refused(place.extract("--epoch", "7"), "--epoch 7", "some of: 0, 1")


def test_one_bad_image_is_skipped_with_a_warning_and_fatal_if_strict(place: Place) -> None:
    (place.probe / "07.png").write_bytes(b"")
    result = place.extract()
    assert result.exit_code == 0, result.output
    assert "07.png: not an image, or an empty one" in result.stderr
    assert place.extract("--strict").exit_code == 3
    assert place.score().exit_code == 0


def test_checkpoints_of_which_none_can_be_read(place: Place) -> None:
    for path in place.runs.iterdir():
        path.write_bytes(b"broken")
    refused(place.extract(), "none of the 2 checkpoints of run 'standard' can be read", "epoch_0.pt")
    assert not place.workspace.exists()


def test_images_of_which_none_can_be_read(place: Place) -> None:
    for path in place.probe.iterdir():
        path.write_bytes(b"broken")
    refused(place.extract(), "none of the 40 files can be read", "00.png")
    assert files(place.workspace) == []


def test_a_checkpoint_that_would_run_code(place: Place, tmp_path: Path) -> None:
    for path in place.runs.iterdir():
        torch.save(torch.nn.Linear(2, 2), path)
    refused(place.extract(), "would run code", "torch.nn.modules.linear.Linear")


def test_code_in_a_checkpoint_runs_only_if_it_is_trusted(place: Place) -> None:
    from tests.support import tiny_models

    torch.save({"model": tiny_models.network(), "epoch": 2}, place.runs / "epoch_2.pt")
    assert "skipped standard/epoch_2.pt" in place.extract().stderr
    result = place.extract("--trust-pickle")
    assert result.exit_code == 0, result.output
    assert "1 activation file made, 2 fresh" in result.stderr


def test_averaged_weights_where_there_are_none(place: Place) -> None:
    refused(place.extract("--weights", "ema"), "holds no EMA weights", "--weights raw")
    assert not place.workspace.exists()


def test_weights_that_fit_no_network(place: Place) -> None:
    refused(place.extract("--model-arg", "num_classes=3"), "do not fit", "fc.weight (5, 8)", "--model-arg")
    assert not place.workspace.exists()


def test_an_unknown_layer_is_answered_with_near_names(place: Place) -> None:
    refused(place.extract(layer="conv_2"), "--layer conv_2", "'conv2'")
    assert not place.workspace.exists()


def test_an_image_size_that_the_network_cannot_take(place: Place) -> None:
    torch.save(torch.nn.Sequential(torch.nn.Linear(1, 1)).state_dict(), place.runs / "epoch_9.pt")
    program = place.runs.parent / "strict_net.py"
    program.write_text(
        "from tests.support.tiny_models import Tiny\nclass Net(Tiny):\n    def forward(self, x):\n"
        "        assert x.shape[-1] == 16, 'wrong height'\n        return super().forward(x)\n"
    )
    result = place.extract("--image-size", 32, "--model", f"python:{program}:Net")
    refused(result, "(3, 32, 32)", "wrong height", "--image-size")


@pytest.mark.parametrize("workspace", ["file", "below a file"])
def test_a_workspace_that_cannot_be_made(place: Place, tmp_path: Path, workspace: str) -> None:
    (tmp_path / "file").write_text("mine")
    place.workspace = tmp_path / "file" if workspace == "file" else tmp_path / "file" / "work"
    refused(place.extract(), place.workspace)
    assert (tmp_path / "file").read_text() == "mine"


# -- concepts and CLIP ---------------------------------------------------------------------------------


def test_a_concept_list_as_people_make_them(place: Place) -> None:
    assert place.extract().exit_code == 0
    place.concepts.write_bytes(
        "\ufeffconcept,category\r\n\r\nred,color\r\nRed,\r\nblue,color\r\n\r\n".encode()
    )
    result = place.score()
    assert result.exit_code == 0, result.output
    assert "1 concepts are listed more than once" in result.stderr
    assert "2 concepts" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no concept"),
        (b"\xef\xbb\xbf\n\n", "holds no concept"),
        (b"\xe9", "is not UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_concept_list_of_nothing(place: Place, content: bytes | None, message: str) -> None:
    assert place.extract().exit_code == 0
    before = files(place.workspace)
    place.concepts.unlink()
    if content is not None:
        place.concepts.write_bytes(content)
    refused(place.score(), place.concepts, message)
    assert files(place.workspace) == before


@pytest.mark.parametrize(
    "spec",
    ["ViT-B-16:openai", "ViT-B-61:openai", "local-dir:nowhere", "python:tests.support.tiny_models:network"],
)
def test_a_clip_that_cannot_be_had(place: Place, spec: str) -> None:
    assert place.extract().exit_code == 0
    before = files(place.workspace)
    message = refused(place.score("--clip", spec), f"--clip {spec}")
    if spec == "ViT-B-16:openai":
        assert "--clip local-dir:FOLDER" in message
    assert files(place.workspace) == before


def test_anchors_that_are_none(place: Place, tmp_path: Path) -> None:
    place.concepts.write_text("red\nblue\n")
    assert place.extract().exit_code == place.score().exit_code == 0
    refused(place.embed(), "there is no anchor", "--anchors FILE")
    refused(place.embed("--anchors", tmp_path / "nothing.csv"), "nothing.csv", "No such file")
    assert not (place.workspace / "layout.parquet").exists()
    (tmp_path / "anchors.txt").write_text("red\nmist\n")
    assert place.embed("--anchors", tmp_path / "anchors.txt").exit_code == 0


def test_a_single_top_image_is_no_tie(place: Place) -> None:
    assert place.extract().exit_code == 0
    result = place.score("--top-k", 1)
    assert re.search(r"[1-9]\d* ok", result.stderr), result.stderr


# -- the order of the stages ---------------------------------------------------------------------------


def test_a_stage_before_the_one_it_needs_names_that_command(place: Place) -> None:
    refused(place.score(), "cmon extract")
    refused(place.embed(), "cmon score")
    refused(run("report", place.workspace), "cmon ")
    assert not place.workspace.exists() or files(place.workspace) == []
    assert place.extract().exit_code == 0
    refused(place.embed(), "cmon score")
    refused(run("report", place.workspace), "cmon ")


def test_a_damaged_table_says_what_to_do(place: Place) -> None:
    assert place.extract().exit_code == place.score().exit_code == 0
    (place.workspace / "vocabulary.parquet").write_bytes(b"broken")
    refused(place.embed(), "vocabulary.parquet", "run `cmon score` again")
    assert place.score().exit_code == place.embed().exit_code == 0


def test_activations_that_were_deleted_are_asked_for_again(place: Place) -> None:
    assert place.extract().exit_code == 0
    (place.workspace / "activations" / "standard" / "conv2" / "1.parquet").unlink()
    refused(place.score(), "1.parquet", "run `cmon extract` again")
    assert place.extract().exit_code == place.score().exit_code == 0


def test_ctrl_c_says_how_to_go_on_and_leaves_no_broken_file(place: Place, tmp_path: Path) -> None:
    program = tmp_path / "interrupted.py"
    program.write_text(
        "from tests.support.tiny_models import Tiny\nclass Net(Tiny):\n    calls = 0\n    def forward(self, x):\n"
        "        Net.calls += len(x)\n        if Net.calls > 70:\n            raise KeyboardInterrupt\n"
        "        return super().forward(x)\n"
    )
    result = place.extract("--model", f"python:{program}:Net", "--batch-size", 8)
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert "Traceback" not in result.stderr
    written = files(place.workspace)
    assert "activations/standard/conv2/0.parquet" in written, "what was finished is kept"
    assert not [name for name in written if name.endswith(".part")]


# -- usage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["extract"],
        ["extract", "w", "--run", "no-folder", *MODEL, "--layer", "a", "--probe", "p"],
        ["extract", "w", "--run", "../x=f", *MODEL, "--layer", "a", "--probe", "p"],
        ["extract", "w", "--run", "a=f", "--run", "a=g", *MODEL, "--layer", "a", "--probe", "p"],
        ["extract", "w", "--run", "a=f", *MODEL, "--layer", "a", "--probe", "p", "--pooling", "sum"],
        ["extract", "w", "--run", "a=f", *MODEL, "--layer", "a", "--probe", "p", "--model-arg", "3"],
        ["score", "w"],
        ["score", "w", "--concepts", "c", "--fdr", "1.5"],
        ["score", "w", "--concepts", "c", "--batch-size", "0"],
        ["score", "w", "--concepts", "c", "--template", "a photo"],
        ["score", "w", "--concepts", "c", "--template", "{} and {}"],
        ["embed", "w", "--perplexity", "1"],
        ["report", "w", "--track", "layer4"],
        ["report", "w", "--metrics", "log.csv"],
        ["report", "w", "--metrics", "a=1.csv", "--metrics", "a=2.csv"],
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_that_its_parser_takes(name: str) -> None:
    command = main.commands[name]
    text = run(name, "--help").stdout
    assert "Example:" in text
    example = re.search(rf"cmon ({name}(?:.*\\\n)*.*)", command.help or "")
    assert example is not None
    arguments = example.group(1).replace("\\\n", " ").split()[1:]
    with click.Context(main) as parent, command.make_context(name, list(arguments), parent=parent) as context:
        assert str(context.params["workspace"]) == arguments[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_and_its_default_is_shown(name: str) -> None:
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
            if not (parameter.required or parameter.is_flag or parameter.multiple):
                assert parameter.show_default, f"{name} {parameter.opts} hides its default"


def test_help_lists_the_stages_in_their_order() -> None:
    text = run("--help").stdout
    places = [text.index(f"  {name} ") for name in COMMANDS]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["extract", "--help"], ["report", "--help"]]
)
def test_help_answers_without_heavy_imports(arguments: list[str]) -> None:
    program = (
        "import sys; from cmon.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'pyarrow', 'pandas', 'numpy', 'open_clip', 'umap', 'matplotlib', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "[]"
    assert done.stdout


# -- what embed can be asked for -----------------------------------------------------------------------


def test_embed_takes_words_and_a_part_and_the_report_is_of_that_part(place: Place) -> None:
    place.extract()
    place.score()
    result = place.embed(
        "--anchors", "red", "--anchors", "quokka", "--epoch", "1:4", "--format", "csv", "--layer", "conv2"
    )
    assert result.exit_code == 0, result.output
    measures = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["measure"] for row in measures][:2] == ["trustworthiness", "continuity"]
    assert "2 anchors and" in result.stderr
    layout = pq.read_table(place.workspace / "layout.parquet").to_pandas()
    assert layout.loc[layout["kind"] == "anchor", "concept"].tolist() == ["red", "quokka"]
    assert set(layout["epoch"].dropna()) == {1.0}
    result = run("report", place.workspace, "--format", "csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [(row["run"], row["layer"], row["epoch"]) for row in rows] == [("standard", "conv2", "1")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--temperature", "0.1", "--layout", "pca"), "--temperature is of --layout anchored only"),
        (("--temperature", "nan", "--layout", "anchored"), "a finite number is needed"),
        (("--seed", "-1"), "-1 is not in the range"),
        (("--epoch", "two"), "'two' is not an epoch, or FIRST:LAST"),
        (("--epoch", "5:2"), "the first epoch comes after the last"),
    ],
)
def test_options_of_embed_that_make_no_sense_are_wrong_usage(
    place: Place, options: tuple[str, ...], message: str
) -> None:
    result = place.embed(*options)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_embed_names_what_was_not_scored(place: Place) -> None:
    place.extract()
    place.score()
    refused(place.embed("--run", "poor"), "--run poor: was not scored", "one of: standard")
    refused(place.embed("--epoch", "7"), "--epoch 7: no such epoch was scored", "some of: 0, 1")
    assert not (place.workspace / "layout.parquet").exists()


def test_an_anchor_that_was_not_scored_is_named_with_what_may_have_been_meant(place: Place) -> None:
    place.extract()
    place.score()
    result = place.embed("--anchors", "redd", "--anchors", "red")
    assert result.exit_code == 0, result.output
    assert "not among the scored concepts, placed by CLIP's vector alone: redd (red?)" in result.stderr


def test_few_images_are_warned_of(place: Place) -> None:
    place.extract()
    assert "looks at the 12 most activating of only 40 images" in " ".join(
        place.score("--top-k", 12).stderr.split()
    )
    assert "most activating" not in place.score("--top-k", 4).stderr
