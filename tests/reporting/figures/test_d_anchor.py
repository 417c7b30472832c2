import itertools

import numpy as np
import pandas as pd
import pytest

from cmon.reporting.figures.d_anchor import d_anchor_curves, metric_panels
from cmon.reporting.tables.d_anchor import d_anchor
from cmon.reporting.tables.seeds import seeds
from cmon.workspace.keys import GROUP, sort_rows
from tests.support.seeded import students
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


RUNS = ("standard@1", "alone", "standard@2", "standard@3", "poor@1", "poor@2")
SEEDED = World(runs=RUNS, layers=("layer3", "layer4"), units=12, images=20, epochs=(0.0, 1.0, 2.0))


def over_seeds(world: World, keep=lambda row: True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables d_anchor and seeds."""
    units, layout = frames(world, keep)
    table = d_anchor(units, sort_rows(layout[layout["kind"] == "unit"]), 0, 0.95, resamples=50)
    measures = table.set_index(GROUP)[["d_anchor", "d_anchor_clip"]].assign(interpretable=0.5)
    return table, seeds(measures, 0.95)


def values_of(table: pd.DataFrame, run: str, layer: str, kind: str) -> np.ndarray:
    own = table[(table["run"] == run) & (table["layer"] == layer)]
    return own[["epoch", kind]].to_numpy()


def test_repeated_runs_are_thin_lines_of_one_colour_and_their_mean_a_thick_one_with_its_band():
    table, over_runs = over_seeds(SEEDED)
    figure = d_anchor_curves(table, "layer4", seeds=over_runs)
    colours = {}
    for panel, (kind, layer) in zip(
        figure.axes, itertools.product(("d_anchor", "d_anchor_clip"), SEEDED.layers), strict=True
    ):
        *thin, mean, alone, poor_1, poor_2, poor = panel.lines
        standard = [values_of(table, run, layer, kind) for run in RUNS if run.startswith("standard")]
        for line, own in zip(thin, standard, strict=True):
            np.testing.assert_allclose(line.get_xydata(), own)
        np.testing.assert_allclose(mean.get_xydata(), np.mean(standard, axis=0))
        np.testing.assert_allclose(alone.get_xydata(), values_of(table, "alone", layer, kind))
        np.testing.assert_allclose(
            poor.get_ydata(), np.mean([poor_1.get_ydata(), poor_2.get_ydata()], axis=0)
        )
        assert max(line.get_linewidth() for line in thin) < alone.get_linewidth() < mean.get_linewidth()
        assert all(line.get_alpha() < 1 for line in thin)
        assert {line.get_color() for line in thin} == {mean.get_color()}
        colours |= {"standard": mean.get_color(), "alone": alone.get_color(), "poor": poor.get_color()}
        band = panel.collections[0].get_paths()[0].vertices
        at_1 = sorted({y for x, y in band if x == 1})
        assert at_1 == pytest.approx(students([own[1, 1] for own in standard])[1:3])
        units_band = panel.collections[1].get_paths()[0].vertices
        own = table[(table["run"] == "alone") & (table["layer"] == layer) & (table["epoch"] == 1)]
        assert sorted({y for x, y in units_band if x == 1}) == pytest.approx(
            [own[f"{kind}_low"].item(), own[f"{kind}_high"].item()]
        )
    assert len(set(colours.values())) == 3
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {"standard (3 runs)", "alone", "poor (2 runs)"}


def test_where_only_some_runs_have_an_epoch_no_mean_is_drawn():
    table, over_runs = over_seeds(SEEDED, lambda row: row["run"] != "standard@2" or row["epoch"] < 2)
    panel = d_anchor_curves(table, "layer4", seeds=over_runs).axes[0]
    one, two, three, mean, *_ = panel.lines
    assert [list(line.get_xdata()) for line in (one, two, three, mean)] == [
        [0, 1, 2],
        [0, 1],
        [0, 1, 2],
        [0, 1],
    ]


def test_a_band_of_two_runs_does_not_press_the_lines_together():
    table, over_runs = over_seeds(World(runs=("a@1", "a@2"), units=6, epochs=(0.0, 1.0)))
    wide = over_runs.assign(mean_high=over_runs["mean"] + 50, mean_low=over_runs["mean"] - 50)
    for panel in d_anchor_curves(table, "layer4", seeds=wide).axes:
        highest = max(line.get_ydata().max() for line in panel.lines)
        assert panel.get_ylim()[1] <= 1.3 * max(table["d_anchor_clip"].max(), highest)


def test_the_title_says_what_recipes_do_over_their_runs():
    table, over_runs = over_seeds(
        World(runs=("standard@1", "standard@2", "standard@3"), layers=("l",), units=60)
    )
    title = (
        d_anchor_curves(table, "l", seeds=over_runs).get_suptitle().replace("\n", " ").replace("\u00a0", " ")
    )
    first, last = (values_of(over_runs[over_runs["measure"] == "d_anchor"].assign(run="all"), "all", "l", "mean")[at, 1]
                   for at in (0, -1))  # fmt: skip
    assert title == f"l: d_anchor falls from {first:.2f} to {last:.2f} in standard (3 runs)"


def test_logged_metrics_have_their_recipes_colours():
    table, over_runs = over_seeds(SEEDED)
    logged = [(run, epoch, "loss", 1.0) for run in RUNS for epoch in (0.0, 1.0)]
    training = pd.DataFrame(logged, columns=["run", "epoch", "metric", "value"])
    figure = d_anchor_curves(table, "layer4", training, seeds=over_runs)
    colours = [line.get_color() for line in figure.axes[0].lines]
    assert len(colours) == len(RUNS)
    assert len(set(colours)) == 3
    mean = figure.axes[2].lines[3]
    assert colours.count(mean.get_color()) == 3
