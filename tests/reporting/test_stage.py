import csv
import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from cmon.cli.main import main
from cmon.errors import CmonError
from cmon.reporting.figures import style
from cmon.reporting.findings import headlines
from cmon.reporting.page.html import number
from cmon.reporting.stage import ReportSettings, report
from cmon.reporting.tables import formats
from cmon.reporting.tables.catalog import TABLES
from cmon.workspace.schemas import meaning
from cmon.workspace.workspace import Workspace
from tests.support.put_back import put_back
from tests.support.synthetic_tables import World, rows, write

WORLD = World(units=24, images=40, epochs=(0.0, 0.5, 1.0))
SMALL = World(runs=("a",), layers=("l",), epochs=(0.0,), units=12, images=10)
HOSTILE = "<script>alert(1)</script>"
pytestmark = pytest.mark.usefixtures("coarse_figures")


@pytest.fixture(scope="module")
def made(coarse_figures, tmp_path_factory) -> Workspace:
    workspace = write(tmp_path_factory.mktemp("report"), WORLD)
    report(workspace, ReportSettings())
    return workspace


@pytest.fixture(scope="module")
def small(coarse_figures, tmp_path_factory) -> Workspace:
    """After a report that shows every image."""
    workspace = write(tmp_path_factory.mktemp("small"), SMALL)
    assert report(workspace, ReportSettings()).missing_images == 0
    return workspace


@pytest.fixture
def changed(small) -> Iterator[Workspace]:
    """The small one, to be changed; its images are in `probe` beside it."""
    with put_back(small.root.parent):
        yield Workspace(small.root)


def table_of(workspace: Workspace, name: str) -> list[dict[str, str]]:
    with (workspace.report / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def html_of(workspace: Workspace) -> str:
    return (workspace.report / "index.html").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """What a browser would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_d_anchor_is_the_mean_distance_of_live_units(made):
    layout = made.read("layout").to_pylist()
    units = made.read("units").to_pylist()
    found = table_of(made, "d_anchor")
    assert len(found) == len(WORLD.runs) * len(WORLD.layers) * len(WORLD.epochs)
    assert {row["epoch"] for row in found} == {"0", "0.5", "1"}
    for row in found:

        def here(other, row=row):
            key = (row["run"], row["layer"], float(row["epoch"]))
            return (other["run"], other["layer"], other["epoch"]) == key

        for column, source in (("d_anchor", "distance"), ("d_anchor_clip", "distance_clip")):
            values = [one[source] for one in layout if here(one) and one["status"] == "ok"]
            assert float(row[column]) == pytest.approx(sum(values) / len(values))
            assert float(row[f"{column}_low"]) < float(row[column]) < float(row[f"{column}_high"])
        mine = [one for one in units if here(one)]
        assert int(row["n_units"]) == 24
        assert int(row["n_dead"]) == sum(one["status"] == "dead" for one in mine)
        assert int(row["n_interpretable"]) == sum(one["interpretable"] for one in mine)


def test_the_same_rows_in_all_forms(made):
    parquet = pq.read_table(made.report / "d_anchor.parquet").to_pylist()
    markdown = (made.report / "d_anchor.md").read_text().partition("\n\n")[2].splitlines()
    tex = (made.report / "d_anchor.tex").read_text()
    rows = tex.partition("\\midrule")[2].partition("\\bottomrule")[0].split("\\\\\n")[:-1]
    assert len(parquet) == len(table_of(made, "d_anchor")) == len(markdown) - 2 == len(rows) == 12
    assert markdown[2].startswith(f"| standard | layer3 | 0 | {parquet[0]['d_anchor']:.3f} |")
    low, high = parquet[0]["d_anchor_low"], parquet[0]["d_anchor_high"]
    interval = f"{parquet[0]['d_anchor']:.3f} {{[}}{low:.3f}, {high:.3f}]"
    assert rows[0].strip().startswith(f"standard & layer3 & 0 & {interval} &")


def test_every_table_is_written_whole_and_says_what_it_holds(made):
    for table in TABLES:
        schema = pq.read_schema(made.report / f"{table.name}.parquet")
        assert schema.equals(table.schema)
        assert all(meaning(field) for field in schema)
        assert (made.report / f"{table.name}.md").read_text().startswith(formats.markdown_text(table.caption))
        assert (
            f"\\label{{tab:{table.name.replace('_', '-')}}}"
            in (made.report / f"{table.name}.tex").read_text()
        )
        head = (made.report / f"{table.name}.csv").read_text().partition("\n")[0]
        assert head == ",".join(table.schema.names)


def test_all_tables_compile(made, tmp_path):
    if not shutil.which("pdflatex"):
        pytest.skip("pdflatex is not installed")
    inputs = "".join(f"\\input{{{made.report / table.name}}}\\clearpage\n" for table in TABLES)
    (tmp_path / "paper.tex").write_text(
        f"\\documentclass{{article}}\\usepackage{{booktabs,longtable}}\\begin{{document}}\n{inputs}\\end{{document}}"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_figures_are_there_in_both_formats(made):
    names = [
        "embedding",
        "d_anchor",
        "interpretable",
        "side-by-side",
        "movement",
        "tracked-standard",
        "tracked-poor",
    ]
    for name in names:
        with Image.open(made.report / f"{name}.png") as image:
            assert image.info["dpi"] == pytest.approx((style.DPI, style.DPI), abs=1)
        assert "</text>" in (made.report / f"{name}.svg").read_text(encoding="utf-8")


def test_headlines_are_those_of_the_table(made):
    summary = report(Workspace(made.root), ReportSettings())
    assert not summary.made
    assert summary.headlines == headlines(
        pq.read_table(made.report / "d_anchor.parquet").to_pandas(), "layer4"
    )
    said = CliRunner().invoke(main, ["report", str(made.root), "--format", "json", "--quiet"])
    assert json.loads(said.stdout) == summary.headlines
    rows = CliRunner().invoke(main, ["report", str(made.root), "--format", "csv", "--quiet"]).stdout
    assert next(csv.DictReader(rows.splitlines()))["d_anchor"] == table_of(made, "d_anchor")[0]["d_anchor"]


def test_runs_that_repeat_a_recipe_are_reported_over_them(tmp_path):
    world = World(
        runs=("a@1", "b", "a@2", "c@1", "c@2"), layers=("l",), epochs=(0.0, 1.0), units=12, images=12
    )
    workspace = write(tmp_path, world)
    said = CliRunner().invoke(main, ["report", str(workspace.root), "--format", "json"])
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert [one["recipe"] for one in found["recipes"]] == ["a", "c"]
    assert [one["run"] for one in found["layers"]] == list(world.runs)
    for subject in ("a (2 runs): ", "b: ", "c (2 runs): "):
        assert subject in said.stderr
    assert "a@1: " not in said.stderr.replace("warning: a@1: ", "")
    values = [
        float(row["d_anchor"]) for row in table_of(workspace, "d_anchor") if row["run"] in ("a@1", "a@2")
    ]
    (row,) = [
        row
        for row in table_of(workspace, "seeds")
        if (row["recipe"], row["epoch"], row["measure"]) == ("a", "1", "d_anchor")
    ]
    assert float(row["mean"]) == pytest.approx((values[1] + values[3]) / 2)
    assert found["recipes"][0]["d_anchor"]["last"]["value"] == pytest.approx(float(row["mean"]))
    assert {(row["reference"], row["recipe"]) for row in table_of(workspace, "seed_comparison")} == {
        ("a", "c")
    }
    text = html_of(workspace)
    assert "<b>a (2 runs):</b>" in text
    assert "<caption>Recipes over their runs</caption>" in text
    assert "thin lines are the runs" in text
    plane = (workspace.report / "embedding.svg").read_text(encoding="utf-8")
    assert all(f"{run} · epoch" in plane for run in ("a@1", "b", "c@1"))
    assert not any(f"{run} · epoch" in plane for run in ("a@2", "c@2"))
    assert (workspace.report / "tracked-a%402.png").is_file()
    again = report(workspace, ReportSettings())
    assert not again.made
    assert [subject for subject, _ in again.findings][:3] == ["a (2 runs)", "b", "c (2 runs)"]


def test_metrics_are_a_table_and_stand_above_d_anchor(tmp_path):
    world = World(runs=("a", "b"), layers=("l",), epochs=(0.0, 1.0), units=6, images=12)
    workspace = write(tmp_path, world)
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss\n0,2.5\n1,1.5\n")
    settings = ReportSettings(metrics=(("b", log),))
    assert report(workspace, settings).made
    assert table_of(workspace, "training") == [
        {"run": "b", "epoch": epoch, "metric": "loss", "value": value}
        for epoch, value in (("0", "2.5"), ("1", "1.5"))
    ]
    assert ">loss</text>" in (workspace.report / "d_anchor.svg").read_text(encoding="utf-8")
    assert not report(workspace, settings).made
    log.write_text("epoch,loss\n0,2.5\n1,1.0\n")
    assert report(workspace, settings).made
    with pytest.raises(CmonError, match="has no run 'bb'"):
        report(workspace, ReportSettings(metrics=(("bb", log),)))
    with pytest.raises(CmonError, match="cannot be read"):
        report(workspace, ReportSettings(metrics=(("b", tmp_path / "none.csv"),)))


def test_the_page_needs_nothing_else(made):
    text = html_of(made)
    reader = Reader(text)
    loaded = [
        attributes[name] or ""
        for _, attributes in reader.tags
        for name in ("src", "srcset", "href", "data")
        if name in attributes
    ]
    assert loaded
    links = [unquote(link) for link in loaded if not link.startswith(("data:", "#"))]
    assert links  # to be downloaded, not loaded
    assert all((made.report / link).is_file() for link in links)
    policies = [attributes["content"] for _, attributes in reader.tags if "http-equiv" in attributes]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none';")
    assert "unsafe-eval" not in policies[0]
    assert all(attributes.get("alt") for tag, attributes in reader.tags if tag == "img")


def test_the_page_holds_all_units_of_the_last_epoch(made):
    body = html_of(made).partition('<table id="units">')[2].partition("</table>")[0]
    assert body.count("<tr") - 1 == len(WORLD.runs) * len(WORLD.layers) * 24
    last = [unit for unit in made.read("units").to_pylist() if unit["epoch"] == 1]
    assert body.count('data-significant="1"') == sum(unit["interpretable"] for unit in last)
    assert body.count("<td>dead</td>") == sum(unit["status"] == "dead" for unit in last)


def test_a_fresh_report_is_not_made_again(made):
    before = {path: path.stat().st_mtime_ns for path in made.report.iterdir()}
    again = report(Workspace(made.root), ReportSettings())
    assert not again.made
    assert [subject for subject, _ in again.findings] == ["standard", "poor", "Kendall's tau"]
    assert again.headlines["recipes"] == []
    assert again.d_anchor.num_rows == 12
    assert {path: path.stat().st_mtime_ns for path in made.report.iterdir()} == before


def test_what_makes_a_report_stale(tmp_path):
    small = World(runs=("a", "b"), layers=("l",), epochs=(0.0,), units=4, images=12)
    workspace = write(tmp_path, small)
    assert report(workspace, ReportSettings()).made
    assert report(workspace, ReportSettings(track=(("l", 2),))).made
    (workspace.report / "embedding.svg").unlink()
    assert report(workspace, ReportSettings(track=(("l", 2),))).made
    (workspace.report / "index.html").write_bytes(b"\xff somebody else's page")
    assert report(workspace, ReportSettings(track=(("l", 2),))).made
    tables = {name: [row for row in table if row.get("run") != "b"] for name, table in rows(small).items()}
    write(tmp_path, small, tables)
    assert report(workspace, ReportSettings(track=(("l", 2),))).made
    assert (workspace.report / "tracked-a.png").is_file()
    assert not (workspace.report / "tracked-b.png").exists()


def test_a_hostile_concept_and_run_are_inert(tmp_path, small):
    world = World(runs=(HOSTILE, "../b"), layers=("l",), epochs=(0.0, 1.0), units=12, images=12,
                  anchors=((HOSTILE, HOSTILE), ("dog", None), ("cat", "object")))  # fmt: skip
    workspace = write(tmp_path, world)
    summary = report(workspace, ReportSettings())
    text = html_of(workspace)
    assert HOSTILE not in text
    assert html.escape(HOSTILE) in text
    assert HOSTILE.partition(">")[0] not in text.partition('id="explorer-data"')[2].partition("</script>")[0]
    tags = [
        [tag for tag, _ in Reader(one).tags if tag in ("script", "style")] for one in (text, html_of(small))
    ]
    assert tags[0] == tags[1]
    assert all(path.parent == workspace.report for path in summary.figures)


def test_thumbnails_for_which_the_page_has_no_room_are_part_of_the_report(changed):
    assert report(changed, ReportSettings(max_html_mb=0)).images_beside == 10
    again = report(changed, ReportSettings(max_html_mb=0))
    assert (again.made, again.images_beside) == (False, 10)
    (changed.report / "thumbnails" / "3.webp").unlink()
    assert report(changed, ReportSettings(max_html_mb=0)).made


def test_every_file_of_the_report_can_be_downloaded(made):
    text = html_of(made).partition('<section id="files">')[2]
    links = {unquote(link) for link in re.findall(r'<a href="([^"]*)" download>', text)}
    assert links == {path.name for path in made.report.iterdir()} - {
        "index.html",
        "files.parquet",
        "newest.css",
    }


def test_a_dead_layer_has_empty_cells(tmp_path):
    world = World(runs=("a",), layers=("l",), epochs=(0.0, 1.0), units=6, images=12, dead=1.1)
    workspace = write(tmp_path, world)
    report(workspace, ReportSettings())
    for row in table_of(workspace, "d_anchor"):
        assert row["d_anchor"] == row["d_anchor_clip_high"] == ""
        assert (row["n_units"], row["n_live"], row["n_dead"]) == ("6", "0", "6")
    assert "nothing to follow" in html_of(workspace)


def test_images_that_were_moved_are_shown_when_it_is_said_where_they_are(changed, tmp_path):
    (changed.root.parent / "probe").rename(tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    nowhere = report(changed, ReportSettings(images=tmp_path / "empty")).missing_images
    there = report(changed, ReportSettings(images=tmp_path / "elsewhere"))
    assert (nowhere, there.missing_images, there.made) == (10, 0, True)
    assert ".t4{" in html_of(changed)
    assert not report(changed, ReportSettings(images=tmp_path / "elsewhere")).made


def test_images_that_are_gone_or_changed_are_not_shown(changed):
    probe = changed.root.parent / "probe"
    (probe / "00003.png").unlink()
    (probe / "00004.png").write_bytes((probe / "00005.png").read_bytes())
    (changed.report / "index.html").unlink()
    assert report(changed, ReportSettings()).missing_images == 2
    text = html_of(changed)
    assert "not shown: no longer there" in text
    assert "not shown: changed since it was extracted" in text
    assert ".t5{" in text
    assert ".t4{" not in text
    # Another size: made again, and said again.
    said = CliRunner().invoke(main, ["report", str(changed.root), "--max-html-mb", "0"]).stderr
    assert "warning: 2 top images moved or changed since extraction" in said
    assert f"8 thumbnails in {changed.report / 'thumbnails'}: the page would exceed 0 MB" in said


def test_a_report_needs_no_torch():
    code = "import sys, cmon.reporting.stage; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"


def test_skipped_inputs_are_listed(changed):
    tables = rows(SMALL)
    tables["checkpoints"].append(
        {"run": "a", "checkpoint": "broken.pt", "status": "skipped", "error": "cut off"}
    )
    assert "broken.pt" not in html_of(changed)
    report(write(changed.root.parent, SMALL, tables), ReportSettings())
    assert "a: broken.pt" in html_of(changed)
    assert "cut off" in html_of(changed)


def test_a_layout_of_other_units_is_refused(tmp_path):
    world = World(runs=("a",), layers=("l",), epochs=(0.0,), units=4, images=12, dead=0)
    tables = rows(world)
    tables["units"][0] |= {"status": "tied", "label": None, "interpretable": False}
    workspace = write(tmp_path, world, tables)
    with pytest.raises(CmonError, match="cmon embed"):
        report(workspace, ReportSettings())
    assert not workspace.report.exists()


def test_errors_say_what_to_do(tmp_path, made):
    with pytest.raises(CmonError, match="cmon extract"):
        report(Workspace(tmp_path), ReportSettings())
    with pytest.raises(CmonError, match="has no unit 99"):
        report(Workspace(made.root), ReportSettings(track=(("layer4", 99),)))


def test_numbers_as_the_page_shows_them():
    shown = [number(value) for value in (None, float("nan"), 0.0, 0.12345, 0.00001, 12345, 1234.5, "x")]
    assert shown == ["–", "–", "0.000", "0.123", "1.0e-05", "12,345", "1,234.5", "x"]
