"""Are the labels right, and is *interpretable* honest? Prints the tables of data/validation.md.

    python -m scripts.validation.labels [WORKSPACE] [--truth TRUTH]

Needs a workspace that was extracted and scored, of a run that learned and one that did not, and the truth about its
probe images; `make demo` makes both. Labels everything anew, with cmon's own functions; the same seed gives the same
numbers on the same machine.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import torch

from cmon import concepts
from cmon.evaluation.agreement import CLEAR
from cmon.scoring.similarity.wpmi import SoftWPMI
from cmon.workspace.workspace import Workspace
from scripts.validation import chance, quality, weights
from scripts.validation.ground import Ground
from scripts.validation.tables import Tables

HERE = Path(__file__).resolve().parents[2]


@click.command(context_settings={"show_default": True})
@click.argument("workspace", type=click.Path(path_type=Path), default=Path("demo/workspace"))
@click.option("--truth", type=click.Path(path_type=Path), default=Path("demo/probe/truth.csv"))
@click.option(
    "--anchors",
    type=click.Path(path_type=Path),
    default=HERE / "data/concepts/world_anchors.csv",
    show_default="data/concepts/world_anchors.csv",
)
@click.option("--good", default="standard", help="The run that learned.")
@click.option("--poor", default="poor", help="The run that did not.")
@click.option("--each", default=5, help="Planted units per concept.")
@click.option("--seeds", default=20, help="Layers of shuffled units.")
@click.option("--seed", default=0)
@click.option("--out", type=click.Path(path_type=Path), default=HERE / "data", show_default="data")
def main(
    workspace: Path,
    truth: Path,
    anchors: Path,
    good: str,
    poor: str,
    each: int,
    seeds: int,
    seed: int,
    out: Path,
) -> None:
    """Measure labels and significance where the truth is known; write OUT/validation.md and OUT/validation.csv."""
    ground = Ground.of(Workspace(workspace), truth)
    tables = Tables()
    layers = ground.epochs(good)
    deepest = list(layers)[-1]
    last = layers[deepest][-1]

    tables.say("# Are the labels right?")
    tables.say(
        f"By `make validate`: {len(ground.present):,} probe images, {len(ground.names)} concepts, runs {good} and "
        f"{poor} of the demo. Shares with half the width of Wilson's 95 % interval; all numbers, with intervals, in "
        "validation.csv."
    )

    def part(title: str, text: str, work: Callable[[], None]) -> None:
        tables.say(f"## {title}")
        tables.say(text)
        began = time.perf_counter()
        work()
        click.echo(f"[{time.perf_counter() - began:.0f} s]\n", err=True)

    planted = quality.planted_cases(ground, each, seed)
    part(
        "Planted units",
        f"{each} units for each concept; activation = whether the image shows it (0 or 1), or CLIP's similarity with "
        "it (scaled to deviation 1), plus Gaussian noise of the given deviation; or one concept on two thirds of the "
        "units. Top-1, and after the space top-5: the label is the planted concept, or one that the same images show.",
        lambda: quality.tell(tables, planted, [quality.top_concepts(case) for case in planted], "planted"),
    )
    cases = [quality.trained_case(ground, good, layer, epochs[-1]) for layer, epochs in layers.items()]
    untrained = quality.trained_case(ground, good, deepest, layers[deepest][0])
    cases.append(replace(untrained, name=f"{untrained.name}, first epoch"))
    counts = ", ".join(f"{case.name} {case.counted.sum()} of {len(case.counted)}" for case in cases)
    tops = [quality.top_concepts(case) for case in cases]
    for how in ("correlation", "auprc over chance", "auprc"):
        part(
            f"The trained network's units, by {how}",
            f"Right is the concept of best {how} among the true ones, at the last epoch, for units whose best "
            f"correlation is over {CLEAR:g}: {counts}.",
            partial(quality.tell, tables, cases, tops, how),
        )
    part(
        "The same with cosines as close as a large CLIP's",
        "The small CLIP's cosines with true and false words differ by 0.35; those of CLIPs of photographs lie far "
        "closer together. Here all are compressed to a fifth (which is soft_wpmi with a = 2). Right by correlation.",
        lambda: quality.tell(
            tables, cases, [quality.of_evidence(case, SoftWPMI(a=2.0)) for case in cases], "correlation", a=2
        ),
    )
    part(
        "Distractors",
        "Words on the list that no image shows; soft_wpmi, prior null.",
        lambda: quality.distractors(tables, ground, good, deepest, last, seed),
    )
    names = [concept.name for concept in concepts.read(anchors)]
    networks = [(good, layer) for layer in layers] + [(poor, deepest)]
    part(
        "d_anchor_clip, untrained against trained",
        "d-prime: the fall of the mean distance to the nearest anchor, over the standard deviation between units; in "
        "brackets the means. Planted: from pure noise to detectors of the anchors; networks: first to last epoch. "
        "For the poor run it should be 0.",
        lambda: weights.tell(tables, ground, names, networks, seed),
    )
    part(
        "Shuffled units",
        f"{seeds} layers of the units of {good} {deepest}, each unit's activations dealt out at random: nothing is "
        "true. At a false discovery rate of 5 %, any unit may pass in 5 % of the layers; p-values should be as "
        "frequent as they say.",
        lambda: chance.shuffled(tables, ground, ground.activations(good, deepest, last), seeds),
    )
    part(
        "Detectors beside shuffled units",
        "Planted units (present + noise), as many shuffled ones beside them: share that passes, share of these whose "
        "label is right, share of all that pass which are shuffled ones.",
        lambda: chance.detectors(tables, ground, each, seed),
    )
    part(
        "How many pseudo-units",
        f"soft_wpmi, the units of {good} {deepest}; p-values of 20,000 further random orders; seconds for the null.",
        lambda: chance.pseudo_units(tables, ground, ground.activations(good, deepest, last)),
    )
    part(
        "Stricter nulls",
        f"Share of the units of {deepest} that pass (5 % false discovery rate), by epoch.",
        lambda: chance.stricter(tables, ground, good, poor, deepest, seed),
    )
    tables.say(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}.")
    tables.write(out / "validation.md", out / "validation.csv")


if __name__ == "__main__":
    main()
