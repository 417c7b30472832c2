"""`cmon report`: its options, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cmon.cli import options
from cmon.workspace.keys import epoch_number


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
    "--metrics",
    type=options.RunFile(),
    multiple=True,
    help="What a run's training logged: CSV with a column epoch and one for each metric, drawn above d_anchor. "
    "Can be given once for each run.",
)
@click.option(
    "--max-html-mb",
    type=click.FloatRange(min=0),
    default=25,
    show_default=True,
    help="Size of the page up to which it holds its thumbnails; beyond, they lie in a folder beside it.",
)
@options.seed
@click.option(
    "--format",
    "table_format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="What is written on standard output: the d_anchor table, for people or as CSV, or as JSON the headline "
    "numbers of every run and layer.",
)
@options.quiet
def report(
    workspace: Path,
    track: tuple[tuple[str, int], ...],
    metrics: tuple[tuple[str, Path], ...],
    max_html_mb: float,
    seed: int,
    table_format: str,
    quiet: bool,
) -> None:
    """Tables, figures and a page of what the neurons learned.

    \b
    Example:
      cmon report demo --track layer4:114 --metrics standard=runs/standard/training.csv
    """
    runs = [run for run, _ in metrics]
    if len(set(runs)) < len(runs):
        raise click.UsageError("--metrics: a run has more than one file")

    from cmon.cli import terminal as console
    from cmon.reporting import stage
    from cmon.workspace.workspace import Workspace

    with console.terminal(quiet) as terminal, terminal.progress() as progress:
        settings = stage.ReportSettings(track, seed, metrics=metrics, max_html_mb=max_html_mb)
        summary = stage.report(Workspace(workspace), settings, progress)
    if table_format == "json":
        print(json.dumps(summary.headlines, indent=1))
    else:
        rows = summary.d_anchor.to_pylist()
        for row in rows:
            row["epoch"] = epoch_number(row["epoch"])
        console.print_table(rows, table_format, "d_anchor")
    for subject, finding in summary.findings:
        terminal.say(f"{subject}: {finding}")
    if summary.missing_images:
        images = console.count(summary.missing_images, "top image")
        terminal.warn(f"{images} moved or changed since extraction, not shown; the page lists them")
    if summary.images_beside:
        images = console.count(summary.images_beside, "thumbnail")
        size = summary.page.stat().st_size / 1e6
        rest = f", and has {size:.1f} MB without them" if size > max_html_mb else ""
        terminal.say(
            f"{images} in {summary.page.parent / 'thumbnails'}: the page would exceed {max_html_mb:g} MB{rest}"
        )
    terminal.say(f"{console.made(summary.made)}: {summary.page}")
