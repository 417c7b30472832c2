"""`cmon embed`: its options, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmon.cli import options
from cmon.embedding.layouts.registry import DEFAULT, LAYOUTS


@click.command()
@options.workspace
@click.option(
    "--anchors",
    multiple=True,
    metavar="FILE|WORD",
    show_default="the scored objects, parts and scenes; where there are none, all with a category",
    help="Concepts of interest: a file in the same form as --concepts, or a concept itself (what is no existing "
    "file). Can be given more than once.",
)
@click.option(
    "--layout",
    type=click.Choice(list(LAYOUTS)),
    default=DEFAULT,
    show_default=True,
    help=" ".join(f"{name}: {layout.summary}." for name, layout in LAYOUTS.items()),
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
    help="Only this layer, or those that match: * stops at a dot, ** does not. Can be given more than once.",
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
def embed(workspace: Path, anchors: tuple[str, ...], table_format: str, quiet: bool, **given: Any) -> None:
    """One plane for all units of all epochs and runs, and the anchors.

    The table on standard output says how far the plane may be believed.

    \b
    Example:
      cmon embed demo --anchors data/concepts/world_anchors.csv
      cmon embed demo --anchors dog --anchors cat --layer layer4 --epoch 0:8 --layout joint
    """
    from cmon import api
    from cmon.cli import terminal

    with terminal.session(quiet) as (screen, progress):
        found = api.embed(workspace, anchors or None, **given, progress=progress)
    terminal.print_table(
        [{str(name): value for name, value in row.items()} for row in found.measures.to_dict("records")],
        table_format,
        "How far the plane keeps what CLIP's space says",
    )
    added = f" ({found.added:,} of them added later)" if found.added else ""
    screen.say(
        f"{terminal.outcome(found.made)}: {terminal.count(found.anchors, 'anchor')} and "
        f"{terminal.count(found.placed, 'unit')} placed{added}; {found.left_out:,} left out (no label)"
    )
    screen.say(found.sentence)
