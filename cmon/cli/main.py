"""`cmon`: the four commands together, and how errors and Ctrl-C end. Each command has a file of its own, `cli_*`.

A command reads its options, calls one stage and says what came of it. Heavy imports (torch, open_clip, umap,
matplotlib) happen inside the commands: `cmon --help` must answer at once, and `extract` and `score` must run
where umap-learn is not installed.
"""

from __future__ import annotations

from typing import Any

import click

import cmon
from cmon.cli.embed import embed
from cmon.cli.extract import extract
from cmon.cli.report import report
from cmon.cli.score import score
from cmon.errors import CmonError

INTERRUPTED_EXIT = 130


class Commands(click.Group):
    """Turns an error that a user can act on into a message and exit code 1, and Ctrl-C into a word of comfort."""

    def invoke(self, ctx: click.Context) -> Any:
        from cmon.cli.terminal import Terminal

        try:
            return super().invoke(ctx)
        except CmonError as error:
            Terminal(quiet=False).error(str(error))
            ctx.exit(1)
        except KeyboardInterrupt:
            Terminal(quiet=False).error(
                "interrupted; what was finished is kept, and the same command goes on from there"
            )
            ctx.exit(INTERRUPTED_EXIT)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["extract", "score", "embed", "report"]  # in the order in which they are run


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cmon.__version__, prog_name="cmon")
def main() -> None:
    """See what the neurons of an image network learn while it trains.

    Four stages work on one WORKSPACE folder, in this order: extract, score, embed, report. Each does only
    what is missing or stale.
    """


for command in (extract, score, embed, report):
    main.add_command(command)


if __name__ == "__main__":
    main()
