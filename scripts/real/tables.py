"""The trial's tables: redundancy, what units are called, the head against its classes, d_anchor. Prints Markdown.

    python -m scripts.real.tables WORKSPACE --class-names NAMES

WORKSPACE has been extracted, scored and embedded. Runs NAME, NAME-1, NAME-2 are one recipe with other seeds: the mean
over them, and the least and the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd
import torch

from cmon.evaluation.class_names import HeadCheck, Vectors, accuracy, class_labels
from cmon.paired_difference import paired_difference
from cmon.scoring import redundancy
from cmon.top_k import top_k
from cmon.workspace.keys import epoch_text
from scripts.real.material import Material, recipe, spread


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for line in (header, ["---"] * len(header), *rows):
        click.echo(f"| {' | '.join(line)} |")
    click.echo()


def by_recipe(values: Iterable[tuple[str, str, float, float]], percent: bool = False) -> list[list[str]]:
    """(run, layer, epoch, value) to a row for each recipe and layer with a cell for each epoch."""
    frame = pd.DataFrame(values, columns=["run", "layer", "epoch", "value"])
    frame["recipe"] = frame["run"].map(recipe)
    rows = []
    for (name, layer), some in frame.groupby(["recipe", "layer"], sort=False):
        cells = [
            spread(list(own["value"] * (100 if percent else 1)), 0 if percent else 2)
            for _, own in some.groupby("epoch")
        ]
        rows.append([str(name), str(layer), *cells])
    return rows


def tell_redundancy(material: Material) -> None:
    """Every epoch's overlap of top images."""
    values, epochs = [], set()
    for (run, layer), some in material.epochs().items():
        for epoch in some:
            activations, _ = material.activations(run, layer, epoch)
            compared = redundancy.compared_images(len(activations))
            top = top_k(torch.from_numpy(activations).T, compared).indices.numpy()
            values.append((run, layer, epoch, float(redundancy.shared(top).mean())))
            epochs.add(epoch)
    chance = compared / len(activations)
    click.echo(f"## Redundancy\n\nMean overlap of two units' top {compared} images; chance {chance:.2f}.\n")
    table(["recipe", "layer", *map(epoch_text, sorted(epochs))], by_recipe(values))


def share_of(category: str) -> Callable[[pd.DataFrame], float]:
    """From a layer's rows of `units` to the share that is interpretable under the category."""
    return lambda rows: float((rows["interpretable"] & (rows["category"] == category)).mean())


def tell_labels(material: Material) -> None:
    """At the first and the last epoch: interpretable units, categories, and the most frequent label."""
    units = material.workspace.frame("units")
    categories = list(dict.fromkeys(units["category"].dropna()))
    click.echo(
        "## What units are called\n\nShares of all units of the layer, in per cent; categories of interpretable ones.\n"
    )
    measures: dict[str, Callable[[pd.DataFrame], float]] = {
        "interpretable": lambda rows: rows["interpretable"].mean(),
        "their top images that fit": lambda rows: rows.loc[rows["interpretable"], "fit"].mean(),
        "most frequent label": lambda rows: rows["label"].value_counts().max() / len(rows),
        **{category: share_of(category) for category in categories},
    }
    groups = {key: rows for key, rows in units.groupby(["run", "layer", "epoch"], sort=False)}
    out: dict[tuple[str, str, str], list[str]] = {}
    for measure in measures.values():
        values = [
            (run, layer, float(which), measure(groups[run, layer, epoch]))
            for (run, layer), epochs in material.epochs().items()
            for which, epoch in enumerate((epochs[0], epochs[-1]))  # runs may be of unequal length
        ]
        for name, layer, *cells in by_recipe(values, percent=True):
            for when, cell in zip(("first", "last"), cells, strict=True):
                out.setdefault((name, layer, when), []).append(cell)
    table(["recipe", "layer", "epoch", *measures], [[*key, *cells] for key, cells in out.items()])


def tell_head(material: Material, names: Sequence[str]) -> None:
    """The head check at the first and the last epoch, and what every class is called."""
    units, concepts = material.workspace.frame("units"), material.workspace.frame("concepts")
    vocabulary = material.workspace.frame("vocabulary")
    known = dict(
        zip(names, material.class_vectors if material.class_vectors is not None else (), strict=True)
    )
    vectors = Vectors.of(vocabulary, names, lambda texts: np.stack([known[text] for text in texts]))
    found = HeadCheck(
        accuracy(units, concepts, vectors, names), class_labels(units, concepts, vectors, names)
    )
    frame = pd.DataFrame(found.accuracy)
    frame["recipe"] = frame["run"].map(recipe)
    by_chance = frame["any concept's"].iloc[0]
    click.echo(
        "## The head\n\nUnits whose label is their class (top-1), or that have it among their five best (top-5); "
        f"cosine of label and class name ({by_chance:.2f} for any concept).\n"
    )
    rows = []
    for name, some in frame.groupby("recipe", sort=False):
        of_run = some.sort_values("epoch", kind="stable").groupby("run", sort=False)
        for when, own in (("first", of_run.head(1)), ("last", of_run.tail(1))):
            rows.append(
                [
                    str(name),
                    when,
                    *(
                        spread(list(own[column]), digits)
                        for column, digits in (("top-1 found", 0), ("top-5 found", 0), ("cosine", 2))
                    ),
                ]
            )
    table(["recipe", "epoch", "top-1", "top-5", "cosine"], rows)
    table(
        ["run", "class", "label", "cosine", "top five"],
        [
            [
                row["run"],
                row["class"],
                row["label"] or "",
                "" if row["cosine"] is None else f"{row['cosine']:.2f}",
                row["top five"] or "",
            ]
            for row in found.labels
        ],
    )


def tell_d_anchor(material: Material) -> None:
    """First and last epoch, and the paired difference."""
    layout = material.workspace.frame("layout")
    anchors = layout[layout["kind"] == "anchor"]
    click.echo(f"## d_anchor\n\n{len(anchors):,} anchors.\n")
    rows = []
    for (run, layer), own in layout[layout["kind"] == "unit"].groupby(["run", "layer"], sort=False):
        for column, name in (("distance", "d_anchor"), ("distance_clip", "d_anchor_clip")):
            by_unit = own.pivot(index="unit", columns="epoch", values=column)
            one = paired_difference(by_unit.iloc[:, 0].to_numpy(), by_unit.iloc[:, -1].to_numpy())
            rows.append(
                [
                    str(run),
                    str(layer),
                    name,
                    f"{one.first:.3f}",
                    f"{one.last:.3f}",
                    f"{one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f})",
                    one.verdict or "",
                ]
            )
    table(["run", "layer", "distance", "first", "last", "difference of the same units", ""], rows)


@click.command()
@click.argument("workspace", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--class-names", type=click.Path(path_type=Path, exists=True), required=True)
def main(workspace: Path, class_names: Path) -> None:
    """Print the tables of WORKSPACE."""
    material = Material.of(workspace, None, class_names)
    tell_redundancy(material)
    tell_labels(material)
    tell_head(material, material.classes or [])
    tell_d_anchor(material)


if __name__ == "__main__":
    main()
