"""All figures of odd workspaces: each can be drawn, and its text can be read."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from cmon.reporting import tracking
from cmon.reporting.figures import style
from cmon.reporting.figures.d_anchor import d_anchor_curves
from cmon.reporting.figures.embedding import embedding
from cmon.reporting.figures.interpretable import interpretable_shares
from cmon.reporting.figures.movement import movement_curves, with_overlap
from cmon.reporting.figures.side_by_side import shown_rows, side_by_side
from cmon.reporting.figures.top_images import shown_rows as tracked_rows
from cmon.reporting.figures.top_images import top_images
from cmon.reporting.tables.counts import category_counts, concept_counts, status_counts
from cmon.reporting.tables.d_anchor import d_anchor
from cmon.reporting.tables.differences import concept_differences
from cmon.reporting.tables.diversity import layer_diversity
from cmon.reporting.tables.movement import layer_movement
from cmon.reporting.tables.seed_comparison import seed_comparison
from cmon.reporting.tables.seeds import run_measures, seeds
from cmon.workspace.keys import sort_rows
from tests.support.synthetic_tables import World, frames, scores_of

SMALL = World(units=12, images=20, epochs=(0.0, 1.0, 2.0))
ODD = {
    "one of everything": (World(runs=("a",), layers=("l",), epochs=(0.0,), units=5), lambda row: True),
    "one unit": (World(runs=("a",), layers=("l",), epochs=(0.0, 1.0), units=1, dead=0), lambda row: True),
    "halves of epochs": (World(units=6, epochs=(0.0, 0.5, 1.0)), lambda row: True),
    "a layer is missing in a run": (SMALL, lambda row: (row["run"], row["layer"]) != ("poor", "layer4")),
    "runs of different lengths": (SMALL, lambda row: row["run"] != "poor" or row["epoch"] == 1),
    "names that matplotlib would read": (
        World(runs=("_a", "$b$^", ""), units=5, epochs=(0.0, 1.0)),
        lambda row: True,
    ),
    "more layers and epochs than there is room for": (
        World(
            runs=("a",),
            layers=tuple(f"block.{at}" for at in range(6)),
            epochs=tuple(map(float, range(25))),
            units=3,
        ),
        lambda row: True,
    ),
    "a long name": (
        World(runs=("a run " * 40, "b"), layers=("layer " * 40,), units=5, epochs=(0.0, 1.0)),
        lambda row: True,
    ),
    "eight runs": (
        World(runs=tuple("abcdefgh"), layers=("l",), units=5, epochs=(0.0, 1.0)),
        lambda row: True,
    ),
    "seeds of two recipes beside a run, one of them shorter": (
        World(runs=("a@1", "b", "a@2", "c@1", "c@2", "c@3"), units=12, epochs=(0.0, 1.0, 2.0)),
        lambda row: row["run"] != "c@3" or row["epoch"] < 2,
    ),
    "seeds of one recipe": (
        World(runs=("a@1", "a@2"), layers=("l",), units=30, epochs=(0.0, 1.0)),
        lambda row: True,
    ),
    "one epoch of seeds": (
        World(runs=("a@1", "a@2", "b@1", "b@2"), units=8, epochs=(0.0,)),
        lambda row: True,
    ),
    "seeds without a common epoch or layer": (
        World(runs=("a@1", "a@2", "b@1", "b@2"), units=8, epochs=(0.0, 1.0)),
        lambda row: (
            (row["epoch"] == 1) == (row["run"] == "a@2") and (row["run"], row["layer"]) != ("b@1", "layer4")
        ),
    ),
    "long names of recipes": (
        World(
            runs=tuple(
                f"{name}@{seed}"
                for name in ("a recipe " * 40, "finetuned on another task", "c", "d", "e")
                for seed in (1, 2)
            ),
            layers=("layer " * 40, "l", "m"),
            units=5,
            epochs=(0.0, 1.0),
        ),
        lambda row: True,
    ),
}


def all_figures(units: pd.DataFrame, layout: pd.DataFrame, theme=style.LIGHT) -> list:
    places = sort_rows(layout[layout["kind"] == "unit"])
    table, main = d_anchor(units, places, 0, 0.95), units["layer"].unique()[-1]
    tracked, run = tracking.choose(units, places, main), units["run"].iloc[0]
    moved, varied = layer_movement(units, places), layer_diversity(units, layout, scores_of(units))
    made = {
        "d_anchor": table,
        "movement": moved,
        "diversity": varied,
        "interpretable": category_counts(units),
    }
    measures = run_measures(made)
    over_runs, compared = seeds(measures, 0.95), seed_comparison(measures, 0.95)
    return [
        embedding(layout, table, tracked, main, theme),
        d_anchor_curves(table, main, theme=theme, seeds=over_runs),
        interpretable_shares(category_counts(units), status_counts(units), main, theme),
        side_by_side(
            **shown_rows(
                units,
                concept_counts(units),
                category_counts(units),
                concept_differences(units),
                main,
                compared,
            ),
            theme=theme,
        ),
        movement_curves(with_overlap(moved, varied), main, theme, over_runs),
        top_images(run, tracked, tracked_rows(units, run, tracked), {}, theme),
    ]


def svg_of(figure) -> str:
    buffer = io.BytesIO()
    style.save(figure, buffer, "svg")
    return buffer.getvalue().decode()


def dead(units: pd.DataFrame, layout: pd.DataFrame, which) -> None:
    """Let all units that `which` marks be dead."""
    for frame in (units, layout):
        marked = which(frame) & (frame["unit"].notna())
        frame.loc[marked, "status"] = "dead"
    units.loc[units["status"] == "dead", ["label", "category", "score", "p_value"]] = None
    units.loc[units["status"] == "dead", "interpretable"] = False
    layout.loc[layout["status"] == "dead", ["x", "y", "distance", "distance_clip"]] = np.nan


def texts_of(figure: Figure) -> list[Text]:
    """All text that is seen: not the labels of ticks that lie outside their axis."""
    found = [*figure.texts, *(text for box in figure.legends for text in box.get_texts())]
    for ax in figure.axes:
        found += [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, sorted(ax.get_ylim()))):
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [
        text for text in found
        if text.get_visible() and text.get_text().strip() and (text.axes is None or text.axes.get_visible())
    ]  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_workspaces_can_be_drawn_and_all_text_can_be_read_in_a_column(case):
    for figure in all_figures(*frames(*ODD[case])):
        style.freeze_layout(figure)
        figure.draw_without_rendering()  # places of text are those of the last drawing, in its own resolution
        assert figure.get_figwidth() <= style.WIDTH
        shown = texts_of(figure)
        width, height = figure.bbox.size
        boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
        for text, (name, box) in zip(shown, boxes, strict=True):
            assert text.get_fontsize() * 3.3 / style.WIDTH >= 4.8
            assert min(box.x0, box.y0) >= -2, f"{name!r} is cut off"
            assert box.x1 <= width + 2, f"{name!r} is cut off"
            assert box.y1 <= height + 2, f"{name!r} is cut off"
        for (name, box), (other, its) in itertools.combinations(boxes, 2):
            apart = (
                box.x1 <= its.x0 + 1 or its.x1 <= box.x0 + 1 or box.y1 <= its.y0 + 2 or its.y1 <= box.y0 + 2
            )
            assert apart, f"{name!r} and {other!r} overlap in {figure.get_suptitle()!r}"
        svg_of(figure)


@pytest.mark.parametrize("which", ["a layer", "a run", "everything"])
def test_dead_parts_can_be_drawn(which):
    units, layout = frames(SMALL)
    marks = {
        "a layer": lambda frame: frame["layer"] == "layer4",
        "a run": lambda frame: frame["run"] == "standard",
        "everything": lambda frame: frame["unit"].notna(),
    }
    dead(units, layout, marks[which])
    plane, curves, shares, *_ = map(svg_of, all_figures(units, layout))
    assert "all units dead" in shares
    assert ("no live unit" in curves) == (which != "a run")
    assert "no live unit" in plane


def test_text_stays_text_in_svg_and_is_escaped():
    world = World(units=8, epochs=(0.0, 1.0), anchors=(("<script>&", "object"), ("犬 $5", "object")))
    svg = svg_of(all_figures(*frames(world))[0])
    assert "&lt;script&gt;&amp;" in svg
    assert "<script" not in svg
    assert "犬 $5" in svg


def test_the_same_figure_gives_the_same_file():
    small = World(layers=("l",), units=6, epochs=(0.0, 1.0))
    first, again = ([svg_of(one) for one in all_figures(*frames(small))] for _ in range(2))
    assert first == again


def test_matplotlib_is_left_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    all_figures(*frames(SMALL), style.DARK)
    assert dict(matplotlib.rcParams) == before
