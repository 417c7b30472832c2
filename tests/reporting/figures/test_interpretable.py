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
