import itertools

import numpy as np
import pandas as pd

from cmon.reporting.figures.d_anchor import d_anchor_curves, metric_panels
from cmon.reporting.tables.d_anchor import d_anchor
from cmon.workspace.keys import sort_rows
from tests.support.synthetic_tables import World, frames

SMALL = World(units=12, images=20, epochs=(0.0, 1.0, 2.0))


def test_curves_show_the_table():
    units, layout = frames(SMALL)
    table = d_anchor(units, sort_rows(layout[layout["kind"] == "unit"]), 0, 0.95)
    panels = d_anchor_curves(table, "layer4").axes
    for panel, (kind, layer) in zip(
        panels, itertools.product(("d_anchor", "d_anchor_clip"), SMALL.layers), strict=True
    ):
        for line, run in zip(panel.lines, SMALL.runs, strict=True):
            own = table[(table["run"] == run) & (table["layer"] == layer)]
            np.testing.assert_allclose(line.get_xydata(), own[["epoch", kind]])


def test_metrics_stand_above_on_the_same_epochs():
    units, layout = frames(World(units=5, layers=("a", "b"), epochs=(0.0, 1.0, 2.0)))
    table = d_anchor(units, sort_rows(layout[layout["kind"] == "unit"]), 0, 0.95)
    logged = itertools.product(("train_loss", "val_loss", "lr"), (1.0, 2.0, 3.0))
    training = pd.DataFrame(
        [("standard", epoch, metric, 3.0 - epoch) for metric, epoch in logged],
        columns=["run", "epoch", "metric", "value"],
    )
    figure = d_anchor_curves(table, "b", training)
    loss, rate, *rest = figure.axes
    assert [loss.get_title(loc="left"), rate.get_title(loc="left")] == ["loss", "lr"]
    drawn = [line for line in loss.lines if len(line.get_xdata())]
    assert [line.get_linestyle() for line in drawn] == ["-", "--"]
    np.testing.assert_allclose(drawn[0].get_xydata(), [[1, 2], [2, 1], [3, 0]])
    assert {ax.get_xlim() for ax in (loss, rate, *rest)} == {(-0.12, 3.12)}
    assert len(rest) == 4
    assert loss.get_position().y0 > rest[0].get_position().y0


def test_metrics_of_one_quantity_share_a_panel():
    names = ["lr", "val_acc", "train_loss", "loss", "train/Loss", "grad_norm", "acc_top5"]
    found = metric_panels(pd.DataFrame({"metric": names}))
    assert found == {
        "loss": {"train_loss": "train", "loss": "", "train/Loss": "train"},
        "accuracy": {"val_acc": "val"},
        "lr": {"lr": ""},
        "grad_norm": {"grad_norm": ""},
        "acc_top5": {"acc_top5": ""},
    }
    assert list(found)[:2] == ["loss", "accuracy"]
