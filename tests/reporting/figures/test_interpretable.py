import pytest

from cmon.reporting.figures.interpretable import interpretable_shares
from cmon.reporting.tables.counts import category_counts, status_counts
from tests.support.synthetic_tables import World, frames


def test_bars_stack_to_the_interpretable_share():
    units, _ = frames(World(units=40, dead=0.2))
    panel = interpretable_shares(category_counts(units), status_counts(units), "layer4").axes[
        1
    ]  # standard, layer4
    own = units[(units["run"] == "standard") & (units["layer"] == "layer4") & (units["epoch"] == 5)]
    bars = [bar for bar in panel.patches if bar.get_x() + bar.get_width() / 2 == pytest.approx(5)]
    tops = sorted(bar.get_y() + bar.get_height() for bar in bars)
    assert tops[-1] == pytest.approx(1)  # the dead hang from the top
    assert tops[-2] == pytest.approx(own["interpretable"].mean())
    assert bars[-1].get_height() == pytest.approx((own["status"] == "dead").mean())


def test_runs_that_repeat_a_recipe_share_a_row_with_their_mean_shares():
    runs = ("standard@1", "alone", "standard@2", "standard@3")
    units, _ = frames(World(runs=runs, layers=("l",), units=40, epochs=(0.0, 1.0, 2.0)), lambda row: (
        row["run"] != "standard@2" or row["epoch"] != 2
    ))  # fmt: skip
    figure = interpretable_shares(category_counts(units), status_counts(units), "l")
    standard, alone = figure.axes
    assert [panel.get_ylabel() for panel in figure.axes] == ["standard\n3 runs", "alone"]
    for panel, own_runs in ((standard, ("standard@1", "standard@2", "standard@3")), (alone, ("alone",))):
        for epoch in (1.0, 2.0):
            own = units[units["run"].isin(own_runs) & (units["epoch"] == epoch)]
            shares = own.groupby("run")["interpretable"].mean()  # of the runs that have the epoch
            bars = [bar for bar in panel.patches if bar.get_x() + bar.get_width() / 2 == pytest.approx(epoch)]
            tops = sorted(bar.get_y() + bar.get_height() for bar in bars)
            assert tops[-2] == pytest.approx(shares.mean())
            dead = (own["status"] == "dead").groupby(own["run"]).mean().mean()
            assert bars[-1].get_height() == pytest.approx(dead)
    by_run = units[units["run"] != "alone"].groupby(["epoch", "run"])["interpretable"].mean()
    title = figure.get_suptitle().replace("\n", " ").replace("\u00a0", " ")
    assert title.startswith("Interpretable units of l: standard (3 runs)")
    assert f" to {by_run[2.0].mean():.0%}, alone" in title


def test_twelve_runs_of_four_recipes_have_four_rows():
    runs = tuple(f"{recipe}@{seed}" for recipe in "abcd" for seed in range(3))
    units, _ = frames(World(runs=runs, layers=("l",), units=4, epochs=(0.0, 1.0)))
    assert len(interpretable_shares(category_counts(units), status_counts(units), "l").axes) == 4
