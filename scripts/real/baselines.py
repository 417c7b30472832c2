"""How many units are interpretable against chance, and against the layer's own first epoch? Every epoch of every run.

    python -m scripts.real.baselines WORKSPACE [--truth TRUTH]

WORKSPACE has been scored. Three statistics are held against their null at a false discovery rate of 5 %:

- chance: the best score, against that of random image orders, as `cmon score` does;
- first, label: how far the label's score lies above what the units of the layer's first epoch get for that concept, in
  their standard deviations; against the same number of these units themselves, for their own labels;
- first, best: the same for the concept for which it is largest, whether or not it is the label.

Prints Markdown: the mean over the seeds of a recipe, and the least and the largest.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch
from rich.progress import track
from torch import Tensor

from cmon.scoring import significance
from cmon.top_k import top_k
from cmon.workspace.keys import epoch_text
from scripts.real.material import Material, recipe, spread
from scripts.real.remedies import NULL, SOFT, Space

RATE = 0.05


def statistics(scores: Tensor, first: Tensor) -> dict[str, np.ndarray]:
    """(K,C) scores of units and (K',C) of the first epoch's to each statistic of the units, (K,)."""
    surprise = (scores - first.mean(dim=0)) / first.std(dim=0, correction=0).clamp(min=1e-6)
    label = scores.argmax(dim=1, keepdim=True)
    return {
        "chance": scores.amax(dim=1).numpy(),
        "first, label": surprise.gather(1, label)[:, 0].numpy(),
        "first, best": surprise.amax(dim=1).numpy(),
    }


def passing(found: np.ndarray, null: np.ndarray) -> float:
    return float(significance.discoveries(significance.p_values(found, null), RATE).mean())


@click.command()
@click.argument("workspace", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--truth", type=click.Path(path_type=Path, exists=True), default=None)
def main(workspace: Path, truth: Path | None) -> None:
    """Print the share of interpretable units of WORKSPACE by each comparison."""
    material = Material.of(workspace, truth, None)
    space = Space(material.images, material.texts)
    null_best = NULL(space.null, space.null).amax(dim=1).numpy()

    def scored(run: str, layer: str, epoch: float) -> Tensor:
        activations, _ = material.activations(run, layer, epoch)
        top = top_k(torch.from_numpy(activations).T, SOFT.top_images(len(material.images))).indices
        return NULL(space.null, space.evidence(top))

    rows = []
    for (run, layer), epochs in track(material.epochs().items(), "scoring"):
        first = scored(run, layer, epochs[0])
        nulls = {**statistics(first, first), "chance": null_best}
        for epoch in epochs:
            found = statistics(first if epoch == epochs[0] else scored(run, layer, epoch), first)
            rows += [
                {
                    "recipe": recipe(run),
                    "layer": layer,
                    "against": name,
                    "epoch": epoch,
                    "share": passing(some, nulls[name]),
                }
                for name, some in found.items()
            ]
    frame = pd.DataFrame(rows)
    shown = sorted(frame["epoch"].unique())
    click.echo(f"| recipe | layer | against | {' | '.join(map(epoch_text, shown))} |")
    click.echo(f"|{'---|' * (len(shown) + 3)}")
    for key, some in frame.groupby(["recipe", "layer", "against"], sort=False):
        cells = [spread(list(some.loc[some["epoch"] == epoch, "share"])) for epoch in shown]
        click.echo(f"| {' | '.join((*map(str, key), *cells))} |")


if __name__ == "__main__":
    main()
