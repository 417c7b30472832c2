"""`cmon watch`: its options, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmon.cli import options
from cmon.cli.command_lines import command_line
from cmon.cli.embed import embed
from cmon.cli.extract import extract
from cmon.cli.report import report
from cmon.cli.score import score

_COMMANDS: dict[str, click.Command] = {"extract": extract, "score": score, "embed": embed, "report": report}


@click.command()
@options.workspace
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="How often to look for new checkpoints. A look lists names, sizes and times, and opens nothing.",
)
@click.option(
    "--until-epoch",
    type=float,
    default=None,
    metavar="N",
    show_default="until Ctrl-C",
    help="End once every run has this epoch or a later one, and the stages are done with it.",
)
@click.option(
    "--tensorboard",
    type=options.FOLDER,
    default=None,
    metavar="FOLDER",
    show_default="not written",
    help="Write the numbers of every run and layer, and the tracked neurons as pictures, to FOLDER/RUN for "
    "TensorBoard; needs the extra cmon[tensorboard].",
)
@click.option(
    "--jsonl",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default=None,
    metavar="FILE",
    show_default="not written",
    help="Add the same numbers to a file as JSON, a line for each run, layer and epoch; - is standard output.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the stages as they would be run, as command lines; run nothing."
)
@options.quiet
def watch(workspace: Path, dry_run: bool, quiet: bool, **given: Any) -> None:
    """Run the stages again for every new checkpoint, while training runs.

    The stages are those that this workspace has seen, each with the options that it was last given. A checkpoint
    that is still being written is left until it stands still. An open report/index.html shows the new epoch by
    itself. Ends with Ctrl-C, or --until-epoch.

    \b
    Example:
      cmon watch demo --every 30 --tensorboard runs
    """
    from cmon.cli import terminal
    from cmon.kept_options import read_calls
    from cmon.workspace.workspace import Workspace

    if dry_run:
        for call in read_calls(Workspace(workspace)):
            print(command_line(workspace, call, _COMMANDS[call.stage]))
        return
    from cmon.watching.watch import watch as run_stages

    shown = terminal.Terminal(quiet)
    with terminal.warnings_shown(shown):
        run_stages(workspace, **given, say=shown.say, progress=shown.passing_progress)
