"""How fast and how small scoring is, against CLIP-Dissect's way in plain torch, in the same run.

    python -m scripts.bench.score [--epochs 10] [--units 512] [--images 10000] [--concepts 20000]

Two baselines (`plain_scoring`): CLIP-Dissect's own way makes the product of images and concepts, and its softmax, again
for each layer and epoch; a user who thinks of it makes them once. Both are timed on one epoch and scaled; cmon is timed
on one epoch and on the whole job. Beside the seconds stand those of all processors together, which other programs on
the machine change less. Vectors are drawn with the cosines of a CLIP between images and texts. Peak memory is that of a
process of its own.

Prints Markdown.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import torch
from torch import Tensor

from cmon.scoring import labelling
from cmon.scoring.block_scores import Method
from cmon.scoring.priors import NullPrior
from cmon.scoring.similarity.base import Similarity, concatenate, unstable_ranking
from cmon.scoring.similarity.blocks import Block, map_blocks
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.top_k import top_k
from scripts.bench.plain_scoring import PLAIN_WAYS
from scripts.bench.scoring_job import WIDTH, Job

LOOPED_UNITS = 8
"""Units on which the baseline of rank_reorder, two sorts per unit and concept, is timed."""
COLUMNS = (
    "function", "images", "plain, an epoch", "cmon, an epoch", "times as fast", "cmon, all epochs", "times as fast",
    "than with the product made once", "largest difference of scores",
)  # fmt: skip


# -- ours ----------------------------------------------------------------------------------------------


def ours(function: Similarity, images: Tensor, texts: Tensor, epochs: list[Tensor]) -> list[Tensor]:
    """CLIP-Dissect's scores, (K,C) of each epoch, from one pass over the concepts for all epochs."""
    units = [function.units(images, activations, unstable_ranking) for activations in epochs]
    sizes = [activations.shape[1] for activations in epochs]
    scores = [torch.empty(size, len(texts), device=images.device) for size in sizes]
    everything = concatenate(units)

    def work(_: slice, block: Block) -> list[Tensor]:
        found = function.evidence(block, everything).split(sizes)
        return [evidence - function.layer_prior(evidence) for evidence in found]

    for concepts, found in map_blocks(work, function.blocks(images, texts), images.device):
        for score, part in zip(scores, found, strict=True):
            score[:, concepts] = part
    return scores


def as_the_stage(
    function: Similarity, images: Tensor, texts: Tensor, epochs: list[Tensor], pseudo_units: int
) -> None:
    """What `cmon score` does between reading and writing: null prior, ten best concepts, pseudo-units' best scores."""
    method = Method(function, NullPrior(), pseudo_units)
    layers = []
    for activations in epochs:
        top = top_k(activations.T, function.top_images(len(images)) or 10).indices
        layers.append(labelling.keep_layer(method, images, activations, top))
    labelling.label(method, images, texts, layers)


# -- the tables ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seconds:
    """What some work took: by the clock, and of all processors together."""

    wall: float
    processors: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.processors + other.processors)

    def __mul__(self, times: float) -> Seconds:
        return Seconds(self.wall * times, self.processors * times)

    def __str__(self) -> str:
        return f"{self.wall:.2f} s (CPU {self.processors:.2f})"

    def times(self, other: Seconds) -> str:
        """How many times as long as the other."""
        return f"{self.wall / other.wall:.1f} (CPU {self.processors / other.processors:.1f})"


def timed(work: Callable[[], object], repeat: int = 1) -> Seconds:
    """The least of the repeats, of each of the two."""
    found = []
    for _ in range(repeat):
        start, before = time.perf_counter(), time.process_time()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append((time.perf_counter() - start, time.process_time() - before))
    return Seconds(*(min(times) for times in zip(*found, strict=True)))


def speed_row(name: str, job: Job, repeat: int) -> str:
    images, texts = job.vectors()
    epochs = job.activations(images, texts)
    way, function = PLAIN_WAYS[name], SIMILARITIES[name]()
    sorts = name == "rank_reorder"
    few = LOOPED_UNITS if sorts else job.units
    preparing = timed(lambda: way.prepare(images, texts), repeat)
    made, wanted = [way.prepare(images, texts)], []
    scoring = timed(lambda: wanted.append(way.score(made[0], epochs[0][:, :few])), 1 if sorts else repeat)
    made.clear()
    scoring = scoring * (job.units / few)
    plain = preparing + scoring
    once = preparing + scoring * job.epochs
    found: list[list[Tensor]] = []

    def run(some: list[Tensor]) -> None:
        found.clear()
        found.append(ours(function, images, texts, some))

    run([epochs[0][:, :few]])  # compiles, or loads what is compiled
    difference = (found[0][0] - wanted[0][: len(found[0][0])]).abs().max().item()
    an_epoch = timed(partial(run, epochs[:1]), 1 if sorts else repeat)
    everything = an_epoch * job.epochs if sorts else timed(partial(run, epochs), repeat)
    return (
        f"| {name} | {job.images:,} | {plain} | {an_epoch} | {plain.times(an_epoch)} | {everything} "
        f"| {(plain * job.epochs).times(everything)} | {once.times(everything)} | {difference:.1e} |"
    )


def peak_mb() -> float:
    """Of this process; not getrusage's, which on Linux starts from the size of the process that started this one."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measured_memory(way: str, job: Job) -> dict[str, float]:
    """Seconds and peak memory of one way, in a process of its own."""
    arguments = [f"--{key}={value}" for key, value in vars(job).items()]
    command = [sys.executable, "-m", "scripts.bench.score", "--alone", way, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def alone(way: str, job: Job, pseudo_units: int) -> None:
    images, texts = job.vectors()
    epochs = job.activations(images, texts)
    before = peak_mb()
    function = SIMILARITIES["soft_wpmi"]()
    way_of = PLAIN_WAYS["soft_wpmi"]

    def plain(activations: Tensor) -> Tensor:
        return way_of.score(way_of.prepare(images, texts), activations)

    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: plain(epochs[0][:, :LOOPED_UNITS]),
        "ours": lambda: ours(function, images, texts, epochs),
        "stage": lambda: as_the_stage(function, images, texts, epochs, pseudo_units),
    }
    took = timed(ways[way])
    print(json.dumps({"seconds": took.wall, "peak": peak_mb(), "inputs": before}))


@click.command()
@click.option("--epochs", default=10, show_default=True)
@click.option("--units", default=512, show_default=True)
@click.option("--images", default=10_000, show_default=True)
@click.option("--concepts", default=20_000, show_default=True)
@click.option("--pseudo-units", default=4096, show_default=True)
@click.option(
    "--large-images", default=60_000, show_default=True, help="For soft_wpmi's second row; 0: none."
)
@click.option(
    "--memory-images", default=60_000, show_default=True, help="For the peak memory; 0: not measured."
)
@click.option(
    "--similarity", "names", type=click.Choice(list(SIMILARITIES)), multiple=True, help="Default: all."
)
@click.option("--repeat", default=3, show_default=True, help="Every time is the least of so many.")
@click.option("--device", default="cpu", show_default=True, help="Of both ways: cpu or cuda.")
@click.option("--alone", "way", type=click.Choice(["plain", "ours", "stage"]), hidden=True)
@torch.no_grad()
def main(
    epochs: int,
    units: int,
    images: int,
    concepts: int,
    pseudo_units: int,
    large_images: int,
    memory_images: int,
    names: tuple[str, ...],
    repeat: int,
    device: str,
    way: str | None,
) -> None:
    job = Job(epochs, units, images, concepts, device)
    if way:
        alone(way, job, pseudo_units)
        return
    print(
        f"{epochs} epochs x {units} units, {images:,} images, {concepts:,} concepts, {WIDTH}-d features, "
        f"{torch.cuda.get_device_name() if device == 'cuda' else f'{torch.get_num_threads()} cores'}, "
        f"torch {torch.__version__}\n"
    )
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for name in names or SIMILARITIES:
        print(speed_row(name, job, repeat), flush=True)
    if large_images and "soft_wpmi" in (names or SIMILARITIES):
        print(speed_row("soft_wpmi", replace(job, images=large_images), 1), flush=True)
    print(
        "\nOf rank_reorder the plain way is timed on "
        f"{LOOPED_UNITS} units and scaled, and cmon's time of one epoch counts for each. It may order two images "
        "otherwise whose cosines with a concept are equal to within float32; its largest difference is that.\n"
    )
    vectors = job.vectors()
    layers = job.activations(*vectors)
    function = SIMILARITIES["soft_wpmi"]()
    both = [
        timed(partial(as_the_stage, function, *vectors, layers, count), repeat) for count in (1, pseudo_units)
    ]
    print(
        f"As `cmon score` runs it (soft_wpmi, null prior, ten best concepts): {both[1]} with "
        f"{pseudo_units:,} pseudo-units, {both[0]} without.\n"
    )
    if device == "cuda":
        print(f"Largest GPU memory: {torch.cuda.max_memory_allocated() / 1e6:.0f} MB.")
    elif memory_images:
        large = Job(1, units, memory_images, concepts)
        print(f"Peak memory, one epoch of {units} units, {memory_images:,} images, {concepts:,} concepts:\n")
        print("| way | seconds | peak, MB | of that before scoring, MB |")
        print("|---|---|---|---|")
        label = {"plain": f"plain, {LOOPED_UNITS} units", "ours": "cmon", "stage": "cmon as the stage"}
        for way, text in label.items():
            found = measured_memory(way, large)
            print(
                f"| {text} | {found['seconds']:.1f} | {found['peak']:.0f} | {found['inputs']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
