import base64
import hashlib
import html
import re

import pandas as pd
import pytest

from cmon.reporting.page import storage
from cmon.reporting.page.explorer_data import explorer_data
from cmon.reporting.page.views import FigureView, Page, TableView
from cmon.reporting.record import Record
from cmon.workspace.keys import sort_rows
from cmon.workspace.workspace import Workspace
from tests.support.synthetic_tables import World, rows

WORLD = World(runs=("a",), layers=("l",), epochs=(0.0, 1.0), units=6, images=12)
PICTURES = {image: bytes([image]) * 1000 for image in (3, 5, 11)}
ORIGIN = hashlib.sha256(b"").hexdigest()


@pytest.fixture(scope="module")
def page() -> Page:
    tables = rows(WORLD)
    units, layout = (pd.DataFrame(tables[name]) for name in ("units", "layout"))
    empty = TableView("", "", ["run"], [])
    return Page(
        origin=ORIGIN,
        version="0",
        title="A page",
        subtitle="of a test",
        facts=[("1", "run")],
        findings=[],
        warnings=["take care"],
        explorer=explorer_data(
            sort_rows(units), layout, {image: str(image) for image in range(WORLD.images)}, []
        ),
        figures={
            name: FigureView(name, name, "", name, b"<svg/>", b"<svg/>")
            for name in ("embedding", "d_anchor", "interpretable", "side-by-side", "new")
        },
        files={},
        tracked=[],
        d_anchor_table=empty,
        frequent=[],
        movement=empty,
        units=[],
        more_units=0,
        statuses=empty,
        costs=None,
        skipped=[],
        parameters=[],
    )


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def record(workspace) -> Record:
    return Record(workspace)


def text_of(workspace: Workspace) -> str:
    return storage.page_path(workspace).read_text(encoding="utf-8")


def pictures_of(workspace: Workspace) -> list[str]:
    """Where the page takes thumbnails from."""
    style = text_of(workspace).partition('<style id="thumbnails">')[2].partition("</style>")[0]
    return re.findall(r'url\("([^"]*)"\)', style)


def policy_of(workspace: Workspace) -> str:
    return html.unescape(re.search(r'Security-Policy" content="([^"]*)"', text_of(workspace)).group(1))


def test_thumbnails_stand_in_the_page_up_to_its_size_and_else_beside_it(workspace, record, page):
    folder = workspace.report / "thumbnails"
    assert storage.write_page(workspace, record, page, PICTURES, 100) == 0
    size = storage.page_path(workspace).stat().st_size
    assert not folder.exists()
    assert [uri[:23] for uri in pictures_of(workspace)] == ["data:image/webp;base64,"] * 3
    assert "img-src data:;" in policy_of(workspace)

    assert storage.write_page(workspace, record, page, PICTURES, size / 1e6) == 0
    assert storage.write_page(workspace, record, page, PICTURES, (size - 100) / 1e6) == 3
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        f"{image}.webp": data for image, data in PICTURES.items()
    }
    assert pictures_of(workspace) == [f"thumbnails/{image}.webp" for image in PICTURES]
    assert storage.page_path(workspace).stat().st_size < size - 3000
    assert "img-src data: 'self' file:;" in policy_of(workspace)


def test_the_folder_holds_what_the_page_shows_and_what_is_not_cmons(workspace, record, page):
    folder = workspace.report / "thumbnails"
    storage.write_page(workspace, record, page, PICTURES, 0)
    (folder / "mine.txt").write_text("not cmon's")
    storage.write_page(workspace, record, page, {5: b"new"}, 0)
    assert {file.name for file in folder.iterdir()} == {"5.webp", "mine.txt"}
    storage.write_page(workspace, record, page, PICTURES, 100)
    assert [file.name for file in folder.iterdir()] == ["mine.txt"]
    (folder / "mine.txt").unlink()
    storage.write_page(workspace, record, page, PICTURES, 100)
    assert not folder.exists()


def test_a_page_is_fresh_with_its_origin_and_all_its_thumbnails(workspace, record, page):
    assert not storage.is_fresh(workspace, record, ORIGIN)
    storage.write_page(workspace, record, page, PICTURES, 0)
    assert storage.is_fresh(workspace, record, ORIGIN)
    assert storage.thumbnails_beside(workspace) == 3
    assert not storage.is_fresh(workspace, record, "0" * 64)
    (workspace.report / "thumbnails" / "5.webp").unlink()
    assert not storage.is_fresh(workspace, record, ORIGIN)
    storage.write_page(workspace, record, page, PICTURES, 100)
    assert storage.is_fresh(workspace, record, ORIGIN)


def test_an_open_page_is_told_of_a_new_one_and_a_page_untold_is_not_fresh(workspace, record, page):
    storage.write_page(workspace, record, page, PICTURES, 100)
    told = workspace.report / "newest.css"
    assert ORIGIN in told.read_text()
    assert "style-src 'unsafe-inline' 'self' file:;" in policy_of(workspace)
    told.write_text(
        told.read_text().replace(ORIGIN, "0" * 64)
    )  # as if the writing had been cut off before it
    assert not storage.is_fresh(workspace, record, ORIGIN)
    told.unlink()
    assert not storage.is_fresh(workspace, record, ORIGIN)


def test_the_policy_allows_the_scripts_that_are_there_and_no_other(workspace, record, page):
    storage.write_page(workspace, record, page, PICTURES, 100)
    scripts = re.findall(r"<script>(.*?)</script>", text_of(workspace), flags=re.DOTALL)
    allowed = re.search(r"script-src ([^;]*)$", policy_of(workspace)).group(1).split()
    digests = [hashlib.sha256(one.encode()).digest() for one in scripts]
    assert allowed == [f"'sha256-{base64.b64encode(one).decode()}'" for one in digests]


def test_a_figure_without_a_place_of_its_own_is_shown_too(workspace, record, page):
    storage.write_page(workspace, record, page, {}, 100)
    assert [text_of(workspace).count(f'<figure id="figure-{name}">') for name in page.figures] == [
        1,
        1,
        1,
        1,
        1,
    ]


def test_links_are_relative_and_only_to_what_is_there(tmp_path):
    for name in ("d_anchor.csv", "d_anchor.md", "tracked-100%25.png"):
        (tmp_path / name).touch()
    files = [
        tmp_path / name for name in ("d_anchor.csv", "d_anchor.md", "d_anchor.tex", "tracked-100%25.png")
    ]
    assert storage.file_links(files) == {
        "d_anchor": [("CSV", "d_anchor.csv"), ("MD", "d_anchor.md")],
        "tracked-100%25": [("PNG", "tracked-100%2525.png")],
    }
