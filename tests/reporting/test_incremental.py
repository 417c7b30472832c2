"""A report over one that is there: what changed is made, nothing else, and the outcome is that of a fresh one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cmon.reporting.figures.top_images import image_ids
from cmon.reporting.stage import ReportSettings, report
from cmon.reporting.tracking import TrackedUnit
from cmon.workspace.workspace import Workspace
from tests.support.put_back import put_back
from tests.support.synthetic_tables import World, rows, write

WORLD = World(layers=("l",), units=10, images=150, epochs=(0.0, 1.0, 2.0, 3.0), dead=0)
TRACKED = ReportSettings(track=(("l", 2), ("l", 5)))


def until(last: dict[str, float]) -> dict[str, list]:
    """The tables of WORLD up to each run's last epoch."""
    return {
        name: [row for row in table if row.get("run") is None or row["epoch"] <= last[row["run"]]]
        for name, table in rows(WORLD).items()
    }


def contents(workspace: Workspace) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in workspace.report.iterdir()}


def fresh(workspace: Workspace, folder, settings=TRACKED) -> dict[str, bytes]:
    """What a report of the same tables is where there was none before."""
    shutil.copytree(workspace.root, folder, ignore=shutil.ignore_patterns("report", "cache"))
    again = Workspace(folder)
    assert report(again, settings).made
    return contents(again)


class Watched:
    """Which files of the report are written while the block lasts."""

    def __init__(self, workspace: Workspace) -> None:
        self.folder = workspace.report

    def _times(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.folder.iterdir()}

    def __enter__(self) -> "Watched":
        self.before = self._times()
        return self

    def __exit__(self, *_: object) -> None:
        after = self._times()
        written = {name for name, when in after.items() if self.before.get(name) != when}
        self.figures = {name for name in written if name.endswith((".png", ".svg"))}
        self.tables = {name.partition(".")[0] for name in written - self.figures}


@pytest.fixture(scope="module")
def before(coarse_figures, tmp_path_factory) -> Path:
    """A folder with the workspace of two runs up to epoch 2, its report, and its probe images."""
    folder = tmp_path_factory.mktemp("before")
    report(write(folder, WORLD, until({"standard": 2, "poor": 2})), TRACKED)
    return folder


@pytest.fixture
def workspace(before) -> Iterator[Workspace]:
    """That workspace, to be changed; the images lie where its tables say."""
    with put_back(before):
        yield Workspace(before / "workspace")


@pytest.fixture(scope="module")
def one_more(before, tmp_path_factory) -> dict[str, bytes]:
    """What a report is where there was none before, after one more epoch of 'standard'."""
    with put_back(before):
        write(before, WORLD, until({"standard": 3, "poor": 2}))
        return fresh(Workspace(before / "workspace"), tmp_path_factory.mktemp("fresh") / "workspace")


def test_an_epoch_that_is_added_redraws_what_shows_it(before, one_more, workspace):
    write(before, WORLD, until({"standard": 3, "poor": 2}))
    with Watched(workspace) as watched:
        assert report(workspace, TRACKED).made
    # Of a run that has no new epoch, and of what both had at their last common one, nothing is new.
    shown = {"embedding", "d_anchor", "interpretable", "movement", "tracked-standard"}
    assert watched.figures == {f"{name}.{form}" for name in shown for form in ("png", "svg")}
    assert not watched.tables & {"costs", "fidelity", "training", "comparison", "concept_differences"}
    assert contents(workspace) == one_more


def test_another_unit_to_track_redraws_what_shows_tracked_units(workspace):
    with Watched(workspace) as watched:
        report(workspace, ReportSettings(track=(("l", 2),)))
    assert watched.figures == {
        f"{name}.{form}"
        for name in ("embedding", "tracked-standard", "tracked-poor")
        for form in ("png", "svg")
    }
    assert watched.tables == {"index", "files", "newest"}


def test_what_was_deleted_or_edited_is_made_again_and_nothing_else(workspace):
    was = contents(workspace)
    (workspace.report / "movement.svg").unlink()
    (workspace.report / "tracked-poor.png").write_bytes(was["tracked-poor.png"] + b" ")
    (workspace.report / "d_anchor.csv").write_bytes(was["d_anchor.csv"].replace(b"0", b"1"))
    with Watched(workspace) as watched:
        assert report(workspace, TRACKED).made
    assert {name.partition(".")[0] for name in watched.figures} == {"movement", "tracked-poor"}
    assert watched.tables == {"d_anchor", "files"}
    assert contents(workspace) == was
    assert not report(workspace, TRACKED).made


def test_an_image_that_changed_changes_its_thumbnail_and_the_figures_that_show_it(
    before, workspace, tmp_path
):
    units = workspace.frame("units")
    tracked = [TrackedUnit(layer, unit, "") for layer, unit in TRACKED.track]
    poor, standard = (image_ids(units, [run], tracked) for run in ("poor", "standard"))
    shown = min(poor - standard)
    Image.new("RGB", (48, 40), "red").save(before / "probe" / f"{shown:05}.png")
    (workspace.report / "index.html").unlink()
    with Watched(workspace) as watched:
        assert report(workspace, TRACKED).missing_images == 1
    assert watched.figures == {"tracked-poor.png", "tracked-poor.svg"}
    assert contents(workspace) == fresh(workspace, tmp_path / "fresh")


def test_what_an_interrupted_report_finished_is_not_made_again(before, one_more, workspace):
    write(before, WORLD, until({"standard": 3, "poor": 2}))
    drawn: list[str] = []

    def stopped(items, description="", total=None):
        for item in items:
            yield item
            if description == "drawing figures":
                drawn.append(item[0])
                if item[0] == "interpretable":
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report(workspace, TRACKED, stopped)
    with Watched(workspace) as watched:
        assert report(workspace, TRACKED).made
    again = {name.partition(".")[0] for name in watched.figures}
    assert drawn == ["embedding", "d_anchor", "interpretable"]
    assert again == {"movement", "tracked-standard"}
    assert contents(workspace) == one_more


def test_with_a_damaged_list_everything_is_made_again(workspace):
    was = contents(workspace)
    (workspace.report / "files.parquet").write_bytes(was["files.parquet"][:100])
    with Watched(workspace) as watched:
        report(workspace, TRACKED)
    assert watched.figures == {name for name in was if name.endswith((".png", ".svg"))}
    assert contents(workspace) == was


def test_what_is_kept_aside_can_be_deleted_at_any_time(workspace):
    was = contents(workspace)
    shutil.rmtree(workspace.cache)
    assert not report(workspace, TRACKED).made
    (workspace.report / "index.html").unlink()
    assert report(workspace, TRACKED).made
    assert contents(workspace) == was
