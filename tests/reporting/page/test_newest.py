"""A page that is left open shows the new epoch by itself, in a real Chromium, from disk and without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cmon.reporting.stage import ReportSettings, report
from cmon.workspace.workspace import Workspace
from tests.support.synthetic_tables import World, rows, write

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")


def make(folder: Path, epochs: int) -> Workspace:
    """A report of so many epochs, over what is there."""
    world = World(units=16, images=20, epochs=tuple(map(float, range(epochs))))
    made = write(folder, world, rows(world))
    report(made, ReportSettings(track=(("layer4", 7),)))
    return made


@pytest.fixture(scope="module")
def three_epochs(coarse_figures: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("three"), 3).root.parent


@pytest.fixture
def place(three_epochs: Path, tmp_path: Path) -> Path:
    """A folder with a workspace, and in it a report of three epochs."""
    return shutil.copytree(three_epochs, tmp_path / "place")


@pytest.fixture
def window() -> Iterator[Callable[[Path], Any]]:
    """Opens a page from disk; what it complains of, and loads again, is in its `said` and `loads`."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)

        def visit(path: Path) -> Any:
            page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
            page.said, page.loads = [], []
            page.on("console", lambda said: said.type in ("error", "warning") and page.said.append(said.text))
            page.on("pageerror", lambda error: page.said.append(str(error)))
            page.on("load", lambda _: page.loads.append(page.url))
            page.set_default_timeout(60_000)
            page.clock.install()
            page.goto(path.as_uri())
            ready(page)
            return page

        yield visit
        browser.close()


def ready(page: Any) -> None:
    page.locator("#explore[data-ready]").wait_for()


def pass_seconds(page: Any, seconds: int) -> None:
    """On the page's clock; what it asks for meanwhile is answered."""
    for _ in range(seconds):
        page.clock.run_for(1000)
        page.wait_for_timeout(100)


def shown_epoch(page: Any, epoch: int) -> None:
    page.locator("#epoch-name", has_text=f"epoch {epoch}").wait_for()


def slider(page: Any) -> str | None:
    return page.locator("#epoch").get_attribute("max")


def test_an_open_page_shows_the_new_epoch_and_the_reader_stays_where_they_were(window, place):
    page = window(place / "workspace/report/index.html")
    assert slider(page) == "2"

    page.locator("#only-layer").select_option(label="layer3")
    page.locator("#only-status").select_option(label="interpretable only")
    page.locator("#color-by").select_option(label="category")
    page.locator("#find").fill("layer3:5")
    page.locator("#followed button").first.click()  # no longer tracked
    page.locator("#found button").first.click()  # and this one is
    page.locator("#zoom-in").click()
    tracked = page.locator("#followed h4").all_inner_texts()
    zoomed = page.evaluate("['x', 'y'].map(axis => Bokeh.documents[0].get_model_by_name(axis).end)")
    page.locator("summary", has_text="All values").click()
    page.locator("summary", has_text="The table, with a search").click()
    page.locator("#search").fill("layer4")
    page.evaluate("document.getElementById('all-units').scrollIntoView(); scrollBy(0, 40)")
    top = page.evaluate("document.getElementById('all-units').getBoundingClientRect().top")
    page.wait_for_timeout(500)
    assert page.loads == [page.url]

    another = window(place / "workspace/report/index.html")
    another.locator("#epoch").fill("1")
    shown_epoch(another, 1)

    make(place, 4)
    shown_epoch(page, 3)
    ready(page)
    assert slider(page) == "3"
    assert len(page.loads) == 2
    chosen = "id => document.getElementById(id).selectedOptions[0].text"
    names = [page.evaluate(chosen, name) for name in ("only-layer", "only-status", "color-by")]
    assert names == ["layer3", "interpretable only", "category"]
    assert page.locator("#find").input_value() == "layer3:5"
    assert page.locator("#followed h4").all_inner_texts() == tracked != []
    ends = page.evaluate("['x', 'y'].map(axis => Bokeh.documents[0].get_model_by_name(axis).end)")
    assert ends == pytest.approx(zoomed)
    assert page.locator("details", has_text="All values").get_attribute("open") is not None
    assert page.locator("#search").input_value() == "layer4"
    assert page.locator("#units tbody tr:visible", has_text="layer3").count() == 0
    now = page.evaluate("document.getElementById('all-units').getBoundingClientRect().top")
    assert now == pytest.approx(top, abs=2)
    assert page.said == []

    # An earlier epoch that was chosen stays chosen.
    another.locator("#epoch[max='3']").wait_for()
    ready(another)
    shown_epoch(another, 1)
    assert another.said == []


def test_the_same_report_is_not_loaded_again_and_a_cut_off_one_only_once(window, place):
    page = window(place / "workspace/report/index.html")
    report(Workspace(place / "workspace"), ReportSettings(track=(("layer4", 7),)))
    pass_seconds(page, 12)
    assert page.loads == [page.url]
    # A newer page is promised that is not there: it was removed, or its writing was cut off.
    newest = place / "workspace/report/newest.css"
    newest.write_text(newest.read_text().replace('"', '"f'))
    pass_seconds(page, 20)
    ready(page)
    assert len(page.loads) == 2
    assert page.said == []


def test_a_page_that_was_sent_alone_only_asks_less_and_less_often(window, place, tmp_path):
    alone = shutil.copy(place / "workspace/report/index.html", tmp_path / "alone.html")
    page = window(Path(alone))
    asked: list[str] = []
    page.on("requestfailed", lambda request: asked.append(request.url))
    pass_seconds(page, 40)
    times = [int(url.rpartition("?")[2]) for url in asked]  # milliseconds
    assert len(times) == 3  # after 5, 15 and 35 seconds
    assert times[1] - times[0] >= 10_000
    assert times[2] - times[1] >= 20_000
    assert page.loads == [page.url]
