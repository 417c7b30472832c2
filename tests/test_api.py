"""The Python API is what the commands call: the same defaults, the same tables, and nothing heavy on import."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import cmon
from cmon import api
from cmon.cli.main import main
from cmon.errors import OptionError
from tests.support import tiny_inputs
from tests.support.put_back import put_back

MODEL = "python:tests.support.tiny_models:network"
CLIP = "python:tests.support.tiny_models:embedder"
TABLES = (
    "checkpoints",
    "images",
    "shards",
    "units",
    "concepts",
    "vocabulary",
    "layout",
    "fidelity",
    "d_anchor",
)
ONLY_COMMANDS = {"strict", "dry_run", "table_format", "quiet", "help"}
"""What decides how a command prints and ends."""
ONLY_FUNCTIONS = {"progress", "finished", "say", "settle_seconds"}
"""What a command has no option for."""


def command(*arguments: object) -> None:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


@dataclass(frozen=True)
class Inputs:
    """What all tests of the module read."""

    checkpoints: Path
    probe: Path
    concepts: Path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    return Inputs(
        tiny_inputs.write_checkpoints(folder / "standard"),
        tiny_inputs.write_probe(folder / "probe"),
        tiny_inputs.write_concepts(folder / "concepts.csv"),
    )


@pytest.fixture(scope="module")
def by_commands(coarse_figures: None, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("work") / "by-commands"
    layers = ["--layer", "conv1", "--layer", "conv2"]
    command(
        "extract", place, "--run", f"standard={inputs.checkpoints}", "--model", MODEL, *layers,
        "--probe", inputs.probe, "--workers", 0,
    )  # fmt: skip
    command(
        "score", place, "--clip", CLIP, "--concepts", inputs.concepts, "--pseudo-units", 200, "--workers", 0
    )
    command("embed", place, "--anchors", "red", "--anchors", "blue", "--epoch", "0:1")
    command("report", place, "--track", "conv2:1")
    return place


def test_a_notebook_gets_the_tables_that_the_commands_give(
    by_commands: Path, tmp_path: Path, inputs: Inputs
) -> None:
    seen: list[str] = []

    def progress(items: Any, description: str, total: int) -> Any:
        seen.append(description)
        return items

    work = cmon.Workspace(str(tmp_path / "by-api"))
    runs = {"standard": str(inputs.checkpoints)}
    layers = ["conv1", "conv2"]
    extracted = cmon.extract(
        work, runs, str(inputs.probe), model=MODEL, layers=layers, workers=0, progress=progress
    )
    scored = cmon.score(work, inputs.concepts, clip=CLIP, pseudo_units=200, workers=0)
    embedded = cmon.embed(work, ["red", "blue"], epochs=[(0, 1)])
    reported = cmon.report(work, track=[("conv2", 1)])

    for name in TABLES:
        pd.testing.assert_frame_equal(work.frame(name), cmon.Workspace(by_commands).frame(name))
    assert "extracting activations" in seen
    units = work.frame("units")
    assert (extracted.made, extracted.images) == (4, 40)
    assert scored.labels.units == len(units)
    assert embedded.placed == (units["status"] == "ok").sum()
    assert reported.page == tmp_path / "by-api" / "report" / "index.html"
    one = work.activation_frame("standard", "conv2", 1)
    assert one.shape == (40, units.loc[units["layer"] == "conv2", "unit"].nunique())
    best = units[(units["layer"] == "conv2") & (units["epoch"] == 1)].iloc[0]
    assert one[best["unit"]].idxmax() == best["top_images"][0]


def test_a_second_call_finds_all_fresh_and_other_words_make_another_scoring(
    by_commands: Path, inputs: Inputs
) -> None:
    with put_back(by_commands):
        again = cmon.extract(
            by_commands,
            {"standard": inputs.checkpoints},
            inputs.probe,
            model=MODEL,
            layers=["conv1", "conv2"],
        )
        assert (again.made, again.reused) == (0, 4)
        scored = cmon.score(by_commands, ["red", "green"], clip=CLIP, pseudo_units=200, workers=0)
        assert scored.labels.made
        assert set(cmon.Workspace(by_commands).frame("units")["label"].dropna()) <= {"red", "green"}


def test_a_plan_reads_and_writes_nothing_else(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    found = cmon.plan({"standard": checkpoints_folder}, probe_folder, model=MODEL)
    assert [checkpoint.epoch for _, checkpoint in found.checkpoints] == [0, 1]
    assert {"conv1", "conv2", "fc"} <= {output.name for output in found.outputs}
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("extract", api.extract),
        ("extract", api.plan),
        ("score", api.score),
        ("embed", api.embed),
        ("report", api.report),
        ("watch", cmon.watch),
    ],
)
def test_options_have_the_names_and_defaults_of_the_commands(name: str, function: Callable[..., Any]) -> None:
    """An option of a command is a keyword of the function, and of the same default; none is left out."""
    parameters = inspect.signature(function).parameters
    keywords = {key: one.default for key, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    inputs = set(parameters) - set(keywords)
    options = {one.name: one for one in main.commands[name].params if isinstance(one, click.Option)}
    elsewhere = {"ray", "part"} if function is api.plan else set()  # a plan is made here
    assert set(keywords) - ONLY_FUNCTIONS == set(options) - ONLY_COMMANDS - inputs - elsewhere
    for key, default in keywords.items():
        if key in ONLY_FUNCTIONS or default is inspect.Parameter.empty:
            continue
        with click.Context(main.commands[name]) as context:
            of_command = options[key].get_default(context)
        unset = repr(of_command).endswith("UNSET")  # click's mark for an option that was not given
        assert default in (None, ()) if unset else default == of_command, key


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda place: cmon.extract(place, {"a": "f"}, "p", model=MODEL, layers=[]), "--layer"),
        (lambda place: cmon.extract(place, {"../a": "f"}, "p", model=MODEL, layers=["x"]), "no path"),
        (lambda place: cmon.extract(place, {"a": "f"}, "p", model=MODEL, layers=["x"], weights="EMA"), "EMA"),
        (lambda place: cmon.extract(place, {"a": "f"}, "p", model=MODEL, layers=["x"], pooling="sum"), "sum"),
        (
            lambda place: cmon.extract(place, {"a": "f"}, "p", model=MODEL, layers=["x"], precision="fp16"),
            "fp16",
        ),
        (lambda place: cmon.plan({"a": "f"}, "p", model=MODEL, pooling="sum"), "sum"),
        (lambda place: cmon.score(place, ["dog"], similarity="cos_similarity", top_k=3), "--top-k"),
        (lambda place: cmon.score(place, ["dog"], similarity="nonsense"), "nonsense"),
        (lambda place: cmon.embed(place, layout="pca", temperature=0.1), "--temperature"),
        (lambda place: cmon.embed(place, layout="nonsense"), "nonsense"),
        (lambda place: cmon.embed(place, layout="anchored", temperature=float("nan")), "finite"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_read(
    call: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        call(tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_table_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    with pytest.raises(cmon.CmonError, match="`cmon score"):
        cmon.Workspace(tmp_path).frame("units")
    with pytest.raises(cmon.CmonError, match="expected: one of checkpoints, images"):
        cmon.Workspace(tmp_path).frame("unit")
    with pytest.raises(cmon.CmonError, match="the table 'shards'"):
        cmon.Workspace(tmp_path).activation_frame("a", "b", 3)


def test_import_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import cmon; dir(cmon); print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in eval(done.stdout) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert loaded == {"cmon"}
    assert sorted(cmon.__all__) == sorted(set(cmon.__all__) & set(dir(cmon)))
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = cmon.scores  # type: ignore[attr-defined]


def test_activations_are_those_of_the_network(by_commands: Path) -> None:
    """Negative control: another epoch's activations are others."""
    work = cmon.Workspace(by_commands)
    first, last = (work.activation_frame("standard", "conv2", epoch).to_numpy() for epoch in (0, 1))
    assert first.dtype == np.float32
    assert not np.allclose(first, last)
