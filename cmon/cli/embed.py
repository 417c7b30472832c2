"""`cmon embed`: its options, and what it says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmon.cli import options
from cmon.embedding.layouts.registry import DEFAULT, LAYOUTS

if TYPE_CHECKING:
    from cmon.embedding.stage import EmbedResult


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
    "--refit",
    is_flag=True,
    help="Place all anew. Without it, where epochs, runs or layers were only added since, what is placed already stays "
    "where it is, and the rest is placed among it.",
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
      cmon embed demo --anchors dog --anchors cat --layer layer4 --epoch 0:8 --layout anchored
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
    if found.changed:
        screen.say(f"all placed anew: {found.changed}")
    screen.say(
        f"{terminal.outcome(found.made)}: {terminal.count(found.anchors, 'anchor')} and "
        f"{terminal.count(found.placed, 'unit')} placed; {found.left_out:,} left out (no label)"
    )
    if found.added:
        screen.say(_how_added(found))
    screen.say(found.sentence)


def _how_added(found: EmbedResult) -> str:
    """What stayed, and how far from a full fit the rest is."""
    if math.isnan(found.off_fit):
        far = "how far from a fit of all cannot be told, since all others are of one epoch"
    else:
        far = (
            f"about {found.off_fit:.2f} of the anchors' radius from where a fit of all has them "
            "(told by placing the last fitted epoch again)"
        )
    return f"{found.added:,} of them were added to others, which stay: {far}; --refit places all anew"
