"""A command line that is printed gives, typed again, the options that it was made from."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from cmon import api
from cmon.cli.command_lines import command_line
from cmon.cli.main import main
from cmon.concepts import Concept
from cmon.kept_options import Call


def call_of(stage: str, **given: Any) -> Call:
    parameters = inspect.signature(getattr(api, stage)).parameters.values()
    moment = ("workspace", "progress", "finished", "ray", "part")
    options = {one.name: one.default for one in parameters if one.name not in moment}
    return Call(stage, {**options, **given})


def typed(call: Call, place: Path = Path("my work")) -> str:
    return command_line(place, call, main.commands[call.stage])


def parsed(line: str) -> dict[str, Any]:
    program, stage, *arguments = shlex.split(line)
    assert program == "cmon"
    with click.Context(main) as parent:
        context = main.commands[stage].make_context(stage, arguments, parent=parent)
    return context.params


EXTRACT = {
    "runs": {"a run": Path("/data/it's here"), "b": Path("/b")},
    "probe": Path("/probe images"),
    "model": "torchvision:resnet18",
    "layers": ("layer3", "layer*"),
}


@pytest.mark.parametrize(
    "call",
    [
        call_of("extract", **EXTRACT),
        call_of(
            "extract",
            **EXTRACT,
            model_arguments={"num_classes": 10, "width": 0.5, "on": True, "no": None, "name": "x y"},
            epochs=((0.0, 8.0), (10.5, 10.5)),
            mean=(0.485, 0.456, 0.406),
            std=(0.25, 0.25, 1.0),
            trust_pickle=True,
            image_size=64,
            device="cpu",
            precision="bf16",
            batch_size=3,
            workers=0,
        ),
        call_of("score", concepts=Path("/c.csv")),
        call_of(
            "score",
            concepts=Path("/c.csv"),
            clip="local-dir:/a b",
            templates=("a photo of a {}", "{}"),
            class_names=Path("/n"),
            fdr=0.01,
            truth=Path("/t"),
            images=Path("/i"),
            seed=3,
        ),
        call_of("embed"),
        call_of(
            "embed",
            anchors=("dog", "polar bear", Path("/a.csv")),
            layout="anchored",
            epochs=((0.0, 8.0),),
            runs=("a*",),
        ),
        call_of("report"),
        call_of(
            "report", track=(("layer4", 114), ("a.b", 0)), metrics={"a": Path("/m.csv")}, max_html_mb=2.5
        ),
    ],
    ids=lambda call: call.stage,
)
def test_a_line_typed_again_gives_the_same_options(call: Call) -> None:
    back = parsed(typed(call))
    assert back["workspace"] == Path("my work")
    for name, value in call.options.items():
        found = back[name]
        if isinstance(value, dict):
            found = dict(found)
        if name == "anchors":
            found, value = tuple(found or ()), tuple(map(str, value or ()))
        empty = (None, (), {})
        assert found == value or (found in empty and value in empty), name


def test_an_option_with_its_default_is_not_printed() -> None:
    assert typed(call_of("report")) == "cmon report 'my work'"
    assert typed(call_of("score", concepts=Path("/c"))) == "cmon score 'my work' --concepts /c"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (call_of("score", concepts=["dog", "red fox"]), "cmon.score('my work', concepts=['dog', 'red fox']"),
        (call_of("score", concepts=(Concept("dog", "animal"),)), "Concept(name='dog', category='animal')"),
        (call_of("score", concepts=Path("/c"), class_names=["a", "b"]), "concepts='/c'"),
        (call_of("embed", anchors=(Concept("dog", None),)), "cmon.embed('my work', anchors=[Concept("),
        (
            call_of("extract", **EXTRACT, model_arguments={"sizes": [1, 2]}),
            "model_arguments={'sizes': [1, 2]}",
        ),
    ],
)
def test_what_was_given_by_value_is_printed_as_the_call_of_a_notebook(call: Call, said: str) -> None:
    line = typed(call)
    assert said in line
    assert eval(line.replace(f"cmon.{call.stage}(", "dict(place="), {"Concept": Concept})
