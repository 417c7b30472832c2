import io
import itertools

import numpy as np
import pandas as pd
import pytest
from synthetic_tables import World, rows

from cmon import distances, figures, maps, measures, style, tracking


def frames(world: World, keep=lambda row: True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables units and layout, without the units' rows that `keep` turns down."""
    tables = rows(world)
    units = pd.DataFrame([row for row in tables["units"] if keep(row)])
    layout = pd.DataFrame([row for row in tables["layout"] if row["kind"] == "anchor" or keep(row)])
    return measures.in_order(units), layout


def all_figures(units: pd.DataFrame, layout: pd.DataFrame, theme=style.LIGHT) -> list:
    places = measures.in_order(layout[layout["kind"] == "unit"])
    table = distances.d_anchor(units, places, 0, 0.95)
    tracked = tracking.chosen(units, places)
    return [
        maps.embedding(layout, table, tracked, theme),
        figures.d_anchor_curves(table, theme),
        figures.interpretable_shares(units, theme),
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
    "eight runs": (World(runs=tuple("abcdefgh"), units=5, epochs=(0.0, 1.0)), lambda row: True),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_workspaces_can_be_drawn(case):
    for figure in all_figures(*frames(*ODD[case])):
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
    embedding, curves, shares = map(svg_of, all_figures(units, layout))
    assert "all units dead" in shares
    assert ("no live unit" in curves) == (which != "a run")
    assert "no live unit" in embedding


def test_text_stays_text_in_svg_and_is_escaped():
    world = World(units=8, epochs=(0.0, 1.0), anchors=(("<script>x</script>", "object"), ("犬 $5", "object")))
    svg = svg_of(all_figures(*frames(world))[0])
    assert "&lt;script&gt;x&lt;/script&gt;" in svg
    assert "<script" not in svg
    assert "犬 $5" in svg


def test_the_same_figure_gives_the_same_file():
    assert [svg_of(one) for one in all_figures(*frames(SMALL))] == [
        svg_of(one) for one in all_figures(*frames(SMALL))
    ]


def test_matplotlib_is_left_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    all_figures(*frames(SMALL), style.DARK)
    assert dict(matplotlib.rcParams) == before


def test_curves_show_the_table():
    units, layout = frames(SMALL)
    table = distances.d_anchor(units, measures.in_order(layout[layout["kind"] == "unit"]), 0, 0.95)
    panels = figures.d_anchor_curves(table).axes
    for panel, (kind, layer) in zip(
        panels, itertools.product(("d_anchor", "d_anchor_clip"), SMALL.layers), strict=True
    ):
        for line, run in zip(panel.lines, SMALL.runs, strict=True):
            own = table[(table["run"] == run) & (table["layer"] == layer)]
            np.testing.assert_allclose(line.get_xydata(), own[["epoch", kind]])


def test_bars_stack_to_the_interpretable_share():
    units, _ = frames(World(units=40, dead=0.2))
    panel = figures.interpretable_shares(units).axes[1]  # standard, layer4
    own = units[(units["run"] == "standard") & (units["layer"] == "layer4") & (units["epoch"] == 5)]
    bars = [bar for bar in panel.patches if bar.get_x() + bar.get_width() / 2 == pytest.approx(5)]
    tops = sorted(bar.get_y() + bar.get_height() for bar in bars)
    assert tops[-1] == pytest.approx(1)  # the dead hang from the top
    assert tops[-2] == pytest.approx(own["interpretable"].mean())
    assert bars[-1].get_height() == pytest.approx((own["status"] == "dead").mean())


def test_known_categories_keep_their_colors():
    colors = style.category_colors(["texture", "weather", "mood", measures.NO_CATEGORY])
    assert colors["texture"] == style.CATEGORY_COLORS["texture"]
    assert len(set(colors.values())) == 4


def test_tracked_path_runs_through_the_epochs_so_far():
    units, layout = frames(World(units=10, dead=0))
    table = distances.d_anchor(units, measures.in_order(layout[layout["kind"] == "unit"]), 0, 0.95)
    panels = maps.embedding(layout, table, [tracking.Tracked("layer4", 3, "")]).axes
    own = layout[(layout["run"] == "standard") & (layout["layer"] == "layer4") & (layout["unit"] == 3)]
    for panel, epoch in zip(panels[:3], (0, 3, 5), strict=True):
        paths = [
            line
            for line in panel.lines
            if line.get_linestyle() == "-" and line.get_color() == style.LIGHT.tracked[0]
        ]
        np.testing.assert_allclose(paths[0].get_xydata(), own.loc[own["epoch"] <= epoch, ["x", "y"]])


def test_epochs_that_are_shown():
    assert maps.chosen_epochs([4.0, 0.0, 1.0, 2.0, 3.0]) == [0, 2, 4]
    assert maps.chosen_epochs([1.0, 0.5]) == [0.5, 1]
    assert maps.chosen_epochs([7.0]) == [7]


def test_labels_do_not_overlap_and_stay_inside():
    generator = np.random.default_rng(0)
    points = generator.uniform(0, 300, (60, 2))
    sizes = np.stack([generator.uniform(15, 45, 60), np.full(60, 8.0)], axis=1)
    corners = maps.place_labels(points, sizes, np.empty((0, 2)), (300, 300), 4)
    placed = [
        (np.array(corner), size) for corner, size in zip(corners, sizes, strict=True) if corner is not None
    ]
    assert len(placed) > 45
    for corner, size in placed:
        assert (corner >= 0).all()
        assert (corner + size <= 300).all()
    for (corner, size), (other, other_size) in itertools.combinations(placed, 2):
        assert (corner + size <= other).any() or (other + other_size <= corner).any()


def test_labels_avoid_obstacles_and_give_up_without_room():
    sizes = np.array([[20.0, 8.0]])
    right = maps.place_labels(np.array([[50.0, 50.0]]), sizes, np.empty((0, 2)), (100, 100), 4)[0]
    blocked = maps.place_labels(np.array([[50.0, 50.0]]), sizes, np.array([[60.0, 50.0]]), (100, 100), 4)[0]
    assert right == (54, 46)
    assert blocked is not None
    assert blocked[0] < 50
    assert maps.place_labels(np.array([[5.0, 5.0]]), sizes, np.empty((0, 2)), (10, 10), 4) == [None]


def test_images_without_a_picture_are_grey_squares():
    pictures = {7: np.full((20, 20, 3), 200, np.uint8)}
    cells = [[{"heading": "layer4:1", "note": "dog", "images": [7, 8], "significant": True}], []]
    figure = figures.tracked_images(cells, pictures, "title")
    mosaic = figure.axes[0].images[0].get_array()
    assert (mosaic[:20, :20] == 200).all()
    assert len(np.unique(mosaic[:20, 21:41].reshape(-1, 3), axis=0)) == 1
    assert not (mosaic[:20, 21:41] == 255).all()
