import io
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from cmon.reporting import tracked as tracking
from cmon.reporting.categories import NO_CATEGORY
from cmon.reporting.figures import curves as figures
from cmon.reporting.figures import embedding as maps
from cmon.reporting.figures import fan, panels, side_by_side, style
from cmon.reporting.figures import movement as movement_figure
from cmon.reporting.figures import tracked as tracked_figure
from cmon.reporting.tables import counts, d_anchor, differences, movement
from cmon.workspace.keys import sort_rows
from tests.support.synthetic_tables import World, rows


def frames(world: World, keep=lambda row: True) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables units and layout, without the units' rows that `keep` turns down."""
    tables = rows(world)
    units = pd.DataFrame([row for row in tables["units"] if keep(row)])
    layout = pd.DataFrame([row for row in tables["layout"] if row["kind"] == "anchor" or keep(row)])
    return sort_rows(units), layout


def all_figures(units: pd.DataFrame, layout: pd.DataFrame, theme=style.LIGHT) -> list:
    places = sort_rows(layout[layout["kind"] == "unit"])
    table = d_anchor.d_anchor(units, places, 0, 0.95)
    tracked = tracking.chosen(units, places)
    return [
        maps.embedding(layout, table, tracked, theme),
        figures.d_anchor_curves(table, theme=theme),
        figures.interpretable_shares(counts.category_counts(units), counts.status_counts(units), theme),
        side_by_side.comparison(
            units,
            counts.concept_counts(units),
            counts.category_counts(units),
            differences.concept_differences(units),
            theme,
        ),
        movement_figure.movement_curves(movement.layer_movement(units, places), theme),
        tracked_figure.tracked_images(units, units["run"].iloc[0], tracked, {}, theme),
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
    "more layers and epochs than there is room for": (
        World(
            runs=("a",),
            layers=tuple(f"block.{at}" for at in range(9)),
            epochs=tuple(map(float, range(25))),
            units=3,
        ),
        lambda row: True,
    ),
    "a long name": (
        World(runs=("a run " * 40, "b"), layers=("layer " * 40,), units=5, epochs=(0.0, 1.0)),
        lambda row: True,
    ),
    "eight runs": (
        World(runs=tuple("abcdefgh"), layers=("l",), units=5, epochs=(0.0, 1.0)),
        lambda row: True,
    ),
}


@pytest.mark.parametrize("which", ["a layer", "a run", "everything"])
def test_dead_parts_can_be_drawn(which):
    units, layout = frames(SMALL)
    marks = {
        "a layer": lambda frame: frame["layer"] == "layer4",
        "a run": lambda frame: frame["run"] == "standard",
        "everything": lambda frame: frame["unit"].notna(),
    }
    dead(units, layout, marks[which])
    embedding, curves, shares, *_ = map(svg_of, all_figures(units, layout))
    assert "all units dead" in shares
    assert ("no live unit" in curves) == (which != "a run")
    assert "no live unit" in embedding


def test_text_stays_text_in_svg_and_is_escaped():
    world = World(units=8, epochs=(0.0, 1.0), anchors=(("<script>&", "object"), ("犬 $5", "object")))
    svg = svg_of(all_figures(*frames(world))[0])
    assert "&lt;script&gt;&amp;" in svg
    assert "<script" not in svg
    assert "犬 $5" in svg


def test_the_same_figure_gives_the_same_file():
    small = World(layers=("l",), units=6, epochs=(0.0, 1.0))
    first, again = ([svg_of(one) for one in all_figures(*frames(small))] for _ in range(2))
    assert first == again


def test_matplotlib_is_left_as_it_was():
    import matplotlib

    before = dict(matplotlib.rcParams)
    all_figures(*frames(SMALL), style.DARK)
    assert dict(matplotlib.rcParams) == before


def test_curves_show_the_table():
    units, layout = frames(SMALL)
    table = d_anchor.d_anchor(units, sort_rows(layout[layout["kind"] == "unit"]), 0, 0.95)
    panels = figures.d_anchor_curves(table).axes
    for panel, (kind, layer) in zip(
        panels, itertools.product(("d_anchor", "d_anchor_clip"), SMALL.layers), strict=True
    ):
        for line, run in zip(panel.lines, SMALL.runs, strict=True):
            own = table[(table["run"] == run) & (table["layer"] == layer)]
            np.testing.assert_allclose(line.get_xydata(), own[["epoch", kind]])


def test_bars_stack_to_the_interpretable_share():
    units, _ = frames(World(units=40, dead=0.2))
    panel = figures.interpretable_shares(counts.category_counts(units), counts.status_counts(units)).axes[
        1
    ]  # standard, layer4
    own = units[(units["run"] == "standard") & (units["layer"] == "layer4") & (units["epoch"] == 5)]
    bars = [bar for bar in panel.patches if bar.get_x() + bar.get_width() / 2 == pytest.approx(5)]
    tops = sorted(bar.get_y() + bar.get_height() for bar in bars)
    assert tops[-1] == pytest.approx(1)  # the dead hang from the top
    assert tops[-2] == pytest.approx(own["interpretable"].mean())
    assert bars[-1].get_height() == pytest.approx((own["status"] == "dead").mean())


def test_known_categories_keep_their_colors():
    colors = style.category_colors(["texture", "weather", "mood", NO_CATEGORY])
    assert colors["texture"] == style.CATEGORY_COLORS["texture"]
    assert len(set(colors.values())) == 4


def test_tracked_path_runs_through_the_epochs_so_far():
    units, layout = frames(World(units=10, dead=0))
    table = d_anchor.d_anchor(units, sort_rows(layout[layout["kind"] == "unit"]), 0, 0.95)
    panels = maps.embedding(layout, table, [tracking.Tracked("layer4", 3, "")]).axes
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
        assert 0 < np.linalg.norm(beside[0]) <= fan.REACH


def test_images_without_a_picture_are_grey_squares():
    units, _ = frames(World(runs=("a",), layers=("l",), epochs=(0.0, 1.0), units=2, dead=0))
    units["top_images"] = [np.array([7, 8])] * len(units)
    pictures = {7: np.full((20, 20, 3), 200, np.uint8)}
    figure = tracked_figure.tracked_images(units, "a", [tracking.Tracked("l", 1, "asked for")], pictures)
    mosaic = figure.axes[0].images[0].get_array()
    assert (mosaic[:20, :20] == 200).all()
    assert len(np.unique(mosaic[:20, 21:41].reshape(-1, 3), axis=0)) == 1
    assert not (mosaic[:20, 21:41] == 255).all()


def test_tracked_images_tell_label_score_and_significance():
    units, _ = frames(World(runs=("a",), layers=("l",), epochs=(0.0, 1.0, 2.0), units=1, dead=0))
    units["label"], units["score"] = ["dog", "cat", None], [12.345, 6.0, np.nan]
    units["interpretable"], units["status"] = [True, False, False], ["ok", "ok", "dead"]
    figure = tracked_figure.tracked_images(units, "a", [tracking.Tracked("l", 0, "asked for")], {})
    words = {text.get_text(): text.get_fontweight() for text in figure.texts}
    assert words["epoch 0: dog 12.3"] == "bold"
    assert words["epoch 1: cat 6.00 n.s."] == "normal"
    assert "epoch 2: dead" in words
    assert "l:0 · asked for" in words
    assert len(figure.axes) == 2  # a dead unit has no images
    assert tracked_figure.image_ids(units, ["a"], [tracking.Tracked("l", 0, "")]) == {
        int(image) for images in units["top_images"] for image in images[:8]
    }


def texts_of(figure: Figure) -> list[Text]:
    """All text that is seen: not the labels of ticks that lie outside their axis."""
    found = [*figure.texts, *(text for box in figure.legends for text in box.get_texts())]
    for ax in figure.axes:
        found += [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, sorted(ax.get_ylim()))):
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [
        text for text in found
        if text.get_visible() and text.get_text().strip() and (text.axes is None or text.axes.get_visible())
    ]  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_workspaces_can_be_drawn_and_all_text_can_be_read_in_a_column(case):
    for figure in all_figures(*frames(*ODD[case])):
        svg_of(figure)
        figure.draw_without_rendering()  # places of text are those of the last drawing, in its own resolution
        assert figure.get_figwidth() <= style.WIDTH
        shown = texts_of(figure)
        width, height = figure.bbox.size
        boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
        for text, (name, box) in zip(shown, boxes, strict=True):
            assert text.get_fontsize() * 3.3 / style.WIDTH >= 4.8
            assert min(box.x0, box.y0) >= -2, f"{name!r} is cut off"
            assert box.x1 <= width + 2, f"{name!r} is cut off"
            assert box.y1 <= height + 2, f"{name!r} is cut off"
        for (name, box), (other, its) in itertools.combinations(boxes, 2):
            apart = (
                box.x1 <= its.x0 + 1 or its.x1 <= box.x0 + 1 or box.y1 <= its.y0 + 2 or its.y1 <= box.y0 + 2
            )
            assert apart, f"{name!r} and {other!r} overlap in {figure.get_suptitle()!r}"


def test_metrics_stand_above_on_the_same_epochs():
    units, layout = frames(World(units=5, layers=("a", "b"), epochs=(0.0, 1.0, 2.0)))
    table = d_anchor.d_anchor(units, sort_rows(layout[layout["kind"] == "unit"]), 0, 0.95)
    logged = itertools.product(("train_loss", "val_loss", "lr"), (1.0, 2.0, 3.0))
    training = pd.DataFrame(
        [("standard", epoch, metric, 3.0 - epoch) for metric, epoch in logged],
        columns=["run", "epoch", "metric", "value"],
    )
    figure = figures.d_anchor_curves(table, training)
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
    found = figures.metric_panels(pd.DataFrame({"metric": names}))
    assert found == {
        "loss": {"train_loss": "train", "loss": "", "train/Loss": "train"},
        "accuracy": {"val_acc": "val"},
        "lr": {"lr": ""},
        "grad_norm": {"grad_norm": ""},
        "acc_top5": {"acc_top5": ""},
    }
    assert list(found)[:2] == ["loss", "accuracy"]


def planted(**labels: list[str]) -> pd.DataFrame:
    """Units of one layer per run at epoch 1: a label each, '-' for one that is not interpretable."""
    return pd.DataFrame(
        [
            {"run": run, "layer": "l", "epoch": 1.0, "unit": unit, "status": "ok", "label": label,
             "category": {"dog": "object", "red": "color"}.get(label), "interpretable": label != "-"}
            for run, names in labels.items()
            for unit, label in enumerate(names)
        ]
    )  # fmt: skip


def compared(units: pd.DataFrame) -> Figure:
    return side_by_side.comparison(
        units,
        counts.concept_counts(units),
        counts.category_counts(units),
        differences.concept_differences(units),
    )


def words_of(ax) -> dict[str, str]:
    return {text.get_text(): text.get_fontweight() for text in ax.texts}


def test_what_differs_beyond_chance_is_marked():
    units = planted(good=["dog"] * 30 + ["red"] * 5 + ["-"] * 5, bad=["red"] * 6 + ["-"] * 34)
    good, bad, shares = compared(units).axes
    assert words_of(good) == {"dog 30*": "bold", "red 5": "normal"}
    assert words_of(bad) == {"red 6": "normal"}
    assert words_of(shares) == {"75%*": "bold", "12%": "normal", "15%": "normal"}
    assert good.get_title(loc="left") == "good"


def test_equal_runs_differ_in_nothing_and_one_run_stands_beside_its_first_epoch():
    assert not any(
        "*" in word for ax in compared(planted(a=["dog"] * 9, b=["dog"] * 9)).axes for word in words_of(ax)
    )
    units = planted(a=["red"] * 20)
    later = units.assign(epoch=4.0, label="dog", category="object")
    first, last, _ = compared(pd.concat([units, later], ignore_index=True)).axes
    assert (first.get_title(loc="left"), list(words_of(first))) == ("epoch 1", ["red 20*"])
    assert (last.get_title(loc="left"), list(words_of(last))) == ("epoch 4", ["dog 20*"])


def test_movement_shows_the_table():
    units, layout = frames(SMALL)
    table = movement.layer_movement(units, sort_rows(layout[layout["kind"] == "unit"]))
    axes = movement_figure.movement_curves(table).axes
    for panel, (name, layer) in zip(axes, itertools.product(movement_figure.ROWS, SMALL.layers), strict=True):
        for line, run in zip(panel.lines, SMALL.runs, strict=True):
            own = table[(table["run"] == run) & (table["layer"] == layer)].dropna(subset=[name])
            np.testing.assert_allclose(line.get_xydata(), own[["epoch", name]].astype(float))


def test_layers_and_ticks_are_thinned():
    assert panels.shown_layers(list("abc")) == ["a", "b", "c"]
    assert panels.shown_layers([f"{at}" for at in range(12)]) == ["0", "4", "7", "11"]
    ax = Figure().subplots()
    for epochs, wanted in (
        (range(30), ["0", "8", "16", "24"]),
        ([3.0], ["3"]),
        ([0.5, 1.0, 1.5], ["0.5", "1", "1.5"]),
        ([0, 1, 2, 50, 100], ["0", "50", "100"]),
    ):
        panels.epoch_axis(ax, epochs, columns=4)
        assert [label.get_text() for label in ax.get_xticklabels()] == wanted


def test_runs_look_different():
    looks = [panels.look(index, style.LIGHT) for index in range(56)]
    assert len(set(looks)) == 56


def test_names_are_shortened_in_the_middle_and_titles_break_evenly():
    assert style.shortened("features.denseblock3.conv2", 12) == "featur…conv2"
    assert style.shortened(" two\nlines ", 12) == "two lines"
    figure = Figure(figsize=(3, 2))
    assert style.headline(figure, "one two three four five six seven") == 2
    assert figure.get_suptitle() == "one two three four\nfive six seven"
    assert style.headline(figure, "word " * 99) == 3
    assert figure.get_suptitle().endswith(" …")
