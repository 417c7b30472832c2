"""`cmon`: the four commands together, and how errors and Ctrl-C end. Each command has a file of its own.

A command reads its options, calls one function of `cmon.api`, and prints what came of it. Heavy imports (torch,
open_clip, umap, matplotlib) happen inside these functions: `cmon --help` must answer at once.
"""

from __future__ import annotations

from typing import Any

import click

import cmon
from cmon.cli.drop import drop
from cmon.cli.embed import embed
from cmon.cli.extract import extract
from cmon.cli.report import report
from cmon.cli.score import score
from cmon.cli.watch import watch
from cmon.errors import CmonError, OptionError


class Commands(click.Group):
    """Turns errors that a user can act on into messages and exit codes, and Ctrl-C into a word of comfort."""

    def invoke(self, ctx: click.Context) -> Any:
        from cmon.cli import interrupt
        from cmon.cli.terminal import Terminal

        try:
            with interrupt.ended_promptly(lambda: ctx.invoked_subcommand):
                return super().invoke(ctx)
        except OptionError as error:
            raise click.UsageError(str(error)) from error
        except CmonError as error:
            Terminal(quiet=False).error(str(error))
            ctx.exit(1)
        except KeyboardInterrupt:
            Terminal(quiet=False).error(interrupt.words(ctx.invoked_subcommand))
            ctx.exit(interrupt.EXIT)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from cmon.cli import unforeseen

            Terminal(quiet=False).error(unforeseen.describe(error))
            ctx.exit(unforeseen.EXIT)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["extract", "score", "embed", "report", "watch", "drop"]  # in the order in which they are run


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cmon.__version__, prog_name="cmon")
def main() -> None:
    """See what the neurons of an image network learn while it trains.

    Four stages work on one WORKSPACE folder, in this order: extract, score, embed, report. Each does only
    what is missing or stale.
    """


for command in (extract, score, embed, report, watch, drop):
    main.add_command(command)
