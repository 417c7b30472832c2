"""Break every stage at every kind of instant, end it again, and compare all tables with those of an undisturbed run.

    python -m scripts.soak.sweep [--points 260] [--seed 0]

A small job (`small_job`) is done in forked processes. Faults (`faults`): SIGKILL, SIGINT, a disk that is full, over
quota, read-only or broken, at instants drawn from all at which a stage opens, renames or removes a file; files that
cannot grow; two stages at once, in all pairs; a folder of checkpoints that grows meanwhile; a new scoring that is
stopped, with embed and report run on what it left; 200 checkpoints, one after the other.

Promised, after each: the same command again gives the tables of an undisturbed run, value for value, with nothing left
aside and nothing done twice that was finished; and before that, every later stage gives such tables or refuses.

Prints Markdown; exits with 1 if a promise was broken.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import pkgutil
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import click
import torch

import cmon
from cmon.reporting.figures import style
from cmon.workspace.table_files import read_table
from cmon.workspace.workspace import Workspace
from scripts.soak.faults import DISK, SIGNALS, Fault, count_instants, in_a_child
from scripts.soak.small_job import COLORS, STAGES, Job, outcome


@dataclass
class Row:
    """One line of the result."""

    fault: str
    promised: str
    tried: int = 0
    broken: list[str] = field(default_factory=list)

    def add(self, problems: list[str]) -> None:
        self.tried += 1
        self.broken += problems


class Sweep:
    """A folder with the job, and a finished workspace after each of its stages."""

    def __init__(self, folder: Path) -> None:
        _load_everything()
        self.folder = folder
        self.job = Job(folder / "job")
        self.job.draw()
        self.other = Job(folder / "job", tuple(COLORS)[::-1][:6])
        """The same with other words."""
        self.after = {"": folder / "after" / "nothing"}
        self.after[""].mkdir(parents=True)
        for before, stage in zip(("", *STAGES), STAGES, strict=False):
            self.after[stage] = folder / "after" / stage
            shutil.copytree(self.after[before], self.after[stage])
            done = self.does(stage, self.after[stage])
            # The report here: the fonts that it loads are there in every child.
            assert (done() if stage == "report" else in_a_child(done, self.after[stage])) == 0

    def does(self, stage: str, workspace: Path, job: Job | None = None) -> Callable[[], int]:
        return partial(outcome, partial((job or self.job).run, stage, workspace))

    def before(self, stage: str) -> Path:
        """A copy of the workspace as it is before the stage."""
        place = self.folder / "tried" / f"{stage} {time.monotonic_ns()}"
        shutil.copytree(self.after[("", *STAGES)[STAGES.index(stage)]], place)
        return place

    def ended_again(
        self, stage: str, place: Path, job: Job | None = None, whole: Path | None = None
    ) -> list[str]:
        """Run the stage once more without a fault, and say what is not as it should be."""
        finished = {path: path.stat().st_mtime_ns for path in place.rglob("*.parquet") if _finished(path)}
        code = in_a_child(self.does(stage, place, job), place)
        if code != 0:
            return [f"{stage}: ended with {code} when it was run again"]
        problems = differences(place, whole or self.after[stage])
        twice = [
            path.relative_to(place).as_posix()
            for path, written in finished.items()
            if path.relative_to(place).parts[0] in ("activations", "units", "concepts")
            and path.exists()
            and path.stat().st_mtime_ns != written
        ]
        return problems + [f"{stage}: {name} was made twice" for name in twice if job is None]


def _load_everything() -> None:
    """What the stages load when they need it, so that not each child loads it anew."""
    for module in pkgutil.walk_packages(cmon.__path__, "cmon."):
        if module.name != "cmon.__main__":
            importlib.import_module(module.name)
    logging.getLogger("cmon").addHandler(logging.NullHandler())  # warnings of so few images say nothing here
    torch.set_num_threads(1)  # threads do not outlive a fork
    style.DPI = (
        40  # what is promised of a figure does not depend on its pixels, and most of a report's time does
    )
    for name in (
        "bokeh.plotting",
        "filelock",
        "matplotlib.pyplot",
        "scipy.stats",
        "sklearn.manifold",
        "torchvision",
    ):
        importlib.import_module(name)


def _finished(path: Path) -> bool:
    """Whether a file is whole, and with it all that is made together with it: concepts and units of one group."""
    try:
        read_table(path)
        if "concepts" in path.parts:
            read_table(Path(*("units" if part == "concepts" else part for part in path.parts)))
    except cmon.CmonError:
        return False
    return True


def differences(place: Path, whole: Path) -> list[str]:
    """How a workspace differs from an undisturbed one: files that are missing or too many, tables of other values."""
    ours, theirs = _files(place), _files(whole)
    problems = [f"{name} is missing" for name in sorted(theirs.keys() - ours.keys())]
    problems += [f"{name} is left over" for name in sorted(ours.keys() - theirs.keys())]
    tables = sorted(name for name in ours.keys() & theirs.keys() if name.endswith(".parquet"))
    changed = [name for name in tables if not read_table(ours[name]).equals(read_table(theirs[name]))]
    problems += [f"{name} has other values" for name in changed]
    for name in sorted({path.name for root in (place, whole) for path in root.glob("cache/*-features-*")}):
        one, other = (_cached(root / "cache" / name) for root in (place, whole))
        if one != other:
            problems.append(f"cache/{name} holds other vectors")
    return problems


def _files(root: Path) -> dict[str, Path]:
    """The files that are to be the same after any fault, by their names.

    Not those of the lock; nor what holds seconds: the costs, and the list of the report's files with their hashes; nor
    CLIP's vectors, whose files have random names.
    """
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {
        name: path
        for name, path in found.items()
        if not name.startswith(".lock")
        and name not in _OF_ONE_MOMENT
        and "-features-" not in name.rpartition("/")[0]
    }


_OF_ONE_MOMENT = {"costs.parquet", "report/costs.parquet", "report/files.parquet"}


def _cached(folder: Path) -> dict[str, tuple[float, ...]]:
    """CLIP's vectors in a folder of the cache, by hash or text."""
    rows = [row for path in folder.glob("*.parquet") for row in read_table(path).to_pylist()]
    return {row.get("sha256") or row.get("text"): tuple(row["vector"]) for row in rows}


def instants(sweep: Sweep, points: int, generator: random.Random) -> Iterator[tuple[str, str, int]]:
    """(stage, kind of fault, instant), at instants drawn without replacement."""
    kinds = (*SIGNALS, *DISK)
    weights = {kind: (0.3 if kind in SIGNALS else 0.1) for kind in kinds}
    for stage in STAGES:
        place = sweep.before(stage)
        count = count_instants(sweep.does(stage, place), place)
        shutil.rmtree(place)
        for kind in kinds:
            share = 0.1 if stage == "report" else 0.3  # a report takes ten times as long
            wanted = max(1, round(points * share * weights[kind]))
            for instant in generator.sample(range(count), min(wanted, count)):
                yield stage, kind, instant


def broken_at_instants(sweep: Sweep, points: int, seed: int) -> list[Row]:
    rows = {
        kind: Row(kind, "the same command again gives the same tables, nothing left over, nothing made twice")
        for kind in (*SIGNALS, *DISK)
    }
    for stage, kind, at in instants(sweep, points, random.Random(seed)):
        place = sweep.before(stage)
        code = in_a_child(sweep.does(stage, place), place, Fault(kind, at))
        expected = {"SIGKILL": (-9, 0), "SIGINT": (130, 0)}.get(kind, (1, 0))
        problems = [] if code in expected else [f"{stage}: ended with {code}"]
        problems += sweep.ended_again(stage, place)
        rows[kind].add([f"{kind} at {at} of {stage}: {problem}" for problem in problems])
        shutil.rmtree(place)
    return list(rows.values())


def cut_files(sweep: Sweep) -> Row:
    row = Row("a file cannot grow beyond some size", "an error, and the same tables when there is room again")
    for stage, size in product(STAGES, (0, 500, 3000, 9000)):
        place = sweep.before(stage)
        code = in_a_child(sweep.does(stage, place), place, Fault("file size", size))
        problems = [] if code in (0, 1) else [f"{stage}: ended with {code}"]
        row.add([f"{size} bytes: {problem}" for problem in problems + sweep.ended_again(stage, place)])
        shutil.rmtree(place)
    return row


def stopped_scorings(sweep: Sweep, points: int, seed: int) -> Row:
    """A finished workspace is scored again with other words, and that is stopped."""
    row = Row(
        "another scoring is stopped, and embed or report follow",
        "they refuse, or their tables are of one scoring",
    )
    finished = sweep.after["report"]
    rescored = sweep.folder / "after" / "rescored"
    shutil.copytree(finished, rescored)
    assert in_a_child(sweep.does("score", rescored, sweep.other), rescored) == 0
    place = sweep.folder / "tried" / "stopped"
    shutil.copytree(finished, place)
    count = count_instants(sweep.does("score", place, sweep.other), place)
    shutil.rmtree(place)
    for at in random.Random(seed).sample(range(count), min(points, count)):
        shutil.copytree(finished, place)
        in_a_child(sweep.does("score", place, sweep.other), place, Fault("SIGKILL", at))
        problems = []
        for stage in ("embed", "report"):
            code = in_a_child(sweep.does(stage, place), place)
            if code == 0:  # the old state, whole, or the new one
                problems += mixed(place)
            elif code != 1:
                problems.append(f"{stage}: ended with {code}")
        problems += sweep.ended_again("score", place, sweep.other, whole_scores(place, rescored))
        row.add([f"at {at}: {problem}" for problem in problems])
        shutil.rmtree(place)
    return row


def whole_scores(place: Path, rescored: Path) -> Path:
    """The undisturbed rescoring, with what embed and report have made in `place` meanwhile."""
    wanted = place.parent / "wanted"
    shutil.rmtree(wanted, ignore_errors=True)
    shutil.copytree(rescored, wanted)
    for name in ("layout.parquet", "fidelity.parquet"):
        shutil.copy(place / name, wanted / name)
    shutil.rmtree(wanted / "report")
    shutil.copytree(place / "report", wanted / "report")
    return wanted


def mixed(place: Path) -> list[str]:
    """Whether labels and concepts are of more than one list of words."""
    workspace = Workspace(place)
    words = set(workspace.frame("vocabulary")["concept"])
    of_units = set(workspace.frame("units")["label"].dropna()) | set(workspace.frame("concepts")["concept"])
    return [] if of_units <= words else [f"labels {sorted(of_units - words)} are not among the concepts"]


def two_at_once(sweep: Sweep) -> Row:
    row = Row("two stages at once, all pairs", "the tables of one after the other, or one refuses")
    for one, other in product(STAGES, STAGES):
        place = sweep.before(min(one, other, key=STAGES.index))
        children = []
        for stage in (one, other):
            child = os.fork()
            if child == 0:
                os._exit(sweep.does(stage, place)())
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        problems = [f"ended with {code}" for code in codes if code not in (0, 1)]
        last = max(one, other, key=STAGES.index)
        for stage in STAGES[: STAGES.index(last) + 1]:
            if in_a_child(sweep.does(stage, place), place) != 0:
                problems.append(f"{stage} afterwards failed")
        row.add(
            [f"{one} and {other}: {problem}" for problem in problems + differences(place, sweep.after[last])]
        )
        shutil.rmtree(place)
    return row


def a_growing_folder(sweep: Sweep, repeat: int) -> Row:
    """A checkpoint is added while extract runs."""
    row = Row("a checkpoint is added while extract runs", "the tables of all epochs once it has run again")
    grown = Job(sweep.folder / "grown")
    grown.draw(epochs=2)
    whole = sweep.folder / "after" / "grown"
    for number in range(repeat):
        (grown.checkpoints / "epoch_2.pt").unlink(missing_ok=True)
        place = sweep.folder / "tried" / "growing"
        child = os.fork()
        if child == 0:
            os._exit(sweep.does("extract", place, grown)())
        time.sleep(0.05 * number)
        grown.save(2)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        problems = [] if code == 0 else [f"ended with {code}"]
        if not whole.exists():
            in_a_child(sweep.does("extract", whole, grown), whole)
        if in_a_child(sweep.does("extract", place, grown), place) != 0:
            problems.append("extract afterwards failed")
        row.add(problems + differences(place, whole))
        shutil.rmtree(place)
    return row


def many_checkpoints(sweep: Sweep, count: int) -> Row:
    """One after the other in one process, each through all stages but the report."""
    row = Row(f"{count} checkpoints, one after the other", "memory and open files do not grow")
    long = Job(sweep.folder / "long")
    long.draw(epochs=1)
    place = sweep.folder / "tried" / "long"

    def work() -> int:
        half = (0.0, 0)
        for epoch in range(1, count):
            long.save(epoch)
            for stage in ("extract", "score"):
                long.run(stage, place)
            if epoch == count // 2:
                gc.collect()
                half = used_megabytes(), len(os.listdir("/proc/self/fd"))
        gc.collect()
        memory, files = used_megabytes(), len(os.listdir("/proc/self/fd"))
        print(f"{count} checkpoints: {half} -> {(memory, files)} MB and open files", file=sys.stderr)
        return int(memory > half[0] * 1.05 + 5 or files > half[1])

    code = in_a_child(work, place)
    row.tried = count
    row.broken = [] if code == 0 else [f"ended with {code}"]
    return row


def used_megabytes() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


@click.command()
@click.option("--points", default=260, show_default=True, help="Instants at which a stage is broken.")
@click.option("--seed", default=0, show_default=True)
@click.option("--checkpoints", default=200, show_default=True, help="Of the run that only grows.")
@click.option("--short", is_flag=True, help="Only faults at instants, and a few of the rest.")
def main(points: int, seed: int, checkpoints: int, short: bool) -> None:
    """Break every stage, end it again, and compare."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cmon-soak-") as folder:
        sweep = Sweep(Path(folder))
        rows = broken_at_instants(sweep, points, seed)
        rows.append(stopped_scorings(sweep, max(3, points // 8), seed))
        if not short:
            rows += [cut_files(sweep), two_at_once(sweep), a_growing_folder(sweep, 12)]
            rows.append(many_checkpoints(sweep, checkpoints))
    print("| fault | tried | promised | broken |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.fault} | {row.tried} | {row.promised} | {len(row.broken)} |")
    for row in rows:
        for problem in row.broken:
            print(f"- {problem}")
    print(f"\n{sum(row.tried for row in rows)} faults, {time.monotonic() - start:.0f} s", file=sys.stderr)
    sys.exit(any(row.broken for row in rows))


if __name__ == "__main__":
    main()
