"""The whole way on photographs of your own: networks trained on them, the four commands, and the trial's tables.

    python -m scripts.real.trial TRAIN TEST OUT --clip ViT-B-16:openai

TRAIN and TEST hold a folder of images for each class; those of TEST are the probing set. The page of OUT/workspace
shows what the networks learned, and OUT/tables.md has the tables of docs/real-photographs.md. Where the name of a
class's folder is not what one would call it, give better names: --class-names, one a line in the order of the folders.
What is done already is not done again.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import click

HERE = Path(__file__).resolve().parents[2]
BRODEN = HERE / "data/concepts/broden.csv"


def run(*arguments: object, save: Path | None = None) -> None:
    """A Python program of this repository, shown as it would be typed; its output into a file, if one is given."""
    words = [str(argument) for argument in arguments]
    click.echo(f"\n$ {shlex.join(['python', '-m', *words])}{f' >> {save}' if save else ''}", err=True)
    if save is None:
        done = subprocess.run([sys.executable, "-m", *words], cwd=HERE)
    else:
        with save.open("a") as file:
            done = subprocess.run([sys.executable, "-m", *words], cwd=HERE, stdout=file)
    if done.returncode:
        raise SystemExit(done.returncode)


@click.command()
@click.argument("train", type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True))
@click.argument("test", type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True))
@click.argument("out", type=click.Path(path_type=Path, resolve_path=True))
@click.option("--clip", default="ViT-B-16:openai", show_default=True)
@click.option(
    "--concepts",
    type=click.Path(path_type=Path, exists=True, resolve_path=True),
    default=BRODEN,
    show_default="data/concepts/broden.csv",
)
@click.option("--class-names", type=click.Path(path_type=Path, exists=True, resolve_path=True), default=None)
@click.option("--recipe", "recipes", multiple=True, default=("standard", "poor", "adversarial"))
@click.option(
    "--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Networks per recipe."
)
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
def main(
    train: Path,
    test: Path,
    out: Path,
    clip: str,
    concepts: Path,
    class_names: Path | None,
    recipes: tuple[str, ...],
    seeds: int,
    epochs: int,
) -> None:
    """Train on TRAIN, monitor with TEST, and leave everything in OUT."""
    folders = {}
    for seed in range(seeds):
        for recipe in recipes:
            folders[f"{recipe}-{seed}" if seed else recipe] = recipe, seed
    for name, (recipe, seed) in folders.items():
        options = ("--test", test, "--recipe", recipe, "--seed", seed, "--epochs", epochs)
        run("scripts.real.train_networks", train, out / "runs" / name, *options)
    classes = out / "runs" / next(iter(folders)) / "classes.txt"
    count = len(classes.read_text().splitlines())
    names, workspace = class_names or classes, out / "workspace"

    places = [f"--run={name}={out / 'runs' / name}" for name in folders]
    model = (
        "--model",
        "python:scripts/real/network.py:small_resnet18",
        "--model-arg",
        f"num_classes={count}",
    )
    layers = [f"--layer={layer}" for layer in ("layer2", "layer3", "layer4", "fc")]
    run("cmon", "extract", workspace, *places, *model, *layers, "--probe", test)
    run("cmon", "score", workspace, "--clip", clip, "--concepts", concepts, "--class-names", names)
    run("cmon", "embed", workspace)
    logs = [f"--metrics={name}={out / 'runs' / name / 'training.csv'}" for name in folders]
    run("cmon", "report", workspace, *logs)

    tables = out / "tables.md"
    tables.unlink(missing_ok=True)
    run("scripts.real.tables", workspace, "--class-names", names, save=tables)
    run("scripts.real.anchors", workspace, save=tables)
    run("scripts.real.baselines", workspace, save=tables)
    run("scripts.real.remedies", workspace, "--class-names", names, save=tables)


if __name__ == "__main__":
    main()
