"""How time and memory of a stage grow: with images, units, concepts, checkpoints and cores, three points each.

    python -m scripts.bench.growth [--stage score]

Every point is a process of its own, on a workspace that is drawn; all other sizes stay as they stand above the table.
Seconds are those of all processors together. Prints Markdown.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from cmon.workspace.costs import peak_memory_mb
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class Size:
    """What a stage works on."""

    images: int = 5000
    units: int = 512
    """Of one checkpoint."""
    concepts: int = 5000
    checkpoints: int = 4
    cores: int = 2
    """Threads of torch: more than the machine has take no less time, and as much memory as where there are so many."""


RUNS = 3
"""Of embed and report: a point is a unit of a run at a checkpoint."""


@dataclass(frozen=True)
class Stage:
    """A stage whose growth is measured."""

    prepare: Callable[[Path, Size], None]
    """Make what it reads, in an empty folder; this is not measured."""
    load: Callable[[Path, Size], Callable[[], object]]
    """Gives the call that is measured; what comes before it counts for the memory only."""
    points: Mapping[str, tuple[int, int, int]]
    """Fields of `Size` to the values that they take."""
    usual: Size = Size()
    """What all other fields are."""


def prepare_score(folder: Path, size: Size) -> None:
    from cmon.extraction.tables import write_rows
    from scripts.bench.drawn_workspace import write_epoch, write_images

    place, random = Workspace(folder), np.random.default_rng(0)
    write_images(place, size.images)
    shape = (size.images, size.units)
    rows = [
        write_epoch(place, epoch, random.standard_normal(shape, np.float32))
        for epoch in range(size.checkpoints)
    ]
    write_rows(place, {"checkpoints": [], "shards": rows}, {"probe": "drawn"})


def load_score(folder: Path, size: Size) -> Callable[[], object]:
    import torch

    from cmon.concepts import Concept
    from cmon.scoring.settings import ScoreSettings
    from cmon.scoring.stage import score
    from scripts.bench.drawn_workspace import DrawnFeatures
    from scripts.bench.scoring_job import Job

    torch.set_num_threads(size.cores)
    features = DrawnFeatures(Job(size.checkpoints, size.units, size.images, size.concepts))
    words = [Concept(f"word {number}", None) for number in range(size.concepts)]
    return lambda: score(Workspace(folder), words, features, ScoreSettings())


def prepare_points(folder: Path, size: Size) -> None:
    from scripts.bench.many_points import write_many_points

    write_many_points(folder, RUNS, size.checkpoints, size.units)


def load_embed(folder: Path, size: Size) -> Callable[[], object]:
    import cmon

    return lambda: cmon.embed(folder / "workspace")


def load_report(folder: Path, size: Size) -> Callable[[], object]:
    import cmon

    return lambda: cmon.report(folder / "workspace")


STAGES = {
    "score": Stage(
        prepare_score,
        load_score,
        {
            "images": (5_000, 15_000, 45_000),
            "units": (256, 1024, 4096),
            "concepts": (2_000, 6_000, 18_000),
            "checkpoints": (2, 8, 24),
            "cores": (1, 8, 64),
        },
    ),
    "embed": Stage(prepare_points, load_embed, {"checkpoints": (5, 15, 42)}, Size(units=4_000)),
    "report": Stage(prepare_points, load_report, {"checkpoints": (5, 15, 50)}, Size(units=4_000)),
}


def measure(stage: Stage, folder: Path, size: Size) -> dict[str, Any]:
    """In a process that has done nothing else: CPU seconds, and peak memory at the end and before, in MB."""
    call = stage.load(folder, size)
    before, start = peak_memory_mb(), time.process_time()
    call()
    return {"seconds": time.process_time() - start, "peak": peak_memory_mb(), "before": before}


def measure_alone(name: str, size: Size) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="cmon-bench-") as folder:
        arguments = [f"--{what}={json.dumps(asdict(size))}" for what in ("prepare", "alone")]
        for argument in arguments:
            command = [sys.executable, "-m", "scripts.bench.growth", "--stage", name, "--folder", folder]
            done = subprocess.run([*command, argument], capture_output=True, text=True, check=False)
            if done.returncode:
                raise click.ClickException(f"{name} at {size} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@click.command()
@click.option(
    "--stage", "names", type=click.Choice(list(STAGES)), multiple=True, help="Default: all that there are."
)
@click.option("--prepare", hidden=True, help="Of this size, in the folder.")
@click.option("--alone", hidden=True, help="Measure this size in this process.")
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(names: tuple[str, ...], prepare: str | None, alone: str | None, folder: Path | None) -> None:
    """Print a table of how each stage grows."""
    if folder:
        stage = STAGES[names[0]]
        if prepare:
            stage.prepare(folder, Size(**json.loads(prepare)))
        if alone:
            print(json.dumps(measure(stage, folder, Size(**json.loads(alone)))))
        return
    for name in names or STAGES:
        stage = STAGES[name]
        rest = ", ".join(f"{value:,} {field}" for field, value in asdict(stage.usual).items())
        print(f"{name}, where nothing else is said of {rest}:\n")
        print(
            "| grows | size | CPU seconds | peak, MB | of that before the stage, MB |\n|---|---|---|---|---|"
        )
        for field, values in stage.points.items():
            for value in values:
                found = measure_alone(name, replace(stage.usual, **{field: value}))
                print(
                    f"| {field} | {value:,} | {found['seconds']:.1f} | {found['peak']:.0f} | {found['before']:.0f} |",
                    flush=True,
                )
        print()


if __name__ == "__main__":
    main()
