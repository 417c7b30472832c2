"""Peak memory of `cmon extract` where images times units are many: a thin network with ResNet-50's 26,560 units.

    python -m scripts.bench.many_units [--images 2000 --images 8000 --images 32000]

The units lie in 53 layers, as ResNet-50's convolutions; pictures have 8 x 8 pixels, so that many images take minutes.
Every row is a process of its own. Prints Markdown.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cmon.images.preprocessing import ResizeCrop

LAYERS, UNITS = 53, 26_560


class Thin(nn.Module):
    """Layers side by side, of one multiplication for each pixel's color and unit."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [UNITS // LAYERS + (layer < UNITS % LAYERS) for layer in range(LAYERS)]
        self.layers = nn.ModuleList(nn.Conv2d(3, size, 1) for size in sizes)
        self.preprocess = ResizeCrop(8, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([layer(images).mean((2, 3)) for layer in self.layers], dim=1)


def network() -> nn.Module:
    return Thin()


def draw(folder: Path, count: int) -> None:
    """Pictures of noise."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:07}.png")


def measure(folder: Path) -> None:
    """Extract in this process, and print its peak memory and where it stood before, in MB."""
    import cmon
    from cmon.workspace.costs import peak_memory_mb

    before = peak_memory_mb()
    cmon.extract(
        folder / "workspace", {"a": folder / "run"}, folder / "probe", workers=0, device="cpu", batch_size=64,
        model="python:scripts.bench.many_units:network", layers=["layers.*"],
    )  # fmt: skip
    click.echo(f"{peak_memory_mb():.0f} | {before:.0f}")


@click.command()
@click.option("--images", "counts", type=int, multiple=True, default=(2000, 8000, 32_000), show_default=True)
@click.option(
    "--alone", type=click.Path(path_type=Path), hidden=True, help="Measure in this process, in the folder."
)
def main(counts: tuple[int, ...], alone: Path | None) -> None:
    """Print a row for each number of images."""
    if alone is not None:
        measure(alone)
        return
    click.echo(
        "| images | units | activations, MB | peak, MB | of that before the stage, MB |\n|---|---|---|---|---|"
    )
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            draw(folder / "probe", count)
            (folder / "run").mkdir()
            torch.manual_seed(0)
            torch.save(network().state_dict(), folder / "run" / "epoch_0.pt")
            command = [sys.executable, "-m", "scripts.bench.many_units", "--alone", scratch]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        size = f"{count:,} | {UNITS:,} | {4e-6 * count * UNITS:,.0f}"
        click.echo(f"| {size} | {done.stdout.splitlines()[-1]} |")


if __name__ == "__main__":
    main()
