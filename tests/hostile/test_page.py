"""The report of a workspace whose names are hostile: nothing runs in a real browser, and nothing acts on a terminal.

Runs, layers, concepts, categories, files and metrics have them.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path

import pyarrow as pa
import pytest

from cmon.reporting.stage import ReportSettings, report
from cmon.workspace import schemas
from cmon.workspace.stored_paths import to_text
from cmon.workspace.workspace import Workspace
from tests.support.synthetic_tables import World, write

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ATTACKS = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}${alert(1)}<!-- ]]> -->",
    "a\u202egnp.exe\u2066b",
    "\x1b[2J\x1b]0;owned\x07red",
    "\u2028\u2029\u200f&lt;b&gt;",
    '=HYPERLINK("http://x","y")',
    "-- --> <![CDATA[ &#0; &xxe;",
)
"""Scripts, attributes, quotes, templates, marks of direction, a terminal's instructions, a formula, XML."""


@pytest.fixture(scope="module")
def hostile(coarse_figures: None, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("hostile")
    anchors = tuple((name, ATTACKS[-1 - position]) for position, name in enumerate(ATTACKS))
    world = World(runs=ATTACKS[:2], layers=ATTACKS[2:4], epochs=(0.0, 1.0), units=12, images=len(ATTACKS) + 5, dead=0,
                  anchors=anchors)  # fmt: skip
    made = write(folder, world)
    table = made.read("images").to_pylist()
    for row, attack in zip(table, ATTACKS, strict=False):
        path = Path(row["path"])
        row["path"] = to_text(path.rename(path.with_name(attack.replace("/", "") + path.name)))
    made.write(
        made.table("images"), pa.Table.from_pylist(table, schema=schemas.IMAGES), made.origin("images"), {}
    )
    log = folder / "training.csv"
    with log.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["epoch", *ATTACKS], *([epoch, *range(len(ATTACKS))] for epoch in (0, 1))]
        )
    report(made, ReportSettings(metrics=tuple((run, log) for run in ATTACKS[:2])))
    return made


def acting(text: str) -> set[str]:
    """Letters that act on a terminal, or turn a text round."""
    kinds = {"Cc", "Zl", "Zp"}
    marks = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return {one for one in text if unicodedata.category(one) in kinds or one in marks} - {"\n", "\t"}


def test_no_file_of_the_report_acts_on_a_terminal(hostile: Workspace) -> None:
    written = [
        path for path in hostile.report.rglob("*") if path.suffix in (".csv", ".md", ".tex", ".svg", ".html")
    ]
    assert {path.suffix for path in written} == {".csv", ".md", ".tex", ".svg", ".html"}
    for path in written:
        assert not acting(path.read_text(encoding="utf-8")), path.name


def test_every_svg_is_well_formed_and_holds_no_script(hostile: Workspace) -> None:
    figures = list(hostile.report.rglob("*.svg"))
    assert figures
    for path in figures:
        tree = ET.fromstring(path.read_bytes())
        names = {element.tag.rpartition("}")[2] for element in tree.iter()}
        assert not names & {"script", "foreignObject", "img", "animate", "set"}, path.name
        attributes = {name for element in tree.iter() for name in element.attrib}
        assert not {name for name in attributes if name.lower().startswith("on")}, path.name


def test_csv_gives_every_name_that_it_can_back(hostile: Workspace) -> None:
    """Formulas too: they are kept, since a program must read the name that it is."""
    text = (hostile.report / "d_anchor.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["run"] for row in rows} == set(ATTACKS[:2])
    assert {row["layer"] for row in rows} == set(ATTACKS[2:4])


def test_no_name_ends_a_cell_or_a_row_of_markdown(hostile: Workspace) -> None:
    for path in hostile.report.glob("*.md"):
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line for line in lines if line.startswith("| ")]
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows}) == 1, path.name
        assert lines[-len(rows) :] == rows, path.name


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_nothing_runs_in_a_browser_and_every_name_is_shown(hostile: Workspace) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = hostile.report / "index.html"
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page()
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.locator("#explore[data-ready]").wait_for()
        page.locator("#color-by").select_option("category")
        for attack in ATTACKS:
            page.locator("#find").fill(attack[:12])
            for button in page.locator("#found button").all()[:2]:
                button.hover()
                button.focus()
        page.locator("#find").fill("alert")
        page.locator("#found button").first.click()
        for details in page.locator("details").all():
            details.locator("summary").click()
        text = page.evaluate("document.documentElement.textContent")
        handlers = page.evaluate(
            "[...document.querySelectorAll('*')].flatMap(one => [...one.attributes].map(a => a.name))"
            ".filter(name => name.startsWith('on'))"
        )
        links = page.evaluate("[...document.querySelectorAll('a, area, form')].map(a => a.href || a.action)")
        embedded = page.evaluate("document.querySelectorAll('iframe, object, embed, base, link').length")
        browser.close()
    assert said == []
    assert handlers == []
    assert embedded == 0
    assert not [link for link in links if not link.startswith("file:")]
    assert asked[0] == path.as_uri()
    own = ("data:", *((hostile.report / name).as_uri() for name in ("thumbnails", "newest.css")))
    assert not [url for url in asked[1:] if not url.startswith(own)]
    for attack in ATTACKS[:4]:
        assert attack in text
    assert "a\\u202egnp.exe\\u2066b" in text
    assert not acting(text)
