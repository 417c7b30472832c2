"""Which concepts should be the anchors where nobody chooses any? d_anchor_clip by every choice that was tried.

    python -m scripts.real.anchors WORKSPACE [--anchors FILE]

WORKSPACE has been scored. For every recipe and layer: the mean distance of the units to their nearest anchor at the
first and the last epoch, the paired difference of the same units with its 95 % interval, the word for it, and the share
of the first epoch's units that lie on an anchor already. No plane is made. Prints Markdown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from cmon.concepts import folded, read
from cmon.embedding.distances import nearest
from cmon.embedding.vectors import read_unit_vectors
from cmon.paired_difference import PairedDifference, paired_difference
from cmon.workspace.selection import Choice
from cmon.workspace.workspace import Workspace
from scripts.real.material import recipe

ON = 0.25
"""Distance in CLIP's space within which a unit lies on an anchor: docs/layouts.md."""
Chosen = Callable[[pd.DataFrame], np.ndarray]
"""From the vocabulary to (C,) bool."""


def of(*categories: str) -> Chosen:
    return lambda vocabulary: vocabulary["category"].isin(categories).to_numpy()


def but(*categories: str) -> Chosen:
    return lambda vocabulary: (
        vocabulary["category"].notna() & ~vocabulary["category"].isin(categories)
    ).to_numpy()


CHOICES: dict[str, Chosen] = {
    "all with a category": but(),
    "all but colors": but("color"),
    "all but colors, textures, materials": but("color", "texture", "material"),
    "objects and scenes": of("object", "scene"),
    "objects": of("object"),
}


@dataclass(frozen=True)
class Units:
    """The live units of a workspace."""

    keys: pd.DataFrame
    """run, layer, epoch, unit: (L rows)."""
    vectors: np.ndarray
    """(L,D)"""
    vocabulary: pd.DataFrame
    concepts: np.ndarray
    """(C,D)"""

    @classmethod
    def read(cls, folder: Path) -> Units:
        workspace = Workspace(folder)
        vocabulary = workspace.frame("vocabulary")
        chosen, live, vectors, _ = read_unit_vectors(workspace, vocabulary, Choice())
        keys = chosen.iloc[live].reset_index(drop=True)
        return cls(keys, vectors, vocabulary, np.stack(vocabulary["vector"].to_list()).astype(np.float64))

    def distances(self, anchors: np.ndarray) -> pd.DataFrame:
        """The keys with `distance`, in CLIP's space, to the nearest of the chosen (C,) concepts."""
        return self.keys.assign(distance=nearest(self.vectors, self.concepts[anchors])[1])


def paired(found: pd.DataFrame) -> PairedDifference:
    """Of one run and layer, its first epoch with its last."""
    by_unit = found.pivot(index="unit", columns="epoch", values="distance")
    return paired_difference(by_unit.iloc[:, 0].to_numpy(), by_unit.iloc[:, -1].to_numpy())


def show(name: str, found: pd.DataFrame, anchors: int) -> list[str]:
    """Lines of the table: one for each run and layer."""
    lines = []
    for (run, layer), rows in found.groupby(["run", "layer"], sort=False):
        one = paired(rows)
        first = rows.loc[rows["epoch"] == rows["epoch"].min(), "distance"]
        lines.append(
            f"| {name} | {anchors:,} | {recipe(str(run))} | {run} | {layer} | {one.first:.3f} | {one.last:.3f} | "
            f"{one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f}) | {one.verdict} | {(first <= ON).mean():.0%} |"
        )
    return lines


@click.command()
@click.argument("workspace", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--anchors", "files", type=click.Path(path_type=Path, exists=True), multiple=True)
@click.option("--layer", "layers", multiple=True, show_default="all")
def main(workspace: Path, files: tuple[Path, ...], layers: tuple[str, ...]) -> None:
    """Print d_anchor_clip by every choice of anchors, and by those of the FILES."""
    units = Units.read(workspace)
    names = units.vocabulary["concept"].map(folded)
    choices = {name: choose(units.vocabulary) for name, choose in CHOICES.items()}
    for file in files:
        choices[file.name] = names.isin([folded(concept.name) for concept in read(file)]).to_numpy()
    click.echo(
        "| anchors | how many | recipe | run | layer | first | last | difference | | on an anchor at first |"
    )
    click.echo("|---|---|---|---|---|---|---|---|---|---|")
    for name, chosen in choices.items():
        if not chosen.any():
            continue  # the list has no such category
        found = units.distances(chosen)
        if layers:
            found = found[found["layer"].isin(layers)]
        click.echo("\n".join(show(name, found, int(chosen.sum()))))


if __name__ == "__main__":
    main()
