"""The paper's figures for our runs: which units are tracked, what is counted, and which files are written."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from cmon.reporting.tracking import TrackedUnit
from scripts.cases import paper_figures
from scripts.cases.concept_bars import concept_bars
from scripts.cases.paper_figures import PAPER_UNITS, names, paper_units, tracked_text
from tests.support import case_results
from tests.support.synthetic_tables import World

AUTOMATIC = [TrackedUnit("layer4", unit, f"reason {unit}") for unit in (7, 50, 9)]


def layer(width: int, dead: dict[float, set[int]] | None = None) -> pd.DataFrame:
    """The units of one run and layer at epochs 0, 1, 2."""
    dead = dead or {}
    return pd.DataFrame(
        [
            {"run": "standard@1", "layer": "layer4", "epoch": epoch, "unit": unit,
             "status": "dead" if unit in dead.get(epoch, set()) else "ok"}
            for epoch in (0.0, 1.0, 2.0)
            for unit in range(width)
        ]
    )  # fmt: skip


def test_a_wide_layer_has_the_papers_units() -> None:
    found = paper_units(layer(512), AUTOMATIC)
    assert [(one.unit, one.reason) for one in found] == [
        (114, "the paper's 114"),
        (168, "the paper's 168"),
        (373, "the paper's 373"),
    ]


@pytest.mark.parametrize("width", [374, 373, 256, 64, 11])
def test_a_narrow_layer_has_the_number_modulo_its_width_and_says_so(width: int) -> None:
    found = paper_units(layer(width), AUTOMATIC)
    assert [one.unit for one in found] == [number % width for number in PAPER_UNITS]
    assert [f"modulo the {width} units of layer4" in one.reason for one in found] == [
        number >= width for number in PAPER_UNITS
    ]
    assert "modulo" in tracked_text(found) or width == 374


def test_a_unit_that_is_dead_at_either_end_gives_way_to_one_that_was_chosen() -> None:
    found = paper_units(layer(64, {0.0: {50}, 1.0: {40}, 2.0: {53}}), AUTOMATIC)
    assert [one.unit for one in found] == [7, 40, 9], "50 itself is among the chosen, and dead"
    assert found[0].reason == "for the paper's 114, modulo the 64 units of layer4, not live: reason 7"


def test_no_unit_is_tracked_twice_and_none_where_all_are_dead() -> None:
    assert [one.unit for one in paper_units(layer(1), AUTOMATIC)] == [0, 7, 50], "all three are 0 modulo 1"
    everything = {0.0: set(range(512))}
    assert paper_units(layer(512, everything), []) == []
    assert tracked_text([]) == "No live unit to track."


def test_bars_have_the_means_and_the_seeds_range() -> None:
    tops = {
        "standard": pd.DataFrame(
            {"concept": ["dog", "car"], "category": ["object", None], "mean": [15.0, 10.5], "low": [12, 10.5],
             "high": [17, 10.5]}
        ),
        "adversarial": pd.DataFrame(columns=["concept", "category", "mean", "low", "high"]),
    }  # fmt: skip
    figure = concept_bars(tops, "layer4")
    standard, adversarial = figure.axes
    assert [round(bar.get_width(), 1) for bar in standard.patches] == [15, 10.5]
    assert [tuple(line.get_xdata()) for line in standard.lines] == [(12, 17)]
    assert [text.get_text() for text in standard.texts] == ["15", "10.5"]
    assert [label.get_text() for label in standard.get_yticklabels()] == ["dog", "car"]
    assert adversarial.texts[0].get_text() == "no interpretable unit"
    assert figure.get_suptitle().replace("\n", " ") == "layer4: dog 15, car 10.5 in standard"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    world = World(
        runs=("standard@1", "rate-too-low@1"), layers=("layer3", "layer4"), epochs=(0.0, 1.0, 2.0), units=40,
        images=20, dead=0,
    )  # fmt: skip
    case_results.write(folder, "training", world)
    case_results.write(folder, "adversarial", replace(world, runs=("standard@1", "adversarial@1")))
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(paper_figures.main, [str(one) for one in arguments])


def words(path: Path) -> str:
    """All text of an SVG."""
    return " ".join(re.findall(r"<text[^>]*>(.*?)</text>", path.read_text(), re.S))


def test_every_figure_is_one_command(out: Path) -> None:
    expected = {"2": names("2"), "3": names("3", ["rate-too-low"]), "6": names("6")}
    for figure, stems in expected.items():
        done = run(out, "--figure", figure)
        assert done.exit_code == 0, done.output
        files = [out / "figures" / f"{stem}.{form}" for stem in stems for form in ("png", "svg")]
        assert [Path(line) for line in done.stdout.split()] == files
        for path in files[::2]:
            with Image.open(path) as picture:
                assert picture.width > 1500
    embedding = words(out / "figures" / "figure-2a.svg")
    assert "standard@1 · epoch 0" in embedding
    assert "standard@1 · epoch 2" in embedding
    assert "epoch 1" not in embedding
    for unit in (34, 8, 13):
        assert f"layer4:{unit}" in embedding
    assert "modulo the 40 units of layer4" in embedding
    both = words(out / "figures" / "figure-3-rate-too-low.svg")
    assert len(re.findall(r"d_anchor \d\.\d\d \(layer4\)", both)) == 4
    assert "rate-too-low@1 · epoch 2" in both
    shares = words(out / "figures" / "figure-2c.svg")
    assert "layer3" in shares
    assert "rate-too-low" not in shares
    assert "standard 1, adversarial 1" in words(out / "figures" / "figure-6.svg")


def test_units_can_be_asked_for(out: Path) -> None:
    done = run(out, "--figure", "3", "--unit", "5")
    assert done.exit_code == 0, done.output
    text = words(out / "figures" / "figure-3-rate-too-low.svg")
    assert "layer4:5: asked for" in text
    assert "the paper's" not in text
    wrong = run(out, "--figure", "3", "--unit", "40")
    assert wrong.exit_code == 2
    assert "layer4 has no unit 40" in wrong.stderr


def test_without_being_asked_it_draws_what_there_is(out: Path, tmp_path: Path) -> None:
    (tmp_path / "adversarial").symlink_to(out / "adversarial")
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    assert [Path(line).name for line in done.stdout.split()] == ["figure-6.png", "figure-6.svg"]
    asked = run(tmp_path, "--figure", "2")
    assert asked.exit_code == 2
    assert "training/workspace" in asked.stderr


def test_a_seed_without_runs_is_refused(out: Path) -> None:
    done = run(out, "--figure", "2", "--seed", "9")
    assert done.exit_code == 2
    assert "has no run standard@9; expected one of standard@1, rate-too-low@1" in done.stderr
