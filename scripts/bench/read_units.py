"""Reading a layer's units for scoring: from all activations, and from the images that `extract` kept of each unit.

    python -m scripts.bench.read_units [--images 60000] [--units 2048]

Both are read from files of one drawn workspace, by turns; their top images are compared. What an extraction pays for
keeping them is measured beside. Prints Markdown.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import torch

from cmon.extraction.blocks import TopOfBlocks
from cmon.scoring.top_units import from_activations, from_top_images
from cmon.workspace import schemas, top_images
from cmon.workspace.workspace import Workspace

_BLOCK = 8192
"""Images whose activations an extraction holds at a time, about."""


@click.command()
@click.option("--images", default=60_000, show_default=True)
@click.option("--units", default=2048, show_default=True)
@click.option("--repeats", default=3, show_default=True, help="Of which the least seconds count.")
def main(images: int, units: int, repeats: int) -> None:
    """Print seconds, bytes and whether both ways give the same."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        keeping = _draw(workspace, images, units)
        shard = {"run": "a", "layer": "fc", "epoch": 0.0, "origin": "drawn"}
        ids, order = np.arange(images), torch.randperm(images, generator=torch.Generator().manual_seed(0))

        def read_all() -> Any:
            return from_activations(workspace, shard, ids, order, 100, torch.device("cpu"))

        def read_kept() -> Any:
            return from_top_images(workspace, shard, ids, order, 100)

        seconds: dict[str, list[tuple[float, float]]] = {"all activations": [], "top images": []}
        for _ in range(repeats):
            wanted = _timed(read_all, seconds["all activations"])
            found = _timed(read_kept, seconds["top images"])
        same = torch.equal(wanted.top.indices, found.top.indices)
        sizes = {
            "all activations": workspace.activations("a", "fc", 0.0).stat().st_size,
            "top images": next(workspace.cache.glob("top-images-*")).stat().st_size,
        }
    click.echo(f"{images:,} images, {units:,} units, {torch.get_num_threads()} threads:\n")
    click.echo("| read from | MB | seconds | processor s |\n|---|---|---|---|")
    for name, times in seconds.items():
        wall, processor = (min(column) for column in zip(*times, strict=True))
        click.echo(f"| {name} | {sizes[name] / 1e6:.1f} | {wall:.2f} | {processor:.2f} |")
    click.echo(f"\nthe same images in the same order: {'yes' if same else 'NO'}; ", nl=False)
    click.echo(f"finding them while extracting: {keeping:.2f} s")


def _draw(workspace: Workspace, images: int, units: int) -> float:
    """Write activations of rectified units and what is kept of them; the seconds that keeping took."""
    random = np.random.default_rng(0)
    path, ids = workspace.activations("a", "fc", 0.0), np.arange(images, dtype=np.int32)
    top, seconds = TopOfBlocks(), 0.0
    with workspace.writing("bench"):
        with workspace.writing_blocks(path, schemas.activations(units), pa.array(ids), "drawn") as add:
            for start in range(0, images, _BLOCK):
                rows = min(_BLOCK, images - start)
                block = random.standard_normal((rows, units), dtype=np.float32).clip(0)
                add(block)
                began = time.perf_counter()
                top.add(torch.from_numpy(block))
                seconds += time.perf_counter() - began
        began = time.perf_counter()
        top_images.write(workspace, "a", "fc", 0.0, ids, top.found())
        return seconds + time.perf_counter() - began


def _timed(call: Callable[[], Any], times: list[tuple[float, float]]) -> Any:
    wall, processor = time.perf_counter(), time.process_time()
    found = call()
    times.append((time.perf_counter() - wall, time.process_time() - processor))
    return found


if __name__ == "__main__":
    main()
