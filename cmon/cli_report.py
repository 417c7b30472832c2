"""`cmon report`: its options, and what it says."""

from __future__ import annotations

from pathlib import Path

import click

from cmon import options


@click.command()
@options.workspace
@click.option(
    "--track",
    type=options.TrackedUnit(),
    multiple=True,
    show_default="three units, chosen and said why",
    help="A unit to follow through the epochs; can be given more than once.",
)
@click.option(
    "--max-html-mb",
    type=click.FloatRange(min=0),
    default=25,
    show_default=True,
    help="Size of the page up to which it holds its thumbnails; beyond, they lie in a folder beside it.",
)
@options.seed
@options.table_format
@options.quiet
def report(
    workspace: Path,
    track: tuple[tuple[str, int], ...],
    max_html_mb: float,
    seed: int,
    table_format: str,
    quiet: bool,
) -> None:
    """Tables, figures and a page of what the neurons learned.

    \b
    Example:
      cmon report demo --track layer4:114 --track layer4:168
    """
    from cmon import console
    from cmon import report as stage
    from cmon.store import Workspace

    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        settings = stage.Settings(track, seed, max_html_mb=max_html_mb)
        summary = stage.report(Workspace(workspace), settings, progress)
    rows = summary.d_anchor.to_pylist()
    for row in rows:
        row["epoch"] = int(row["epoch"]) if row["epoch"].is_integer() else row["epoch"]
    console.print_table(rows, table_format, "d_anchor")
    for subject, finding in summary.findings:
        terminal.say(f"{subject}: {finding}")
    if summary.missing_images:
        images = console.count(summary.missing_images, "top image")
        terminal.warn(f"{images} moved or changed since extraction, not shown; the page lists them")
    if summary.images_beside:
        images = console.count(summary.images_beside, "thumbnail")
        terminal.say(
            f"{images} in {summary.page.parent / 'thumbnails'}: the page would exceed {max_html_mb:g} MB"
        )
    terminal.say(f"{console.made(summary.made)}: {summary.page}")
