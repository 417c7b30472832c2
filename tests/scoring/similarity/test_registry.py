"""What the command line offers is what there is, and is known without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

from cmon.cli.main import main
from cmon.errors import OptionError
from cmon.scoring.similarity import clip_dissect
from cmon.scoring.similarity.base import Similarity
from cmon.scoring.similarity.registry import ENTRIES, SIMILARITIES, create

FOLDER = Path(__file__).parents[3] / "cmon" / "scoring" / "similarity"


def test_every_entry_is_a_function_of_that_name() -> None:
    assert list(SIMILARITIES) == list(ENTRIES)
    assert len(SIMILARITIES) == len(ENTRIES)
    for name, kind in SIMILARITIES.items():
        assert issubclass(kind, Similarity)
        assert kind.name == name
        assert callable(getattr(clip_dissect, name))
        assert ENTRIES[name].summary


def test_every_function_that_there_is_has_an_entry() -> None:
    named = sum(path.read_text().count("    name: ClassVar[str] = ") for path in FOLDER.glob("*.py"))
    assert len(set(SIMILARITIES.values())) == named


@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_the_default_number_of_top_images_is_the_classs(name: str) -> None:
    defaults = {field.name: field.default for field in fields(SIMILARITIES[name])}
    assert defaults.get("top_k") == ENTRIES[name].top_k
    assert create(name) == SIMILARITIES[name]()


@pytest.mark.parametrize("name", list(SIMILARITIES))
def test_a_number_of_top_images_is_taken_only_where_there_is_one(name: str) -> None:
    if ENTRIES[name].top_k:
        assert create(name, 7).top_images(100) == 7
    else:
        with pytest.raises(OptionError, match=f"{name} has no fixed number of top images"):
            create(name, 7)


def test_the_command_line_offers_the_functions_that_there_are() -> None:
    options = {one.name: one for one in main.commands["score"].params}
    assert isinstance(options["similarity"].type, click.Choice)
    assert list(options["similarity"].type.choices) == list(SIMILARITIES)
    assert options["top_k"].show_default == "100 for soft_wpmi, 28 for wpmi"


def test_names_and_summaries_need_no_torch() -> None:
    program = (
        "import sys; from cmon.scoring.similarity.registry import ENTRIES, SIMILARITIES; list(SIMILARITIES)\n"
        "assert not {'torch', 'numpy'} & set(sys.modules); SIMILARITIES['wpmi']; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=FOLDER.parents[2])
