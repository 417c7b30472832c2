"""`cmon report`: its options, and what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cmon.cli import options


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
@click.option(
    "--main-layer",
    metavar="LAYER",
    show_default="the last one that is no classification head",
    help="The layer that headlines, tracked units and the comparison of runs are of.",
)
@options.images
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
    metrics: tuple[tuple[str, Path], ...],
    max_html_mb: float,
    table_format: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Tables, figures and a page of what the neurons learned.

    \b
    Example:
      cmon report demo --track layer4:114 --metrics standard=runs/standard/training.csv
    """
    from cmon import api
    from cmon.cli import terminal

    if len(dict(metrics)) < len(metrics):
        raise click.UsageError("--metrics: a run has more than one file")
    with terminal.session(quiet) as (screen, progress):
        found = api.report(
            workspace, metrics=dict(metrics), max_html_mb=max_html_mb, **given, progress=progress
        )
    if table_format == "json":
        print(json.dumps(found.headlines, indent=1))
    else:
        rows = _rows(found.d_anchor, table_format, found.headlines["main_layer"])
        terminal.print_table(
            rows,
            table_format,
            "d_anchor",
            rest=str(found.page.parent / "d_anchor.csv"),
            left_out=found.d_anchor.num_rows - len(rows),
        )
    for subject, finding in found.findings:
        screen.say(f"{subject}: {finding}")
    for words in found.warnings:
        screen.warn(words)
    if found.missing_images:
        images = terminal.count(found.missing_images, "top image")
        screen.warn(
            f"{images} moved or changed since extraction, not shown; the page lists them. If they were moved, give "
            "the folder where they are now with --images"
        )
    if found.images_beside:
        images = terminal.count(found.images_beside, "thumbnail")
        size = found.page.stat().st_size / 1e6
        rest = f", and has {size:.1f} MB without them" if size > max_html_mb else ""
        screen.say(
            f"{images} in {found.page.parent / 'thumbnails'}: the page would exceed {max_html_mb:g} MB{rest}"
        )
    screen.say(f"{terminal.outcome(found.made)}: {found.page}")


_SHOWN = (
    *("run", "layer", "epoch", "d_anchor", "change", "change_low", "change_high", "d_anchor_clip"),
    *("n_units", "n_dead", "n_interpretable"),
)


def _rows(table: Any, form: str, main: str) -> list[dict[str, Any]]:
    """All for programs; for people what is read most, and where there are many rows, each layer's first and last, or
    these of the main layer alone."""
    from cmon.cli import terminal

    rows: list[dict[str, Any]] = table.to_pylist()
    if form != "table":
        return rows
    if len(rows) > terminal.MOST_ROWS:
        ends = {(row["run"], row["layer"]): row["epoch"] for row in rows}
        begins = {(row["run"], row["layer"]): row["epoch"] for row in reversed(rows)}
        kept = {(*key, epoch) for of in (begins, ends) for key, epoch in of.items()}
        rows = [row for row in rows if (row["run"], row["layer"], row["epoch"]) in kept]
    if len(rows) > terminal.MOST_ROWS and any(row["layer"] == main for row in rows):
        rows = [row for row in rows if row["layer"] == main]
    return [{name: row[name] for name in _SHOWN} for row in rows]
