"""What a Ray cluster gains and costs: 1 and 2 workers beside one process, an empty task, the gathering of many files.

    OMP_NUM_THREADS=1 python -m scripts.bench.cluster [--checkpoints 12] [--images 48] [--tasks 500] [--files 10000]

ResNet-18 checkpoints of random weights and drawn pictures, one thread for each worker; the activations of all ways
are compared, value for value. Workers have loaded what they need when the clock starts: that is a row of its own.
Prints Markdown.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import ray
import torch
import torchvision
from PIL import Image

import cmon
from cmon.distributed import on_ray
from cmon.extraction.tables import write_rows
from cmon.workspace import schemas
from cmon.workspace.files import digest
from cmon.workspace.table_files import is_fresh
from cmon.workspace.workspace import Workspace


def nothing(common: int, task: int) -> int:
    """A task that does nothing."""
    return common + task


@contextmanager
def cluster(workers: int) -> Iterator[None]:
    """A cluster of this machine with so many processors."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()


def draw(folder: Path, checkpoints: int, images: int) -> None:
    (folder / "run").mkdir(parents=True)
    (folder / "first").mkdir()
    (folder / "probe").mkdir()
    for epoch in range(checkpoints):
        torch.manual_seed(epoch)
        content = {"epoch": epoch, "state_dict": torchvision.models.resnet18().state_dict()}
        torch.save(content, folder / "run" / f"epoch_{epoch}.pt")
    for epoch in range(min(2, checkpoints)):
        os.link(folder / "run" / f"epoch_{epoch}.pt", folder / "first" / f"epoch_{epoch}.pt")
    random = np.random.default_rng(0)
    for number in range(images):
        picture = Image.fromarray(random.integers(0, 255, (256, 256, 3), dtype=np.uint8))
        picture.save(folder / "probe" / f"{number:04}.png")


def extract(folder: Path, root: str, run: str, address: str | None = None) -> float:
    """Seconds of `cmon.extract`."""
    start = time.perf_counter()
    cmon.extract(
        folder / root, {"run": folder / run}, folder / "probe", model="torchvision:resnet18",
        layers=["layer3", "layer4"], device="cpu", workers=0, ray=address,
    )  # fmt: skip
    return time.perf_counter() - start


def speed(folder: Path) -> tuple[dict[str, float], bool]:
    """Seconds of each way, and whether all gave the same activations."""
    extract(folder, "warm", "first")
    seconds = {"one process": extract(folder, "alone", "run")}
    for workers in (1, 2):
        with cluster(workers):
            seconds[f"{workers} workers, first call"] = extract(folder, f"warm {workers}", "first", "local")
            seconds[f"{workers} workers"] = extract(folder, f"on {workers}", "run", "local")
    places = [Workspace(folder / name) for name in ("alone", "on 1", "on 2")]
    rows = places[0].read("shards")
    same = all(
        place.read("shards").equals(rows)
        and place.read_group("activations", row).equals(places[0].read_group("activations", row))
        for place in places[1:]
        for row in rows.to_pylist()
    )
    return seconds, same


def seconds_per_task(tasks: int) -> float:
    with cluster(1), on_ray.connect("local", "cpu", 1) as runner:
        list(runner.run(nothing, 1, range(8)))
        start = time.perf_counter()
        list(runner.run(nothing, 1, range(tasks)))
        return (time.perf_counter() - start) / tasks


def gather(folder: Path, files: int) -> tuple[float, float]:
    """Seconds to see that all files are fresh, and to write the tables that list them."""
    place = Workspace(folder)
    rows = [{"image_id": number, "path": f"/{number}.png", "status": "ok"} for number in range(4)]
    place.write(place.table("images"), pa.Table.from_pylist(rows, schema=schemas.IMAGES), "drawn")
    columns = [pa.array(range(4), pa.int32()), schemas.vectors(np.zeros((4, 8), np.float32))]
    table = pa.Table.from_arrays(columns, schema=schemas.activations(8))
    shards: list[dict[str, Any]] = []
    for number in range(files):
        run, epoch = f"run{number // 100:03}", float(number % 100)
        origin = digest("drawn", number)
        place.write(place.activations(run, "layer", epoch), table, origin, {}, {"images": "drawn"})
        shards.append(
            {"run": run, "layer": "layer", "epoch": epoch, "units": 8, "axes": "flat", "pooling": "avg",
             "origin": origin}
        )  # fmt: skip
    start = time.perf_counter()
    fresh = [is_fresh(place.activations(row["run"], "layer", row["epoch"]), row["origin"]) for row in shards]
    if not all(fresh):
        raise click.ClickException("a file that was just written is not fresh")
    looked = time.perf_counter()
    write_rows(place, {"checkpoints": [], "shards": shards}, {"probe": "drawn"})
    return looked - start, time.perf_counter() - looked


@click.command()
@click.option("--checkpoints", default=12, show_default=True)
@click.option("--images", default=48, show_default=True)
@click.option("--tasks", default=500, show_default=True)
@click.option("--files", default=10_000, show_default=True)
def main(checkpoints: int, images: int, tasks: int, files: int) -> None:
    """Time a cluster of this machine alone."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="cmon-bench-") as name:
        folder = Path(name)
        draw(folder, checkpoints, images)
        seconds, same = speed(folder)
        task = seconds_per_task(tasks)
        looking, writing = gather(folder / "many", files)
    print(
        f"{checkpoints} ResNet-18 checkpoints, {images} images, one thread each\n\n| way | seconds |\n|---|---|"
    )
    for way, value in seconds.items():
        print(f"| {way} | {value:.1f} |")
    print(f"\nspeed-up of 2 workers over 1: {seconds['1 workers'] / seconds['2 workers']:.2f}", end="; ")
    print(f"the activations are {'equal' if same else 'NOT EQUAL'}\n\n| what | |\n|---|---|")
    print(f"| a task that does nothing | {1e3 * task:.1f} ms |")
    print(f"| gathering {files:,} activation files: are they fresh | {looking:.1f} s |")
    print(f"| and their tables | {writing:.1f} s |")


if __name__ == "__main__":
    main()
