import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cmon.reporting.figures import panels, style


def test_layers_are_thinned():
    assert panels.shown_layers(list("abc")) == ["a", "b", "c"]
    assert panels.shown_layers([f"{at}" for at in range(12)]) == ["0", "4", "7", "11"]


@pytest.mark.parametrize(
    ("epochs", "columns", "named"),
    [
        (range(9), 3, "0 1 2 3 4 5 6 7 8"),
        (range(30), 4, "0 7 14 21 29"),
        ([3.0], 1, "3"),
        ([0.5, 1.0, 1.5], 4, "0.5 1 1.5"),
        ([0, 1, 2, 50, 100], 4, "0 50 100"),
        ([0, 1, 2, 3, 97, 98, 99], 4, "0 99"),
    ],
)
def test_every_epoch_has_its_place_and_a_tick_and_the_first_and_the_last_have_names(epochs, columns, named):
    ax = Figure().subplots()
    panels.epoch_axis(ax, epochs, columns)
    assert " ".join(label.get_text() for label in ax.get_xticklabels()) == named
    assert sorted([*ax.get_xticks(), *ax.get_xticks(minor=True)]) == sorted(epochs)


@pytest.mark.parametrize(
    "epochs", [[0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 50.0, 90.0, 91.0], [0.0, 0.5, 1.0, 4.0], [7.0]]
)
def test_bars_do_not_touch_and_can_be_seen(epochs):
    widths = np.array(panels.bar_widths(epochs))
    ends = np.stack([epochs - widths / 2, epochs + widths / 2])
    assert (ends[0, 1:] > ends[1, :-1]).all()
    gaps = np.diff(epochs)
    if len(gaps):
        assert widths.min() == pytest.approx(0.86 * gaps.min())
        assert widths[gaps.argmax()] >= min(0.86 * gaps.min(), (epochs[-1] - epochs[0]) / 25)


def test_recipes_have_a_look_of_their_own_only_where_there_are_means_over_their_runs():
    runs = ["a@1", "b", "a@2"]
    assert [one.name for one in panels.shown_recipes(runs, None)] == runs
    assert [one.title for one in panels.shown_recipes(runs, pd.DataFrame())] == ["a (2 runs)", "b"]


def test_runs_look_different():
    looks = [panels.color_and_marker(index, style.LIGHT) for index in range(56)]
    assert len(set(looks)) == 56
