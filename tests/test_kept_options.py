"""What a stage was given comes back as it was: by path, by value, after a move, and never as something else."""

from __future__ import annotations

import inspect
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cmon
from cmon import api
from cmon.concepts import Concept
from cmon.errors import CmonError
from cmon.kept_options import Call, keep_dropped, keep_options, read_calls
from cmon.workspace import schemas
from cmon.workspace.workspace import Workspace


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a workspace and all that options may name."""
    root = tmp_path / "project"
    for folder in ("work", "runs/a", "runs/b", "probe", "clip"):
        (root / folder).mkdir(parents=True)
    for file in ("concepts.csv", "classes.txt", "truth.csv", "a.csv", "net.py"):
        (root / file).write_text(file)
    return root


def extract_options(project: Path, **changes: Any) -> dict[str, Any]:
    options = defaults(api.extract) | {
        "runs": {"a": project / "runs/a", "b": project / "runs/b"},
        "probe": project / "probe",
        "model": "torchvision:resnet18",
        "layers": ("layer3", "layer4"),
    }
    return options | changes


def defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {
        one.name: one.default for one in parameters if one.default is not one.empty and one.name != "progress"
    }


def list_shards(workspace: Workspace, pairs: list[tuple[str, str]]) -> None:
    rows = [
        {
            "run": run,
            "layer": layer,
            "epoch": 0.0,
            "units": 1,
            "axes": "flat",
            "pooling": "avg",
            "origin": "x",
        }
        for run, layer in pairs
    ]
    workspace.write(workspace.table("shards"), pa.Table.from_pylist(rows, schema=schemas.SHARDS), "x")


@pytest.fixture
def workspace(project: Path) -> Workspace:
    found = Workspace(project / "work")
    list_shards(found, [(run, layer) for run in "ab" for layer in ("layer3", "layer4")])
    return found


def given_back(workspace: Workspace, stage: str) -> dict[str, Any]:
    (call,) = [call for call in read_calls(workspace) if call.stage == stage]
    return call.options


def test_what_was_given_comes_back_exactly(workspace: Workspace, project: Path) -> None:
    options = extract_options(
        project,
        model=f"python:{project / 'net.py'}:make",
        model_arguments={
            "num_classes": 10,
            "shape": (2, 3),
            "list": [1, 2.5],
            "on": True,
            "name": "x",
            "no": None,
        },
        epochs=((0.0, 3.0), 7),
        mean=(0.1, 0.2, 0.3),
        batch_size=np.int64(4),
        trust_pickle=True,
    )
    keep_options(workspace, Call("extract", options))
    back = given_back(workspace, "extract")
    assert back == {name: value for name, value in options.items() if name not in ("finished", "ray", "part")}
    assert type(back["batch_size"]) is int
    assert type(back["model_arguments"]["shape"]) is tuple
    assert type(back["model_arguments"]["list"]) is list


def test_stages_come_in_their_order_and_without_what_is_of_the_moment(
    workspace: Workspace, project: Path
) -> None:
    keep_options(workspace, Call("report", defaults(api.report) | {"metrics": {"a": str(project / "a.csv")}}))
    keep_options(workspace, Call("embed", defaults(api.embed) | {"refit": True, "progress": print}))
    keep_options(workspace, Call("score", defaults(api.score) | {"concepts": str(project / "concepts.csv")}))
    keep_options(
        workspace, Call("extract", extract_options(project, finished=[project / "x"], progress=print))
    )
    calls = read_calls(workspace)
    assert [call.stage for call in calls] == ["extract", "score", "embed", "report"]
    assert not {"progress", "finished", "refit", "workspace"} & {
        name for call in calls for name in call.options
    }
    assert calls[3].options["metrics"] == {"a": project / "a.csv"}
    assert calls[1].options["concepts"] == project / "concepts.csv"


def test_concepts_of_a_notebook_are_kept_by_value(workspace: Workspace, project: Path) -> None:
    keep_options(workspace, Call("extract", extract_options(project)))
    words = ["dog", Concept("red", "color"), "concepts.csv"]
    keep_options(
        workspace, Call("score", defaults(api.score) | {"concepts": words, "class_names": ["a", "b"]})
    )
    back = given_back(workspace, "score")
    assert back["concepts"] == words
    assert back["class_names"] == ["a", "b"]


def test_an_anchor_is_a_file_where_there_is_one_and_else_a_word(
    workspace: Workspace, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    keep_options(workspace, Call("extract", extract_options(project)))
    keep_options(
        workspace, Call("embed", defaults(api.embed) | {"anchors": ("dog", "concepts.csv", "probe")})
    )
    monkeypatch.chdir("/")
    assert given_back(workspace, "embed")["anchors"] == ("dog", project / "concepts.csv", "probe")


def test_a_moved_project_is_found_from_the_workspace(workspace: Workspace, project: Path) -> None:
    keep_options(
        workspace, Call("extract", extract_options(project, model=f"python:{project / 'net.py'}:make"))
    )
    keep_options(
        workspace,
        Call(
            "score",
            defaults(api.score)
            | {"concepts": project / "concepts.csv", "clip": f"local-dir:{project / 'clip'}"},
        ),
    )
    moved = project.rename(project.with_name("elsewhere"))
    there = Workspace(moved / "work")
    back = given_back(there, "extract")
    assert back["runs"] == {"a": moved / "runs/a", "b": moved / "runs/b"}
    assert back["model"] == f"python:{moved / 'net.py'}:make"
    assert given_back(there, "score")["clip"] == f"local-dir:{moved / 'clip'}"


def test_a_moved_workspace_finds_what_stayed(workspace: Workspace, project: Path, tmp_path: Path) -> None:
    keep_options(workspace, Call("extract", extract_options(project)))
    (tmp_path / "far/away").mkdir(parents=True)
    there = Workspace(shutil.move(project / "work", tmp_path / "far/away/work"))
    assert given_back(there, "extract")["probe"] == project / "probe"


def test_of_two_runs_in_a_copied_project_none_is_guessed(workspace: Workspace, project: Path) -> None:
    """The copy's runs may go on differently from the original's."""
    keep_options(workspace, Call("extract", extract_options(project)))
    copy = shutil.copytree(project, project.with_name("copy"))
    with pytest.raises(CmonError, match="cannot be told which path") as error:
        read_calls(Workspace(copy / "work"))
    assert "option 'runs'" in str(error.value)
    assert str(copy / "runs/a") in str(error.value)
    shutil.rmtree(project)
    assert given_back(Workspace(copy / "work"), "extract")["runs"]["a"] == copy / "runs/a"


def test_a_copied_file_of_the_same_content_is_no_question(
    workspace: Workspace, project: Path, tmp_path: Path
) -> None:
    keep_options(workspace, Call("extract", extract_options(project, runs={}, probe=project / "a.csv")))
    copy = shutil.copytree(project, project.with_name("copy"))
    assert given_back(Workspace(copy / "work"), "extract")["probe"] == copy / "a.csv"
    (copy / "a.csv").write_text("other images")
    with pytest.raises(CmonError, match="cannot be told"):
        read_calls(Workspace(copy / "work"))


@pytest.mark.parametrize(
    ("stage", "gone"), [("score", "concepts.csv"), ("report", "a.csv"), ("extract", "runs/b")]
)
def test_what_is_no_longer_there_is_an_error_that_says_which(
    workspace: Workspace, project: Path, stage: str, gone: str
) -> None:
    keep_options(workspace, Call("extract", extract_options(project)))
    keep_options(workspace, Call("score", defaults(api.score) | {"concepts": project / "concepts.csv"}))
    keep_options(workspace, Call("report", defaults(api.report) | {"metrics": {"a": project / "a.csv"}}))
    assert len(read_calls(workspace)) == 3
    (project / gone).rename(project / "hidden")
    with pytest.raises(CmonError, match="no longer there") as error:
        read_calls(workspace)
    assert f"`cmon {stage}`" in str(error.value)
    assert str(project / gone) in str(error.value)


def test_the_same_options_write_nothing(workspace: Workspace, project: Path) -> None:
    keep_options(workspace, Call("extract", extract_options(project)))
    before = os.stat(workspace.root / "requests/extract.json")
    keep_options(workspace, Call("extract", extract_options(project)))
    assert os.stat(workspace.root / "requests/extract.json") == before


def test_a_value_that_no_text_can_stand_for_is_refused_later_and_not_the_one_before(
    workspace: Workspace, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep_options(workspace, Call("extract", extract_options(project)))
    keep_options(workspace, Call("extract", extract_options(project, model_arguments={"act": object()})))
    assert "'model_arguments' holds a object, which cannot be kept" in caplog.text
    with pytest.raises(CmonError, match="cannot be run again"):
        read_calls(workspace)


# -- several extractions ---------------------------------------------------------------------------------


def runs_and_layers(workspace: Workspace) -> list[tuple[set[str], tuple[str, ...]]]:
    calls = [call.options for call in read_calls(workspace) if call.stage == "extract"]
    return [(set(options["runs"]), options["layers"]) for options in calls]


def test_an_extraction_of_another_run_stands_beside_the_first(workspace: Workspace, project: Path) -> None:
    keep_options(workspace, Call("extract", extract_options(project, runs={"a": project / "runs/a"})))
    keep_options(workspace, Call("extract", extract_options(project, runs={"b": project / "runs/b"})))
    assert runs_and_layers(workspace) == [({"a"}, ("layer3", "layer4")), ({"b"}, ("layer3", "layer4"))]


def test_an_extraction_of_the_same_layers_replaces_the_first(workspace: Workspace, project: Path) -> None:
    keep_options(workspace, Call("extract", extract_options(project, layers=("layer*",))))
    keep_options(workspace, Call("extract", extract_options(project, pooling="max")))
    assert runs_and_layers(workspace) == [({"a", "b"}, ("layer3", "layer4"))]
    assert given_back(workspace, "extract")["pooling"] == "max"


def test_layers_that_were_added_stand_beside_those_that_are_still_there(
    workspace: Workspace, project: Path
) -> None:
    keep_options(workspace, Call("extract", extract_options(project, layers=("layer3",))))
    only_a = extract_options(project, layers=("layer4",), runs={"a": project / "runs/a"})
    keep_options(workspace, Call("extract", only_a))
    assert runs_and_layers(workspace) == [({"a", "b"}, ("layer3",)), ({"a"}, ("layer4",))]


def test_what_an_extraction_took_out_of_the_workspace_is_not_run_again(
    workspace: Workspace, project: Path
) -> None:
    """As other probe images do: the runs before are no longer in the table `shards`."""
    keep_options(workspace, Call("extract", extract_options(project, runs={"b": project / "runs/b"})))
    list_shards(workspace, [("a", "layer3"), ("a", "layer4")])
    keep_options(workspace, Call("extract", extract_options(project, runs={"a": project / "runs/a"})))
    assert runs_and_layers(workspace) == [({"a"}, ("layer3", "layer4"))]


def test_a_dropped_run_is_not_brought_back(workspace: Workspace, project: Path) -> None:
    keep_options(workspace, Call("extract", extract_options(project, layers=("layer*",))))
    metrics = {"a": project / "a.csv", "b": project / "truth.csv"}
    keep_options(workspace, Call("report", defaults(api.report) | {"metrics": metrics}))
    list_shards(workspace, [("a", "layer3"), ("a", "layer4")])
    keep_dropped(workspace, layers_too=False)
    assert runs_and_layers(workspace) == [({"a"}, ("layer*",))]
    assert given_back(workspace, "report")["metrics"] == {"a": project / "a.csv"}


def test_a_dropped_layer_is_not_brought_back(workspace: Workspace, project: Path) -> None:
    keep_options(workspace, Call("extract", extract_options(project, layers=("layer*",))))
    list_shards(workspace, [("a", "layer3"), ("b", "layer3"), ("b", "layer4")])
    keep_dropped(workspace, layers_too=True)
    assert runs_and_layers(workspace) == [({"a"}, ("layer3",)), ({"b"}, ("layer3", "layer4"))]


# -- files that are not as they should be ----------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', "null"])
def test_a_damaged_file_is_an_error_by_name(workspace: Workspace, project: Path, content: str) -> None:
    keep_options(workspace, Call("extract", extract_options(project)))
    (workspace.root / "requests/score.json").write_text(content)
    with pytest.raises(CmonError, match=r"score\.json: is damaged"):
        read_calls(workspace)


def test_a_file_of_another_version_is_an_error_by_name(workspace: Workspace, project: Path) -> None:
    keep_options(workspace, Call("extract", extract_options(project)))
    path = workspace.root / "requests/extract.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    with pytest.raises(CmonError, match="another version"):
        read_calls(workspace)
    keep_options(workspace, Call("extract", extract_options(project)))
    assert read_calls(workspace)


def test_a_workspace_that_may_not_be_written_is_a_warning(
    workspace: Workspace, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (workspace.root / "requests").write_text("no folder")
    keep_options(workspace, Call("embed", defaults(api.embed)))
    assert "the options of `cmon embed` are not kept" in caplog.text


# -- through the API -------------------------------------------------------------------------------------


def test_a_stage_keeps_its_options_when_it_has_succeeded_and_not_before(
    tmp_path: Path, checkpoints_folder: Path, probe_folder: Path, concepts_file: Path
) -> None:
    work = Workspace(tmp_path / "work")
    model = "python:tests.support.tiny_models:network"
    with pytest.raises(CmonError):
        cmon.extract(work, {"a": tmp_path / "none"}, probe_folder, model=model, layers=["conv2"])
    assert not (work.root / "requests").exists()
    cmon.extract(work, {"a": checkpoints_folder}, probe_folder, model=model, layers=["conv2"], workers=0)
    clip = "python:tests.support.tiny_models:embedder"
    words = pd.Series(["red", "green"]).to_list()
    cmon.score(work, words, clip=clip, pseudo_units=200, workers=0)
    calls = {call.stage: call.options for call in read_calls(work)}
    assert list(calls) == ["extract", "score"]
    expected = defaults(api.extract) | {
        "runs": {"a": checkpoints_folder}, "probe": probe_folder, "model": model, "layers": ("conv2",), "workers": 0,
    }  # fmt: skip
    for name in ("finished", "ray", "part"):  # of one call
        del expected[name]
    assert calls["extract"] == expected
    assert (calls["score"]["concepts"], calls["score"]["clip"]) == (words, clip)
    with pytest.raises(CmonError):
        cmon.score(work, ["blue"], clip=clip, pseudo_units=200, class_names=tmp_path / "none")
    assert {call.stage: call.options for call in read_calls(work)} == calls


def test_dropping_a_layer_is_kept(tmp_path: Path, checkpoints_folder: Path, probe_folder: Path) -> None:
    work = Workspace(tmp_path / "work")
    model = "python:tests.support.tiny_models:network"
    cmon.extract(work, {"a": checkpoints_folder}, probe_folder, model=model, layers=["conv*"], workers=0)
    cmon.drop(work, layers=["conv1"])
    assert runs_and_layers(work) == [({"a"}, ("conv2",))]
