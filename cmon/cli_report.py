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
@options.seed
@options.table_format
@options.quiet
def report(
    workspace: Path, track: tuple[tuple[str, int], ...], seed: int, table_format: str, quiet: bool
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
        summary = stage.report(Workspace(workspace), stage.Settings(track, seed), progress)
    rows = summary.d_anchor.to_pylist()
    for row in rows:
        row["epoch"] = int(row["epoch"]) if row["epoch"].is_integer() else row["epoch"]
    console.print_table(rows, table_format, "d_anchor")
    for subject, finding in summary.findings:
        terminal.say(f"{subject}: {finding}")
    terminal.say(f"{console.made(summary.made)}: {summary.page}")
