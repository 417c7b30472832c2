"""The four use cases of Concept-Monitor: all trainings, the four commands for each study, and what they show.

    python scripts/cases/run.py
    python scripts/cases/run.py --data PLACES/train --test PLACES/val --probe BRODEN --network resnet18 --side 224 \\
        --epochs 10 --batch-size 256 --workers 8 --clip ViT-B-16:openai --concepts data/concepts/broden.csv

Without --data the drawn world is used. What is done already is not done again, and an interrupted training goes on
at its last whole epoch. OUT/STUDY/workspace/report/index.html is the page of a study.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # called by its path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import click
import torch

from scripts.cases.against_untrained import link_extraction
from scripts.cases.jobs import Job, run_jobs
from scripts.cases.options import as_typed, build_setup, setup_options
from scripts.cases.recipes import RECIPES, needs
from scripts.cases.setup import Setup
from scripts.cases.studies import STUDIES, Study, run_folder, untrained_folder, workspace_folder
from scripts.real.trial import HERE, run

FILE = click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True)
CONCEPTS = HERE / "data/concepts"
WORLD = (("train", 5000, 1), ("probe", 2000, 2))
"""Folder, pictures and seed, as the demo's."""
ORDER = ("standard", "base", "winning", "adversarial")
"""Trainings that others wait for, or that take long, are begun before others."""
ANALYSES = ("claims", "early_warning", "paper_figures")
"""Modules that tell from OUT what the studies show."""


@click.command()
@setup_options
@click.option(
    "--probe",
    type=click.Path(path_type=Path, exists=True, resolve_path=True),
    default=None,
    help="The pictures that neurons are shown.  [default: (those of --test, or of the drawn world)]",
)
@click.option(
    "--clip",
    default=None,
    metavar="SPEC",
    help="As for `cmon score`.  [default: (ViT-B-16:openai, or the drawn world's own)]",
)
@click.option(
    "--concepts",
    type=FILE,
    default=None,
    help="As for `cmon score`.  [default: (data/concepts/broden.csv, or world.csv)]",
)
@click.option(
    "--anchors",
    type=FILE,
    default=None,
    help="As for `cmon embed`.  [default: (its own, or data/concepts/world_anchors.csv)]",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    default=("layer2", "layer3", "layer4"),
    show_default=True,
    help="A layer to look at, for networks that call theirs otherwise. Can be given more than once.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="For each recipe.")
@click.option(
    "--study",
    "studies",
    type=click.Choice(list(STUDIES)),
    multiple=True,
    default=tuple(STUDIES),
    help="Only this one. Can be given more than once.  [default: (all)]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=Path("cases"),
    show_default=True,
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="Trainings beside each other.  [default: (one on a GPU, otherwise as many as there are cores)]",
)
def main(
    probe: Path | None,
    clip: str | None,
    concepts: Path | None,
    anchors: Path | None,
    layers: tuple[str, ...],
    seeds: int,
    studies: tuple[str, ...],
    out: Path,
    jobs: int | None,
    **given: Any,
) -> None:
    """Train all recipes of the studies, monitor them, and say which claims of the paper hold."""
    setup = build_setup(out, given)
    drawn = setup.data is None
    shown = probe or (out / "world" / "probe" / "images" if drawn else setup.test)
    if shown is None:
        raise click.UsageError("--probe: say which pictures neurons are shown, or give --test")
    if drawn:
        for name, images, seed in WORLD:
            folder = out / "world" / name
            run("scripts.demo.draw_world", folder, "--images", images, "--seed", seed)
    chosen = [STUDIES[name] for name in dict.fromkeys(studies)]
    _train(setup, chosen, seeds, jobs)

    clip = clip or ("local-dir:data/world-clip" if drawn else "ViT-B-16:openai")
    concepts = concepts or CONCEPTS / ("world.csv" if drawn else "broden.csv")
    anchors = anchors or (CONCEPTS / "world_anchors.csv" if drawn else None)
    decoding = ["--workers", setup.workers] if setup.workers else []
    for study in chosen:
        workspace = workspace_folder(out, study.name)
        runs = {name: out / "runs" / name for name in study.run_names(seeds)}
        places = [f"--run={name}={folder}" for name, folder in runs.items()]
        seen = [f"--layer={layer}" for layer in layers]
        model = _model(setup, next(iter(runs.values())))
        run("cmon", "extract", workspace, *places, *model, *seen, "--probe", shown, *decoding)
        scored = ["--clip", clip, "--concepts", concepts, *decoding]
        run("cmon", "score", workspace, *scored)
        run("cmon", "embed", workspace, *(["--anchors", anchors] if anchors else []))
        logs = [f"--metrics={name}={folder / 'training.csv'}" for name, folder in runs.items()]
        run("cmon", "report", workspace, *logs)
        if study.against_untrained:
            second = untrained_folder(out, study.name)
            link_extraction(workspace, second)
            run("cmon", "score", second, *scored, "--baseline", "first")
    for name in ANALYSES:
        run(f"scripts.cases.{name}", out)


def _train(setup: Setup, studies: Sequence[Study], seeds: int, at_once: int | None) -> None:
    """All trainings of the studies, and those that they need, in processes of their own."""
    wanted = [recipe for study in studies for recipe in study.recipes]
    for recipe in wanted:  # grows as it goes: what is needed may itself need something
        wanted += [needed for needed in needs(recipe, setup) if needed not in wanted]
    recipes = sorted(dict.fromkeys(wanted), key=lambda recipe: (*ORDER, recipe).index(recipe))
    options = as_typed(setup, main)
    done, jobs = [], []
    for recipe in recipes:
        for seed in range(1, seeds + 1):
            name = Study.run_name(recipe, seed)
            if RECIPES[recipe](setup, seed).finished(run_folder(setup.out, recipe, seed)):
                done.append(name)
                continue
            words = ("scripts.cases.train", recipe, str(seed), str(setup.out), *options)
            needed = frozenset(Study.run_name(other, seed) for other in needs(recipe, setup))
            jobs.append(Job(name, words, needed))
    if done:
        click.echo(f"trained already: {', '.join(done)}", err=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    at_once = at_once or (1 if torch.cuda.is_available() else cores)
    # A network this small gains less from a second thread than from a second training beside it.
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores // at_once)))
    run_jobs(jobs, done, at_once, HERE, {**os.environ, "OMP_NUM_THREADS": threads})


def _model(setup: Setup, folder: Path) -> list[object]:
    """The options of `cmon extract` that build the network of these checkpoints."""
    classes = len((folder / "classes.txt").read_text().splitlines())
    arguments = {"name": setup.network, "num_classes": classes, "side": setup.side}
    spec = "python:scripts/cases/networks.py:named_network"
    return ["--model", spec, *(f"--model-arg={name}={value}" for name, value in arguments.items())]


if __name__ == "__main__":
    main()
