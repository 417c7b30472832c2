import numpy as np

from cmon.reporting.figures import plane, style
from cmon.reporting.figures.embedding import embedding
from cmon.reporting.tables.d_anchor import d_anchor
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.keys import sort_rows
from tests.support.synthetic_tables import World, frames


def test_tracked_path_runs_through_the_epochs_so_far():
    units, layout = frames(World(units=10, dead=0))
    table = d_anchor(units, sort_rows(layout[layout["kind"] == "unit"]), 0, 0.95)
    panels = embedding(layout, table, [TrackedUnit("layer4", 3, "")], "layer4").axes
    own = layout[(layout["run"] == "standard") & (layout["layer"] == "layer4") & (layout["unit"] == 3)]
    for panel, epoch in zip(panels[:3], (0, 3, 5), strict=True):
        paths = [
            line
            for line in panel.lines
            if line.get_linestyle() == "-" and line.get_color() == style.LIGHT.tracked[0]
        ]
        beside = paths[0].get_xydata() - own.loc[own["epoch"] <= epoch, ["x", "y"]].to_numpy()
        np.testing.assert_allclose(
            beside, beside[:1].repeat(len(beside), axis=0), atol=1e-12
        )  # no step is changed
        assert 0 < np.linalg.norm(beside[0]) <= plane.MOST_OFFSET
