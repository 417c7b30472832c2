import base64
import json

import numpy as np
import pandas as pd
import pytest

from cmon.reporting.page import explorer_data
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.keys import sort_rows
from cmon.workspace.status import STATUSES
from tests.support.synthetic_tables import World, rows

WORLD = World(units=10, images=30, epochs=(0.0, 0.5, 2.0), dead=0.2)
PATHS = {image: f"/probe/{'train' if image % 2 else 'test'}/{image}.png" for image in range(WORLD.images)}


def frames(tables) -> tuple[pd.DataFrame, pd.DataFrame]:
    layout = pd.DataFrame(tables["layout"])
    return sort_rows(pd.DataFrame(tables["units"])), layout


def array(column) -> np.ndarray:
    return np.frombuffer(base64.b64decode(column["data"]), dtype=np.dtype(column["type"]).newbyteorder("<"))


@pytest.fixture(scope="module")
def tables():
    made = rows(WORLD)
    # 'poor' was not saved at epoch 0.5, and has no unit 3 in layer4 at its first epoch.
    for name in ("units", "layout"):
        made[name] = [
            row
            for row in made[name]
            if (row.get("run"), row.get("epoch")) != ("poor", 0.5)
            and (row.get("run"), row.get("layer"), row.get("epoch"), row.get("unit"))
            != ("poor", "layer4", 0.0, 3)
        ]
    return made


@pytest.fixture(scope="module")
def made(tables):
    found = explorer_data.explorer_data(*frames(tables), PATHS, [TrackedUnit("layer4", 7, "asked for")])
    return json.loads(json.dumps(found, allow_nan=False))  # as the page reads it


def cells(made, tables):
    """(run, place in its matrices, row of the table `units`) of every unit at every epoch."""
    for row in tables["units"]:
        run = next(run for run in made["runs"] if run["name"] == row["run"])
        step = [made["epochs"][at] for at in run["epochs"]].index(f"{row['epoch']:g}")
        who = list(zip(array(run["layer"]), array(run["unit"]), strict=True))
        yield run, step * run["units"] + who.index((made["layers"].index(row["layer"]), row["unit"])), row


def test_epochs_of_runs_may_differ(made):
    assert made["epochs"] == ["0", "0.5", "2"]
    assert [(run["name"], run["epochs"], run["units"]) for run in made["runs"]] == [
        ("standard", [0, 1, 2], 20),
        ("poor", [0, 2], 20),
    ]


def test_every_cell_says_what_the_tables_say(made, tables):
    layout = {
        (row["run"], row["layer"], row["epoch"], row["unit"]): row
        for row in tables["layout"]
        if row["kind"] == "unit"
    }
    step = max(made["half"]) / 32767
    centre = None
    for run, cell, row in cells(made, tables):
        assert list(STATUSES)[array(run["status"])[cell]] == row["status"]
        assert array(run["interpretable"])[cell] == row["interpretable"]
        label = array(run["label"])[cell]
        assert (made["labels"]["names"][label] if label >= 0 else None) == row.get("label")
        fit = array(run["fit"])[cell]
        assert fit == (round(100 * row["fit"]) if row["status"] == "ok" else -1)
        for column in ("score", "margin", "p_value"):
            assert array(run[column])[cell] == pytest.approx(row.get(column, np.nan), rel=1e-6, nan_ok=True)
        assert made["images"]["each"] == 10, "all that the table has"
        images = array(run["images"]).reshape(-1, 10)[cell]
        shown = [made["images"]["ids"][image] for image in images if image >= 0]
        assert shown == ([int(one) for one in row["top_images"]] if row["status"] == "ok" else [])
        place = layout[row["run"], row["layer"], row["epoch"], row["unit"]]
        found = np.array([array(run["x"])[cell], array(run["y"])[cell]])
        if row["status"] != "ok":
            assert (found == explorer_data.NOWHERE).all()
            continue
        offset = np.array([place["x"], place["y"]]) - found * step
        centre = offset if centre is None else centre
        assert offset == pytest.approx(centre, abs=step)
    anchors = [row for row in tables["layout"] if row["kind"] == "anchor"]
    for name, x, y in zip(made["anchors"]["names"], made["anchors"]["x"], made["anchors"]["y"], strict=True):
        anchor = next(row for row in anchors if row["concept"] == name)
        assert (x + centre[0], y + centre[1]) == pytest.approx((anchor["x"], anchor["y"]), abs=1e-4)
        assert abs(x) <= made["half"][0]
        assert abs(y) <= made["half"][1]


@pytest.mark.parametrize(
    ("most_ids", "most_pictures", "each"),
    [
        (10**6, 10**4, 30),
        (25 * 4, 10**4, 25),
        (24 * 4, 10**4, 20),
        (10**6, 43, 25),
        (10**6, 12, 10),
        (10**6, 11, 5),
        (1, 1, 5),
    ],
)
def test_there_are_as_many_top_images_as_the_page_has_room_for(monkeypatch, most_ids, most_pictures, each):
    """Three live units show the same 20 images and 10 of their own; the fourth is dead, and shows none."""
    monkeypatch.setattr(explorer_data, "_MOST_IDS", most_ids)
    monkeypatch.setattr(explorer_data, "_MOST_PICTURES", most_pictures)
    tops = [np.r_[np.roll(np.arange(20), unit), 100 * unit + np.arange(30, 40)] for unit in range(1, 5)]
    units = pd.DataFrame({"status": ["ok", "ok", "ok", "dead"], "top_images": tops})
    assert explorer_data.top_images(units).shape == (4, each)
    live = np.unique([images[:each] for images in tops[:3]])
    assert explorer_data.image_ids(units) == live.tolist()


def test_a_unit_that_is_not_there_is_told_from_a_dead_one(made, tables):
    run = made["runs"][1]
    known = {cell for one, cell, _ in cells(made, tables) if one is run}
    (missing,) = set(range(len(run["epochs"]) * run["units"])) - known
    assert array(run["status"])[missing] == -1
    assert array(run["x"])[missing] == explorer_data.NOWHERE
    assert (array(run["unit"])[missing], array(run["layer"])[missing]) == (3, 1)


def test_labels_carry_their_category_and_the_most_frequent_come_first(made, tables):
    categories = {row["label"]: row["category"] for row in tables["units"] if row.get("label")}
    counts = pd.Series([row["label"] for row in tables["units"] if row.get("label")]).value_counts()
    names = made["labels"]["names"]
    assert (
        dict(zip(names, (made["categories"][at] for at in made["labels"]["categories"]), strict=True))
        == categories
    )
    assert [counts[name] for name in names] == sorted(counts, reverse=True)


def test_anchors_are_ranked_by_the_units_near_them_at_the_last_epoch(made, tables):
    near = pd.Series(
        [
            row["nearest_anchor"]
            for row in tables["layout"]
            if row.get("epoch") == 2.0 and row["status"] == "ok"
        ]
    )
    counts = near.value_counts()
    ranked = [counts.get(name, 0) for name in made["anchors"]["names"]]
    assert ranked == sorted(ranked, reverse=True)
    assert sum(ranked) == len(near)


def test_image_names_leave_out_the_folder_that_all_are_in(made):
    assert made["images"]["ids"] == sorted(made["images"]["ids"])
    assert made["images"]["names"] == [
        PATHS[image].removeprefix("/probe/") for image in made["images"]["ids"]
    ]


def test_whole_numbers_take_the_smallest_type():
    assert explorer_data.encode(np.array([-1, 127]))["type"] == "int8"
    assert explorer_data.encode(np.array([-129, 0]))["type"] == "int16"
    assert explorer_data.encode(np.array([32768]))["type"] == "int32"
    assert (array(explorer_data.encode(np.array([-1, 300]))) == [-1, 300]).all()


def test_places_are_rounded_to_a_step():
    assert explorer_data.quantise(np.array([-2.0, 0.0, 2.0, np.nan]), 2.0).tolist() == [
        -32767,
        0,
        32767,
        -32768,
    ]


def test_nothing_but_dead_units():
    tables = rows(World(runs=("a",), layers=("l",), epochs=(0.0,), units=4, images=12, dead=1.1))
    tables["layout"] = [row for row in tables["layout"] if row["kind"] == "unit"]
    layout = pd.DataFrame(tables["layout"]).assign(
        x=np.nan, y=np.nan, concept=None, category=None, nearest_anchor=None
    )
    units = pd.DataFrame(tables["units"]).assign(
        label=None, category=None, score=np.nan, margin=np.nan, p_value=np.nan, fit=np.nan
    )
    made = explorer_data.explorer_data(units, layout, PATHS, [])
    assert made["labels"]["names"] == made["anchors"]["names"] == made["images"]["ids"] == []
    assert (array(made["runs"][0]["x"]) == explorer_data.NOWHERE).all()
