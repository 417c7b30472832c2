import itertools

import numpy as np
import pytest

from cmon.reporting.figures.movement import ROWS, movement_curves, with_overlap
from cmon.reporting.tables.diversity import layer_diversity
from cmon.reporting.tables.movement import layer_movement
from cmon.workspace.keys import sort_rows
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
