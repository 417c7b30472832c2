"""What it gains to run one checkpoint in pieces: two workers of a Ray cluster, without pieces and with them.

    OMP_NUM_THREADS=1 python -m scripts.bench.pieces [--images 640] [--least 80] [--probe FOLDER]

A ResNet-18 of random weights on drawn pictures or on those of a folder, one thread for each worker; the activations of
all ways are compared, value for value. Images are decoded, and workers have loaded what they need, when the clock
starts. Prints Markdown.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click
import pyarrow as pa
import torch

from cmon.extraction import pieces
from cmon.workspace.workspace import Workspace
from scripts.bench.cluster import cluster, draw, extract
from scripts.bench.extract import copy_photographs

WAYS = ("whole", "in pieces")


def speed(folder: Path, least: int) -> tuple[list[dict[str, float]], bool]:
    """Seconds of each way, twice, and whether all gave the activations of one process."""
    extract(folder, "work", "run")
    alone = activations(folder)
    turns: list[dict[str, float]] = []
    same = True
    with cluster(2):
        for ways in (WAYS[1:], WAYS, WAYS):  # in the first turn workers load what they need
            turns.append({})
            for way in ways:
                pieces.LEAST = least if way == "in pieces" else 1 << 40
                shutil.rmtree(folder / "work" / "activations")
                turns[-1][way] = extract(folder, "work", "run", "local")
                same = same and activations(folder) == alone
    return turns[1:], same


def activations(folder: Path) -> list[pa.Table]:
    workspace = Workspace(folder / "work")
    return [workspace.read_group("activations", row) for row in workspace.read("shards").to_pylist()]


@click.command()
@click.option("--images", default=640, show_default=True)
@click.option("--least", default=80, show_default=True, help="Images of a piece at least.")
@click.option(
    "--probe", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Pictures to copy."
)
def main(images: int, least: int, probe: Path | None) -> None:
    """Time one checkpoint on a cluster of two workers on this machine."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="cmon-bench-") as name:
        folder = Path(name)
        draw(folder, 1, 1 if probe else images)
        if probe:
            shutil.rmtree(folder / "probe")
            copy_photographs(probe, images, folder / "probe")
        turns, same = speed(folder, least)
    print(
        f"one ResNet-18 checkpoint, {images} images, 2 workers of one thread\n\n| | {' | '.join(WAYS)} | ratio |"
    )
    print("|---|---|---|---|")
    for turn in turns:
        whole, divided = (turn[way] for way in WAYS)
        print(f"| seconds | {whole:.1f} | {divided:.1f} | {whole / divided:.2f} |")
    print(f"\nthe activations are {'equal' if same else 'NOT EQUAL'}")


if __name__ == "__main__":
    main()
