import itertools

import numpy as np
import pytest

from cmon.reporting.figures.movement import ROWS, movement_curves, with_overlap
from cmon.reporting.tables.diversity import layer_diversity
from cmon.reporting.tables.movement import layer_movement
from cmon.reporting.tables.seeds import seeds
from cmon.workspace.keys import GROUP, sort_rows
from tests.support.synthetic_tables import World, frames, scores_of

SMALL = World(units=12, images=20, epochs=(0.0, 1.0, 2.0))


def test_movement_shows_the_table():
    units, layout = frames(SMALL)
    moved = layer_movement(units, sort_rows(layout[layout["kind"] == "unit"]))
    table = with_overlap(moved, layer_diversity(units, layout, scores_of(units)))
    axes = movement_curves(table, "layer4").axes
    for panel, (name, layer) in zip(axes, itertools.product(ROWS, SMALL.layers), strict=True):
        for line, run in zip(panel.lines[: len(SMALL.runs)], SMALL.runs, strict=True):
            own = table[(table["run"] == run) & (table["layer"] == layer)].dropna(subset=[name])
            np.testing.assert_allclose(line.get_xydata(), own[["epoch", name]].astype(float))
    unknown = table.assign(overlap=np.nan, overlap_chance=np.nan)
    assert len(movement_curves(unknown, "layer4").axes) == len(axes) - len(SMALL.layers)
    assert axes[-1].lines[len(SMALL.runs)].get_ydata()[0] == pytest.approx(0.05)  # by chance


def test_repeated_runs_are_drawn_with_their_mean():
    runs = ("standard@1", "alone", "standard@2", "standard@3")
    units, layout = frames(World(runs=runs, layers=("l",), units=12, epochs=(0.0, 1.0, 2.0)))
    moved = layer_movement(units, sort_rows(layout[layout["kind"] == "unit"]))
    table = with_overlap(moved, layer_diversity(units, layout, scores_of(units)))
    measures = table.set_index(GROUP)[list(ROWS)].astype(float).assign(interpretable=0.5)
    figure = movement_curves(table, "l", seeds=seeds(measures, 0.95))
    for panel, name in zip(figure.axes, ROWS, strict=True):
        *thin, mean, alone = panel.lines[:5]
        values = [table[table["run"] == run].dropna(subset=[name])[["epoch", name]] for run in runs]
        for line, own in zip(thin, [values[0], *values[2:]], strict=True):
            np.testing.assert_allclose(line.get_xydata(), own.astype(float))
        np.testing.assert_allclose(mean.get_ydata(), np.mean([values[at][name] for at in (0, 2, 3)], axis=0))
        np.testing.assert_allclose(alone.get_xydata(), values[1].astype(float))
        assert len({line.get_color() for line in (*thin, mean)}) == 1
    last = table[(table["epoch"] == 2) & (table["run"] != "alone")]
    alone_last = table[(table["epoch"] == 2) & (table["run"] == "alone")].iloc[0]
    title = figure.get_suptitle().replace("\n", " ").replace("\u00a0", " ")
    labels = f"{last['labels'].mean():.1f}".removesuffix(".0")
    assert title == (
        f"l at the last epoch: a step of {last['step'].mean():.2f} and {labels} distinct labels in standard (3 runs), "
        f"{alone_last['step']:.2f} and {alone_last['labels']} in alone"
    )
