"""`cmon embed`: its options, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cmon import devices
from cmon.cli import options


@click.command()
@options.workspace
@click.option(
    "--anchors",
    multiple=True,
    metavar="FILE|WORD",
    show_default="all scored concepts that have a category",
    help="Concepts of interest: a file in the same form as --concepts, or a concept itself (what is no existing "
    "file). Can be given more than once.",
)
@click.option(
    "--layout",
    type=click.Choice(["anchored", "joint", "aligned", "pca"]),
    default="anchored",
    show_default=True,
    help="anchored: each unit between the concepts it resembles. joint: one UMAP of all units and anchors. aligned: "
    "umap-learn's AlignedUMAP. pca: the principal plane.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    show_default="0.1",
    help="Of the layout anchored: smaller draws units more to the one concept that they resemble most.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="NAME",
    help="Only this run, or those that match (*, ?, [...]). Can be given more than once.",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Only this layer, or those that match (*, ?, [...]). Can be given more than once.",
)
@click.option(
    "--epoch",
    "epochs",
    multiple=True,
    type=options.Epochs(),
    help="Only this epoch, or those from FIRST to LAST. Can be given more than once.",
)
@click.option(
    "--update", is_flag=True, help="Leave what is placed already where it is, and place the rest among it."
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Layouts to make, one after another, to see how the measures spread; the first is kept.",
)
@options.device
@options.seed
@options.table_format
@options.quiet
def embed(
    workspace: Path,
    anchors: tuple[str, ...],
    temperature: float | None,
    runs: tuple[str, ...],
    layers: tuple[str, ...],
    epochs: tuple[tuple[float, float], ...],
    update: bool,
    device: str,
    table_format: str,
    quiet: bool,
    **settings: Any,
) -> None:
    """One plane for all units of all epochs and runs, and the anchors.

    The table on standard output says how far the plane may be believed.

    \b
    Example:
      cmon embed demo --anchors data/concepts/world_anchors.csv
      cmon embed demo --anchors dog --anchors cat --layer layer4 --epoch 0:8 --layout joint
    """
    from cmon import concepts as concept_lists
    from cmon.cli import terminal as console
    from cmon.embedding import stage
    from cmon.workspace.selection import Choice
    from cmon.workspace.workspace import Workspace

    if temperature is not None:
        if settings["layout"] != "anchored":
            raise click.UsageError("--temperature is of --layout anchored only")
        if not math.isfinite(temperature):
            raise click.UsageError(f"--temperature {temperature}: a finite number is needed, for example 0.1")
        settings["temperature"] = temperature
    if update and settings["seeds"] > 1:
        raise click.UsageError("--update places among one layout that is there: --seeds cannot go with it")
    wanted = stage.EmbedSettings(**settings, choice=Choice(runs, layers, epochs))
    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        place = Workspace(workspace)
        listed = concept_lists.files_or_words(anchors) if anchors else None
        vectors = _text_vectors(place, devices.chosen(device))
        summary = stage.embed(place, listed, vectors, wanted, progress, update=update)
    columns = [str(name) for name in summary.measures]
    rows: list[dict[str, Any]] = [
        dict(zip(columns, row, strict=True)) for row in summary.measures.itertuples(index=False)
    ]
    console.print_table(rows, table_format, "How far the plane keeps what CLIP's space says")
    added = f" ({summary.added:,} of them added later)" if summary.added else ""
    terminal.say(
        f"{console.made(summary.made)}: {console.count(summary.anchors, 'anchor')} and "
        f"{console.count(summary.placed, 'unit')} placed{added}; {summary.left_out:,} left out (no label)"
    )
    terminal.say(summary.sentence)


def _text_vectors(place: Any, device: str) -> Callable[..., Any]:
    """CLIP's text vectors with the model, precision and templates that `score` used, loaded only if anchors need it."""

    def vectors(parameters: dict[str, Any], texts: list[str]) -> Any:
        from cmon.clip.features import Features

        features = Features(place, parameters["clip"], device, parameters["precision"], 64, 0)
        return features.of_concepts(texts, parameters.get("templates", ())).numpy()

    return vectors
