"""One training of the case studies: a recipe with a seed, into OUT/runs/RECIPE@SEED.

    python -m scripts.cases.train standard 1 cases

`scripts/cases/run.py` calls this for every training of a study, in an order in which each finds what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scripts.cases.options import build_setup, setup_options
from scripts.cases.recipes import RECIPES, needs
from scripts.cases.trainer import train


@click.command()
@click.argument("recipe", type=click.Choice(list(RECIPES)))
@click.argument("seed", type=click.IntRange(min=0))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False, resolve_path=True))
@setup_options
def main(recipe: str, seed: int, out: Path, **given: Any) -> None:
    """Train RECIPE with SEED; an interrupted training goes on, and a finished one is left as it is."""
    setup = build_setup(out, given)
    for needed in needs(recipe, setup):
        folder = setup.folder(needed, seed)
        if not RECIPES[needed](setup, seed).finished(folder):
            raise click.UsageError(
                f"{recipe} starts from {needed}: train {needed} {seed} of this setup first"
            )
    train(RECIPES[recipe](setup, seed), setup.folder(recipe, seed))


if __name__ == "__main__":
    main()
