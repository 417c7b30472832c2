"""How fast and how small scoring is, against CLIP-Dissect's way in plain torch, in the same run.

    python -m scripts.bench.score [--epochs 10] [--units 512] [--images 10000] [--concepts 20000]

The baseline, per layer and epoch: the whole softmax matrix, and a Python loop over units that gathers the top
images' rows and sums logarithms (or sorts, for rank_reorder). It is timed on one epoch and scaled; cmon is timed
on the whole job; for rank_reorder both on a few units, and scaled. The table says so. Vectors are drawn with the
cosines of a CLIP between images and texts. Peak memory is that of a process of its own.

Prints Markdown.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cmon.scoring import labelling
from cmon.scoring.block_scores import Method
from cmon.scoring.priors import NullPrior
from cmon.scoring.similarity.base import Similarity, concatenate, unstable_ranking
from cmon.scoring.similarity.blocks import Block, map_blocks
from cmon.scoring.similarity.registry import SIMILARITIES
from cmon.scoring.similarity.top_k import top_k

WIDTH = 512
LOOPED_UNITS = 8
"""Units on which the baseline of rank_reorder, two sorts per unit and concept, is timed."""
SORTED_UNITS = 64
"""Units on which cmon's rank_reorder, one sort per unit and concept, is timed."""


@dataclass(frozen=True)
class Job:
    epochs: int
    units: int
    images: int
    concepts: int
    device: str = "cpu"

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Unit vectors of images and texts in two cones, as CLIP's are, that share 300 topics."""
        generator = torch.Generator().manual_seed(0)

        def draw(count: int) -> Tensor:
            return normalize(torch.randn(count, WIDTH, generator=generator), dim=1)

        topics, shared, of_images, of_texts = draw(300), draw(1), draw(1), draw(1)
        images, texts = (
            normalize(
                0.45 * shared
                + 0.6 * cone
                + 0.4 * topics[torch.randint(300, (count,), generator=generator)]
                + 0.5 * draw(count),
                dim=1,
            )
            for cone, count in ((of_images, self.images), (of_texts, self.concepts))
        )
        return images.to(self.device), texts.to(self.device)

    def activations(self, images: Tensor, texts: Tensor) -> list[Tensor]:
        """(N,K) of each epoch: every unit follows a concept, with noise that falls from epoch to epoch."""
        generator = torch.Generator().manual_seed(1)
        followed = torch.randint(len(texts), (self.units,), generator=generator)
        signal = (images @ texts[followed].T).cpu()
        signal = (signal - signal.mean(dim=0)) / signal.std(dim=0)
        return [
            torch.relu(signal + 3 / (1 + epoch) * torch.randn(signal.shape, generator=generator)).to(
                self.device
            )
            for epoch in range(self.epochs)
        ]


# -- CLIP-Dissect's way --------------------------------------------------------------------------------


def plain_wpmi(
    images: Tensor, texts: Tensor, activations: Tensor, a: float, top_k: int, lam: float, soft: bool
) -> Tensor:
    probabilities = torch.softmax(a * (images @ texts.T), dim=1)
    top = activations.topk(top_k, dim=0).indices
    belongs = (0.998 - torch.arange(top_k, device=images.device) / top_k * (0.998 - 0.97))[:, None]
    evidence = []
    for unit in range(activations.shape[1]):
        rows = probabilities.gather(0, top[:, unit, None].expand(-1, len(texts)))
        if soft:
            rows = 1 + belongs * (rows - 1)
        evidence.append(torch.log(rows + 1e-7).sum(dim=0))
    found = torch.stack(evidence)
    return found - lam * (torch.logsumexp(found, dim=0) - math.log(len(found)))


def plain_rank_reorder(images: Tensor, texts: Tensor, activations: Tensor) -> Tensor:
    cosines = images @ texts.T
    values, top = activations.topk(int(len(images) * 0.05), dim=0)
    scores = []
    for unit in range(activations.shape[1]):
        seen = cosines.gather(0, top[:, unit, None].expand(-1, len(texts)))
        ranks = seen.argsort(dim=0).argsort(dim=0)
        activation = values[:, unit, None]
        rising = activation.flip(0)
        chance = (rising - rising.T).abs().pow(3).mean()  # exact, so that results can be compared
        error = (activation - rising.expand(-1, len(texts)).gather(0, ranks)).abs().pow(3).mean(dim=0)
        scores.append(-error / chance / seen.mean(dim=0).sqrt())
    return torch.stack(scores)


def plain_cosine(images: Tensor, texts: Tensor, activations: Tensor, cubed: bool) -> Tensor:
    vectors = []
    for columns in (activations, images @ texts.T):
        if cubed:
            columns = (columns - columns.mean(dim=0)) ** 3
        vectors.append(columns / columns.norm(dim=0).clip(1e-3 if cubed else 0))
    return vectors[0].T @ vectors[1]


BASELINES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "soft_wpmi": partial(plain_wpmi, a=10, top_k=100, lam=1, soft=True),
    "wpmi": partial(plain_wpmi, a=2, top_k=28, lam=0.6, soft=False),
    "rank_reorder": plain_rank_reorder,
    "cos_similarity": partial(plain_cosine, cubed=False),
    "cos_similarity_cubed": partial(plain_cosine, cubed=True),
}


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


def seconds(work: Callable[[], object], repeat: int = 1) -> float:
    """The least of the repeats."""
    found = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found)


def speed_row(name: str, job: Job, repeat: int) -> str:
    images, texts = job.vectors()
    epochs = job.activations(images, texts)
    function = SIMILARITIES[name]()
    sorts = name == "rank_reorder"
    few, some = (LOOPED_UNITS, SORTED_UNITS) if sorts else (job.units, job.units)
    wanted: list[Tensor] = []
    plain = seconds(
        lambda: wanted.append(BASELINES[name](images, texts, epochs[0][:, :few])), 1 if sorts else repeat
    )
    if sorts:
        matrix = seconds(lambda: images @ texts.T)  # once per epoch, however many units
        plain = matrix + (plain - matrix) * job.units / few
    found: list[list[Tensor]] = []

    def run() -> None:
        found.clear()
        found.append(ours(function, images, texts, [epochs[0][:, :some]] if sorts else epochs))

    mine = seconds(run, 1 if sorts else repeat) * (job.epochs * job.units / some if sorts else 1)
    plain *= job.epochs
    difference = (found[0][0][: len(wanted[0])] - wanted[0]).abs()
    on = (
        (f"{few} units of one epoch, scaled", f"{some} units, scaled") if sorts else ("one epoch, scaled", "")
    )
    return (
        f"| {name} | {plain:.1f} ({on[0]}) | {mine:.2f}{f' ({on[1]})' if on[1] else ''} | {plain / mine:.1f} "
        f"| {difference.max().item():.1e} |"
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
    command = [sys.executable, __file__, "--alone", way, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def alone(way: str, job: Job, pseudo_units: int) -> None:
    images, texts = job.vectors()
    epochs = job.activations(images, texts)
    before = peak_mb()
    function = SIMILARITIES["soft_wpmi"]()
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: [BASELINES["soft_wpmi"](images, texts, some[:, :LOOPED_UNITS]) for some in epochs],
        "ours": lambda: ours(function, images, texts, epochs),
        "stage": lambda: as_the_stage(function, images, texts, epochs, pseudo_units),
    }
    took = seconds(ways[way])
    print(json.dumps({"seconds": took, "peak": peak_mb(), "inputs": before}))


@click.command()
@click.option("--epochs", default=10, show_default=True)
@click.option("--units", default=512, show_default=True)
@click.option("--images", default=10_000, show_default=True)
@click.option("--concepts", default=20_000, show_default=True)
@click.option("--pseudo-units", default=4096, show_default=True)
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
    print("| function | plain, s | cmon, s | times as fast | largest difference of scores |")
    print("|---|---|---|---|---|")
    for name in names or SIMILARITIES:
        print(speed_row(name, job, repeat), flush=True)
    print(
        "\nrank_reorder may order two images otherwise whose cosines with a concept are equal to within float32; "
        "its largest difference is that.\n"
    )
    vectors = job.vectors()
    layers = job.activations(*vectors)
    function = SIMILARITIES["soft_wpmi"]()
    both = [
        seconds(partial(as_the_stage, function, *vectors, layers, count), repeat)
        for count in (1, pseudo_units)
    ]
    print(
        f"As `cmon score` runs it (soft_wpmi, null prior, ten best concepts): {both[1]:.2f} s with "
        f"{pseudo_units:,} pseudo-units, {both[0]:.2f} s without.\n"
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
