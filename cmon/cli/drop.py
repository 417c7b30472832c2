"""`cmon drop`: its options, and what it says."""

from __future__ import annotations

from pathlib import Path

import click

from cmon.cli import options


@click.command()
@options.workspace
@click.option(
    "--run", "runs", metavar="NAME", multiple=True, help="A run to take out. Can be given more than once."
)
@click.option(
    "--layer",
    "layers",
    metavar="NAME",
    multiple=True,
    help="A layer to take out, or a glob of layers: of the given runs, or of all. Can be given more than once.",
)
@options.quiet
def drop(workspace: Path, runs: tuple[str, ...], layers: tuple[str, ...], quiet: bool) -> None:
    """Take runs or layers out of a workspace.

    Their activations are removed at once; what was made from them when `cmon score` runs next.

    \b
    Example:
      cmon drop demo --run poor
    """
    from cmon import api
    from cmon.cli import terminal

    with terminal.session(quiet) as (screen, _):
        files = api.drop(workspace, runs=runs, layers=layers)
    screen.say(
        f"done: {terminal.count(files, 'activation file')} taken out; run `cmon score` again with the options of then"
    )
