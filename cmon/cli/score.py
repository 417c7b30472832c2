"""`cmon score`: its options, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmon import devices
from cmon.cli import options
from cmon.workspace.keys import epoch_number


@click.command()
@options.workspace
@options.clip
@click.option(
    "--concepts",
    type=options.FILE,
    required=True,
    help="Concepts: a text file, one a line, or CSV with the columns concept,category.",
)
@click.option(
    "--template",
    "templates",
    type=options.Template(),
    multiple=True,
    help="A sentence in which CLIP reads the concepts, for example 'a photo of a {}'; of several, the mean. Can be "
    "given more than once. Without it, CLIP reads the concepts alone.",
)
@click.option(
    "--class-names",
    type=options.FILE,
    default=None,
    show_default="no such table",
    help="The classes of a classification head among the layers, one a line in the order of its units: prints how "
    "often a unit's label is its class.",
)
@click.option(
    "--similarity",
    type=click.Choice(["soft_wpmi", "wpmi", "rank_reorder", "cos_similarity", "cos_similarity_cubed"]),
    default="soft_wpmi",
    show_default=True,
    help="How evidence of a concept is measured: CLIP-Dissect's five functions with its parameters.",
)
@click.option(
    "--prior",
    type=click.Choice(["null", "standardized", "layer"]),
    default="null",
    show_default=True,
    help="What is taken from a concept's evidence: what it gets from random image orders (null; standardized "
    "divides by its spread too), or as in CLIP-Dissect what the layer's own units give it, for soft_wpmi and "
    "wpmi, and else nothing (layer; scores of two epochs cannot be compared, and hardly any unit is called "
    "interpretable).",
)
@click.option(
    "--fdr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Share of false ones among the units called interpretable.",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    default=None,
    show_default="100 for soft_wpmi, 28 for wpmi",
    help="Images that speak for a unit; only soft_wpmi and wpmi have a fixed number.",
)
@click.option(
    "--pseudo-units",
    type=click.IntRange(min=19),
    default=4096,
    show_default=True,
    help="Random image orders that the null is made of.",
)
@click.option(
    "--truth",
    type=options.FILE,
    default=None,
    show_default="labels are not checked",
    help="What the probe images show: CSV with the column path and columns that list concepts, or a column of 1 and "
    "0 for each concept. Prints how often labels are the concept that a unit is measured to detect.",
)
@options.device
@options.precision
@options.batch_size
@options.workers
@options.seed
@options.table_format
@options.quiet
def score(
    workspace: Path,
    clip_spec: str,
    concepts: Path,
    class_names: Path | None,
    similarity: str,
    top_k: int | None,
    truth: Path | None,
    device: str,
    precision: str,
    batch_size: int | None,
    workers: int,
    table_format: str,
    quiet: bool,
    **settings: Any,
) -> None:
    """The concept that each unit detects at each epoch.

    \b
    Example:
      cmon score demo --clip ViT-B-16:openai --concepts data/concepts/world.csv
    """
    from cmon import concepts as concept_lists
    from cmon.cli import terminal as console
    from cmon.clip.features import Features
    from cmon.evaluation import agreement, annotations
    from cmon.evaluation import class_names as heads
    from cmon.scoring import stage
    from cmon.scoring.similarity.functions import FUNCTIONS
    from cmon.workspace.workspace import Workspace

    if top_k and similarity not in ("soft_wpmi", "wpmi"):
        raise click.BadParameter(f"{similarity} has no fixed number of top images", param_hint="--top-k")
    function = FUNCTIONS[similarity](**({"top_k": top_k} if top_k else {}))
    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        listed = concept_lists.read(concepts)
        known = annotations.read(truth) if truth else None
        place = Workspace(workspace)
        shards = place.read("shards").to_pandas()  # before a large CLIP is loaded for nothing
        names = heads.read_names(class_names) if class_names else []
        if names:
            heads.require_layer(shards, names)
        where = devices.chosen(device)
        features = Features(
            place, clip_spec, where, precision, devices.batch_size(batch_size, where), workers
        )
        wanted = stage.ScoreSettings(similarity=function, device=where, **settings)
        summary = stage.score(place, listed, features, wanted, progress)
        tables = {"units": summary.layers}
        if names:
            vocabulary = place.read("vocabulary")["concept"].to_pylist()
            heads.warn_of_unknown(vocabulary, names)
            units, best = (place.read(table).to_pandas() for table in ("units", "concepts"))
            tables["heads"] = heads.accuracy(units, best, vocabulary, names)
        compared = agreement.measure(place, known, progress) if known else None
        if compared:
            tables["agreement"] = compared.agreement.to_pylist()
    for row in (row for rows in tables.values() for row in rows):
        row["epoch"] = epoch_number(row["epoch"])
    console.print_tables(tables, table_format)
    statuses = ", ".join(f"{number:,} {status}" for status, number in summary.statuses.items() if number)
    terminal.say(
        f"{console.made(summary.made)}: {summary.units:,} units ({statuses}), {summary.concepts:,} concepts"
    )
    terminal.say(
        f"{summary.interpretable:,} units are interpretable at a false discovery rate of {settings['fdr']:g}"
    )
    if compared:
        terminal.say(
            f"{console.made(compared.made)}: labels compared with the truth of "
            f"{console.count(compared.images, 'image')} and {console.count(compared.concepts, 'concept')}; "
            f"{console.count(compared.others, 'other scored concept')} counted as wrong"
        )
