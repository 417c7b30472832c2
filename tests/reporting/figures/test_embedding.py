import numpy as np

from cmon.reporting.figures import plane, style
from cmon.reporting.figures.embedding import embedding
from cmon.reporting.repeats import Recipe
from cmon.reporting.tables.d_anchor import d_anchor
from cmon.reporting.tables.seeds import seeds
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.keys import sort_rows
from tests.support.seeded import measured
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


def test_the_title_says_what_recipes_do_over_their_runs():
    units, layout = frames(World(runs=("standard", "standard@1"), units=30, dead=0))
    table = d_anchor(units, sort_rows(layout[layout["kind"] == "unit"]), 0, 0.95)
    recipes = [Recipe("standard", ("standard",)), Recipe("standard", ("standard@1", "standard@2"))]
    risen = measured(
        {"standard@1": {0: 0.1, 5: 0.5}, "standard@2": {0: 0.2, 5: 0.61}, "standard": {0: 9.0, 5: 0.0}},
        layer="layer4",
    )
    figure = embedding(layout, table, [], "layer4", recipes=recipes, seeds=seeds(risen, 0.95))
    title = figure.get_suptitle().replace("\n", " ").replace("\u00a0", " ")
    assert (
        title == "Neurons of layer4 move towards the anchors in standard, away from them in standard (2 runs)"
    )
    elsewhere = seeds(risen.rename({"layer4": "fc"}, level="layer"), 0.95)
    figure = embedding(layout, table, [], "layer4", recipes=recipes, seeds=elsewhere)
    assert (
        figure.get_suptitle().replace("\n", " ") == "Neurons of layer4 move towards the anchors in standard"
    )
