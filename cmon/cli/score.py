"""`cmon score`: its options, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmon.cli import options
from cmon.scoring.priors import PRIORS
from cmon.scoring.similarity.registry import ENTRIES, SIMILARITIES

_TOP_K = {name: entry.top_k for name, entry in ENTRIES.items() if entry.top_k}


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
    "often a unit's label is its class and how near the two are, and what every class is called.",
)
@click.option(
    "--similarity",
    type=click.Choice(list(SIMILARITIES)),
    default="soft_wpmi",
    show_default=True,
    help="How evidence of a concept is measured: CLIP-Dissect's five functions with its parameters.",
)
@click.option(
    "--prior",
    type=click.Choice(list(PRIORS)),
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
    "--baseline",
    type=click.Choice(["chance", "first"]),
    default="chance",
    show_default=True,
    help="What the label of an interpretable unit beats: random image orders (chance), or, concept by concept, what "
    "the units of the layer's own first epoch get (first), which should be untrained.",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    default=None,
    show_default=", ".join(f"{top_k} for {name}" for name, top_k in _TOP_K.items()),
    help=f"Images that speak for a unit; only {' and '.join(_TOP_K)} have a fixed number.",
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
@options.images
@options.device
@options.precision
@options.batch_size
@options.workers
@options.seed
@options.ray
@options.part
@options.table_format
@options.quiet
def score(workspace: Path, concepts: Path, table_format: str, quiet: bool, **given: Any) -> None:
    """The concept that each unit detects at each epoch.

    \b
    Example:
      cmon score demo --clip ViT-B-16:openai --concepts data/concepts/world.csv
    """
    from cmon import api
    from cmon.cli import terminal

    with terminal.session(quiet) as (screen, progress):
        found = api.score(workspace, concepts, **given, progress=progress)
    labels, agreement = found.labels, found.agreement
    tables = {"units": labels.layers}
    if found.class_names is not None:
        tables["class names"] = found.class_names.accuracy
        tables["class labels"] = found.class_names.labels
    if agreement is not None:
        tables["agreement"] = agreement.agreement.to_pylist()
    terminal.print_tables(tables, table_format)
    if given["part"] is not None:
        screen.say(options.part_done(given["part"], "score"))
    statuses = ", ".join(f"{number:,} {status}" for status, number in labels.statuses.items() if number)
    screen.say(
        f"{terminal.outcome(labels.made)}: {labels.units:,} units ({statuses}), {labels.concepts:,} concepts"
    )
    screen.say(
        f"{labels.interpretable:,} units are interpretable at a false discovery rate of {given['fdr']:g}"
        + (", against the first epoch" if given["baseline"] == "first" else "")
    )
    if agreement is not None:
        screen.say(
            f"{terminal.outcome(agreement.made)}: labels compared with the truth of "
            f"{terminal.count(agreement.images, 'image')} and {terminal.count(agreement.concepts, 'concept')}; "
            f"{terminal.count(agreement.others, 'other scored concept')} counted as wrong"
        )
