"""The page in a real Chromium, used as a person would. Screenshots are left in build/screenshots."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from cmon.reporting.figures import plane
from cmon.reporting.stage import ReportSettings, report
from cmon.workspace import schemas
from cmon.workspace.workspace import Workspace
from tests.support.synthetic_tables import World, rows, write

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")

SCREENSHOTS = Path(__file__).parents[3] / "build" / "screenshots"
WORLD = World(units=40, images=60, top=25, epochs=(0.0, 1.0, 2.0, 3.0))
HOSTILE = "</script><img src=x onerror=alert(1)>"
EVERY_FRAME = """() => {
  window.seen = [];
  const look = () => {
    seen.push(Bokeh.documents[0].get_model_by_name("units-0").data.x[0]);
    if (seen.length < 60) requestAnimationFrame(look);
  };
  look();
}"""
NEAREST = """([tracked, pixel]) => nearest(
  { x: { start: -1, end: 1 }, y: { start: -1, end: 1 } },
  { anchors: { x: [0.5], y: [0] } },
  { units: [10, 11, 12, 13], x: [0, 0.01, 0.015, 0.49], y: [0, 0, 0, 0] },
  unit => unit === tracked,
  pixel,
  [200, 200],
  12,
)"""
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 812}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def workspace(coarse_figures, tmp_path_factory) -> Workspace:
    """Two runs; 'poor' was not saved at epoch 2."""
    tables = rows(WORLD)
    for name in ("units", "concepts", "layout", "shards", "checkpoints"):
        tables[name] = [row for row in tables[name] if (row.get("run"), row.get("epoch")) != ("poor", 2.0)]
    made = write(tmp_path_factory.mktemp("page"), WORLD, tables)
    report(made, ReportSettings(track=(("layer4", 7),)))
    return made


@pytest.fixture(scope="module")
def units(workspace) -> pd.DataFrame:
    return workspace.read("units").to_pandas()


class Visit:
    """A page in a window of its own, with all that it complained of and asked for."""

    def __init__(self, browser, path: Path, **window) -> None:
        self.context = browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **window})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked_for: list[str] = []
        self.page.on("console", lambda said: self._keep(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked_for.append(request.url))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        self.page.goto(path.as_uri())
        if window.get("java_script_enabled", True):
            self.page.locator("#explore[data-ready]").wait_for()

    def _keep(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def text(self, selector: str) -> str:
        return " ".join(self.page.locator(selector).inner_text().split())

    def drawn(self, source: str) -> dict[str, list]:
        """The columns of one of the panels' sources."""
        return self.page.evaluate(
            "name => Object.fromEntries(Object.entries(Bokeh.documents[0].get_model_by_name(name).data)"
            ".map(([column, values]) => [column, Array.from(values)]))",
            source,
        )

    def point(self, run: int, x: float, y: float) -> tuple[float, float]:
        """Where a place in the plane is in the window."""
        self.page.locator(f"#plot-{run}").scroll_into_view_if_needed()
        box = self.page.locator(f"#plot-{run} >> visible=true").bounding_box()
        span = self.page.evaluate("['x', 'y'].map(axis => Bokeh.documents[0].get_model_by_name(axis).end)")
        return (
            box["x"] + box["width"] * (x + span[0]) / (2 * span[0]),
            box["y"] + box["height"] * (span[1] - y) / (2 * span[1]),
        )

    def lonely(self, run: int) -> tuple[int, float, float]:
        """A drawn unit far from every other point, and where it is in the plane."""
        dots, stars = self.drawn(f"units-{run}"), self.drawn(f"anchors-{run}")
        points = list(zip(dots["x"] + stars["x"], dots["y"] + stars["y"], strict=True))

        def room(at: int) -> float:
            return min(
                abs(complex(*points[at]) - complex(*point))
                for other, point in enumerate(points)
                if other != at
            )

        best = max(range(len(dots["x"])), key=room)
        return best, *points[best]

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what must come within seconds."""
        for _ in range(100):
            if holds():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("it did not come")

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("document.getElementById('explore').scrollIntoView()")
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture
def visit(browser, workspace) -> Iterator[Visit]:
    yield from _visits(browser, workspace)


def _visits(browser, workspace: Workspace, **window) -> Iterator[Visit]:
    path = workspace.report / "index.html"
    made = Visit(browser, path, **window)
    yield made
    made.context.close()
    assert made.complaints == []
    assert made.asked_for[0] == path.as_uri()
    beside = tuple((path.parent / name).as_uri() for name in ("thumbnails", "newest.css"))
    assert all(url.startswith(("data:", *beside)) for url in made.asked_for[1:])


def of(units: pd.DataFrame, run: str, epoch: float) -> pd.DataFrame:
    return units[(units["run"] == run) & (units["epoch"] == epoch)]


def test_the_page_begins_at_the_last_epoch(visit, units):
    assert visit.text("#epoch-name") == "epoch 3"
    live = [(of(units, run, 3.0)["status"] == "ok").sum() for run in WORLD.runs]
    assert [len(visit.drawn(f"units-{run}")["x"]) for run in (0, 1)] == live
    assert visit.drawn("names-0")["text"] == ["layer4:7"]
    visit.screenshot("desktop-light")


def test_the_slider_moves_the_units_and_says_where_a_run_has_no_such_epoch(visit, workspace):
    visit.page.locator("#epoch").focus()
    visit.page.keyboard.press("ArrowLeft")
    assert visit.text("#epoch-name") == "epoch 2"
    assert visit.page.locator("#epoch").get_attribute("aria-valuetext") == "epoch 2"
    assert visit.text("[data-epoch-of='0']") == "epoch 2"
    assert visit.text("[data-epoch-of='1']") == "epoch 1 (has no epoch 2)"
    layout = workspace.read("layout").to_pandas()
    for run, epoch in ((0, 2.0), (1, 1.0)):
        rows = layout[
            (layout["run"] == WORLD.runs[run]) & (layout["epoch"] == epoch) & (layout["status"] == "ok")
        ]
        found = visit.drawn(f"units-{run}")
        anchors = layout[layout["kind"] == "anchor"].set_index("concept")
        names = visit.page.evaluate(
            "readWorld(document.getElementById('explorer-data').textContent).anchors.names"
        )
        middle = anchors.loc[names[0], ["x", "y"]] - [visit.drawn("anchors-0")[axis][0] for axis in "xy"]
        layer, unit = rows["layer"].to_numpy(dtype=str), rows["unit"].to_numpy(dtype=int)
        beside = plane.offsets(layer, unit, plane.most_offset(anchors[["x", "y"]].to_numpy()))
        for at, axis in enumerate("xy"):
            wanted = sorted(rows[axis] - middle[axis] + beside[:, at])
            assert sorted(found[axis]) == pytest.approx(wanted, abs=2e-4)


def test_play_runs_through_all_epochs_and_stops(visit):
    visit.page.locator("#play").click()
    seen = [visit.text("#epoch-name")]
    while visit.text("#play") == "❚❚ Pause" and len(seen) < 200:
        visit.page.wait_for_timeout(50)
        seen.append(visit.text("#epoch-name"))
    assert list(dict.fromkeys(seen)) == ["epoch 0", "epoch 1", "epoch 2", "epoch 3"]
    assert visit.text("#play") == "▶ Play"
    assert visit.page.locator("#summary").get_attribute("aria-live") == "polite"


def test_units_glide_unless_that_is_unwanted(browser, workspace):
    for motion, between in (("no-preference", True), ("reduce", False)):
        for visit in _visits(browser, workspace, reduced_motion=motion):
            before = visit.drawn("units-0")["x"]
            visit.page.evaluate(EVERY_FRAME)
            visit.page.locator("#epoch").focus()
            visit.page.keyboard.press("Home")
            visit.page.wait_for_timeout(900)
            now, seen = visit.drawn("units-0")["x"], visit.page.evaluate("seen")
            assert before[0] != now[0]
            assert (len(set(seen) - {before[0], now[0]}) > 0) == between


def test_a_unit_is_found_by_its_name(visit):
    visit.page.locator("#find").fill("layer3:5")
    assert visit.text("#summary").count(", 1 found") == 2
    assert len(visit.drawn("found-0")["x"]) == len(visit.drawn("found-1")["x"]) == 1
    listed = visit.page.locator("#found button").all_inner_texts()
    assert {tuple(one.split(" · ")[:2]) for one in listed} == {("standard", "layer3:5"), ("poor", "layer3:5")}


def test_a_concept_is_found_in_every_run(visit, units):
    label = of(units, "standard", 3.0)["label"].value_counts().index[0]
    visit.page.locator("#find").fill(label.upper())
    counts = [(of(units, run, 3.0)["label"] == label).sum() for run in WORLD.runs]
    summary = visit.text("#summary")
    for run, count in zip(WORLD.runs, counts, strict=True):
        assert re.search(rf"{run}: [^.]*, {count} found", summary)
    assert [len(visit.drawn(f"found-{run}")["x"]) for run in (0, 1)] == counts
    assert visit.page.locator("#found button").count() == sum(counts)


def test_filters_leave_what_was_asked_for(visit, units):
    last = of(units, "standard", 3.0)
    live = last[last["status"] == "ok"]

    def drawn() -> int:
        return len(visit.drawn("units-0")["x"])

    visit.page.locator("#only-layer").select_option(label="layer4")
    assert drawn() == (live["layer"] == "layer4").sum()
    visit.page.locator("#only-status").select_option("interpretable")
    chosen = live[(live["layer"] == "layer4") & live["interpretable"]]
    assert drawn() == len(chosen) > 0
    visit.page.locator("#only-category").select_option(label="object")
    assert drawn() == (chosen["category"] == "object").sum()
    visit.page.locator("#filters [type=reset]").click()
    assert drawn() == len(live)
    visit.page.locator("#only-status").select_option("dead")
    dead = (last["status"] == "dead").sum()
    assert drawn() == 0
    assert f"standard: 0 units, {dead} more without a place" in visit.text("#summary")
    assert (
        visit.page.locator("#found button").count()
        == dead + (of(units, "poor", 3.0)["status"] == "dead").sum()
    )


def test_colours_by_category_are_in_the_legend(visit):
    visit.page.locator("#color-by").select_option("category")
    legend = visit.page.locator("#legend li").all_inner_texts()
    assert legend[0].startswith("★")
    assert [words.strip() for words in legend[1:]] == [
        "object", "part", "scene", "material", "texture", "color", "no category", "not interpretable",
    ]  # fmt: skip
    assert len(set(visit.drawn("units-0")["color"])) > 2


def test_pointing_at_a_unit_tells_what_it_detects_and_a_click_tracks_it(visit, units):
    _, x, y = visit.lonely(0)
    place = visit.point(0, x, y)
    visit.page.mouse.move(place[0] - 60, place[1] - 60)
    visit.page.mouse.move(*place)
    visit.page.locator("#card").wait_for()
    name, run, epoch = visit.text("#card p >> nth=0").split(" · ")
    layer, unit = name.split(":")
    own = units[(units["run"] == run) & (units["layer"] == layer) & (units["unit"] == int(unit))]
    row = own[own["epoch"] == 3.0].iloc[0]
    assert (run, epoch) == ("standard", "epoch 3")
    assert visit.text("#card .name") == f"{row['label']} {row['category']}"
    numbers = visit.text("#card .numbers")
    assert f"score {row['score']:.3f}" in numbers
    assert f"margin {row['margin']:.3f}" in numbers
    assert f"fit {row['fit']:.0%}" in numbers
    assert ("not significant" not in numbers) == row["interpretable"]
    assert visit.page.locator("#card .t").count() == 5
    assert [one.get_attribute("aria-label") for one in visit.page.locator("#card .t").all()] == [
        f"{image:05}.png" for image in row["top_images"][:5]
    ]
    visit.page.mouse.click(*place)
    card = visit.page.locator("#followed article").last
    assert card.locator("h4").inner_text() == name
    assert set(visit.drawn("names-0")["text"]) == {"layer4:7", name}
    assert (
        len(visit.drawn("paths-0")["xs"][1]) == (own["status"] == "ok").sum() + 1
    )  # where it is counts twice
    cells = card.locator(".film >> nth=0").locator("li")
    for cell, (_, moment) in zip(cells.all(), own.iterrows(), strict=True):
        label = moment["label"] if moment["status"] == "ok" else moment["status"]
        assert f"epoch {moment['epoch']:g}" in cell.inner_text()
        assert label in cell.inner_text()
        assert cell.locator(".t").count() == (3 if moment["status"] == "ok" else 0)
        assert moment["status"] != "ok" or f"{moment['fit']:.0%} fit" in cell.inner_text()
    visit.screenshot("desktop-tracked")
    card.get_by_role("button", name=f"Remove {name}").click()
    assert visit.drawn("names-0")["text"] == ["layer4:7"]
    assert visit.page.locator("#followed article").count() == 1


def test_the_top_images_of_a_tracked_unit_are_leafed_through_and_follow_the_epoch(visit, units):
    leaf = visit.page.locator("#followed .leaf").first
    own = units[(units["run"] == "standard") & (units["layer"] == "layer4") & (units["unit"] == 7)]

    def shown() -> list[str]:
        return [one.get_attribute("aria-label") for one in leaf.locator(".t").all()]

    def expected(epoch: float) -> list[str]:
        return [f"{image:05}.png" for image in own[own["epoch"] == epoch].iloc[0]["top_images"]]

    row = own[own["epoch"] == 3.0].iloc[0]
    assert leaf.locator("summary").inner_text() == (
        f"Its top images at epoch 3: {row['fit']:.0%} fit “{row['label']}”"
    )
    leaf.locator("summary").click()
    before, after = leaf.get_by_role("button").all()
    assert (shown(), before.is_disabled()) == (expected(3.0)[:20], True)
    after.click()
    assert shown() == expected(3.0)[20:]
    assert "21 to 25 of 25" in leaf.inner_text()
    assert after.is_disabled()
    visit.screenshot("desktop-leafing")
    visit.page.locator("#epoch").focus()
    for _ in range(2):
        visit.page.keyboard.press("ArrowLeft")
    assert (shown(), before.is_disabled()) == (expected(1.0)[:20], True)


def test_of_points_in_one_place_the_tracked_unit_is_met_and_the_others_are_counted(visit):
    for tracked, pixel, expected in (
        (11, [100, 100], {"unit": 11, "place": [0.01, 0], "crowd": 2}),
        (None, [100, 100], {"unit": 10, "place": [0, 0], "crowd": 2}),
        (None, [150, 100], {"anchor": 0, "place": [0.5, 0]}),  # a star counts where it is met well
        (None, [147, 100], {"unit": 13, "place": [0.49, 0], "crowd": 0}),
        (None, [100, 150], None),
    ):
        assert visit.page.evaluate(NEAREST, [tracked, pixel]) == expected


def test_a_drag_tracks_nothing_and_moves_the_plane_only_when_zoomed(visit):
    _, x, y = visit.lonely(0)
    left, top = visit.point(0, x, y)

    def start() -> float:
        return visit.page.evaluate("Bokeh.documents[0].get_model_by_name('x').start")

    def drag() -> None:
        visit.page.mouse.move(left, top)
        visit.page.mouse.down()
        visit.page.mouse.move(left + 40, top + 30, steps=4)
        visit.page.mouse.up()

    home, labels = start(), visit.drawn("labels-0")["text"]
    drag()
    visit.page.wait_for_timeout(200)
    assert start() == home
    visit.page.locator("#zoom-in").click()
    zoomed = start()
    assert zoomed > home
    visit.until(lambda: visit.page.evaluate("Bokeh.documents[0].get_model_by_name('pan-0').active"))
    visit.until(lambda: visit.drawn("labels-0")["text"] != labels)
    drag()
    visit.until(lambda: start() < zoomed)
    visit.page.locator("#zoom-home").click()
    assert start() == home
    assert visit.page.locator("#followed article").count() == 1


def test_everything_can_be_done_with_the_keyboard(visit):
    visit.page.locator("#find").fill("layer4:1")
    visit.page.locator("#find").focus()
    for _ in range(12):
        visit.page.keyboard.press("Tab")
        if visit.page.evaluate("document.activeElement.closest('#found') !== null"):
            break
    assert "layer4:1" in visit.text("#card p >> nth=0")  # what has the focus shows its card
    assert visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    visit.page.keyboard.press("Enter")
    assert visit.text("#announcement") == "layer4:1 is tracked."
    assert visit.page.locator("#followed article").count() == 2
    visit.page.keyboard.press("Escape")
    assert visit.page.locator("#card").is_hidden()
    remove = visit.page.get_by_role("button", name="Remove layer4:1")
    remove.focus()
    visit.page.keyboard.press("Enter")
    assert visit.page.locator("#followed article").count() == 1
    assert visit.page.evaluate("document.activeElement.id") == "followed-title"


def test_a_tap_on_a_phone_shows_the_card_with_a_button_to_track(browser, workspace):
    for visit in _visits(browser, workspace, viewport=PHONE, has_touch=True, is_mobile=True):
        assert visit.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        _, x, y = visit.lonely(0)
        visit.page.touchscreen.tap(*visit.point(0, x, y))
        visit.page.locator("#card").wait_for()
        name = visit.text("#card p >> nth=0").split(" · ")[0]
        visit.screenshot("phone-light")
        visit.page.get_by_role("button", name="Track this unit").tap()
        assert visit.page.locator("#card").is_hidden()
        assert visit.page.locator("#followed h4").last.inner_text() == name
        small = visit.page.evaluate(
            "[...document.querySelectorAll('#explore button, #explore select, #explore input')]"
            ".filter(one => one.checkVisibility() && one.getBoundingClientRect().height < 32).map(one => one.id)"
        )
        assert small == []


def test_the_page_is_dark_where_people_want_it_dark(browser, workspace):
    for size, name in ((DESKTOP, "desktop-dark"), (PHONE, "phone-dark")):
        for visit in _visits(browser, workspace, viewport=size, color_scheme="dark"):
            assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 25, 29)"
            assert set(visit.drawn("labels-0")["color"]) == {"#e6e8ea"}
            visit.screenshot(name)
            visit.page.emulate_media(color_scheme="light")
            visit.until(lambda visit=visit: set(visit.drawn("labels-0")["color"]) == {"#1f2328"})


def test_figures_stand_without_scripts(browser, workspace):
    for visit in _visits(browser, workspace, java_script_enabled=False):
        assert visit.page.locator("#explore").is_hidden()
        assert visit.page.get_by_text("needs scripts, which are off").is_visible()
        for name in ("embedding", "d_anchor", "interpretable"):
            assert visit.page.locator(f"#figure-{name} img").bounding_box()["height"] > 200


@pytest.fixture(scope="module")
def hostile(coarse_figures, tmp_path_factory) -> Workspace:
    """Run, layer, concept, category and images have hostile names; thumbnails lie beside the page."""
    world = World(runs=(HOSTILE, "b"), layers=(HOSTILE,), epochs=(0.0, 1.0), units=8, images=12, dead=0,
                  anchors=((HOSTILE, HOSTILE), ("{{7*7}}<b>dog</b>", None), ("cat", "object")))  # fmt: skip
    folder = tmp_path_factory.mktemp("hostile")
    made = write(folder, world)
    table = made.read("images").to_pylist()
    for row in table:
        path = Path(row["path"])
        row["path"] = str(path.rename(folder / "probe" / f'"><img src=x onerror=alert(1)>{path.name}'))
    images = pa.Table.from_pylist(table, schema=schemas.IMAGES)
    made.write(made.table("images"), images, made.origin("images"))  # or the scores were not made from them
    report(made, ReportSettings(max_html_mb=0))
    return made


def test_names_from_files_are_inert_wherever_they_show(browser, hostile):
    for visit in _visits(browser, hostile):
        visit.page.locator("#find").fill("onerror")
        buttons = visit.page.locator("#found button")
        buttons.first.focus()
        assert HOSTILE in visit.text("#card p >> nth=0")
        buttons.first.click()
        assert HOSTILE in visit.text("#followed h4 >> nth=-1")
        assert HOSTILE in visit.drawn("labels-0")["text"]
        visit.page.locator("#color-by").select_option("category")
        assert HOSTILE in visit.text("#legend")
        names = [one.get_attribute("title") for one in visit.page.locator("#card .t, #followed .t").all()]
        assert any("onerror" in name for name in names)
        assert visit.page.locator("img:not([alt])").count() == visit.page.locator("[onerror]").count() == 0
        assert visit.page.evaluate("[...document.images].every(one => one.src.startsWith('data:'))")


def test_thumbnails_beside_the_page_are_shown(browser, hostile):
    for visit in _visits(browser, hostile):
        visit.page.locator("#followed .t").first.scroll_into_view_if_needed()
        visit.until(lambda visit=visit: any(url.endswith(".webp") for url in visit.asked_for))
