"""Write the README's command reference from the commands' own --help, or check that it is up to date.

python scripts/command_reference.py README.md
python scripts/command_reference.py --check README.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from cmon.cli import main as cmon

BEGIN, END = "<!-- command reference: begin -->", "<!-- command reference: end -->"


def reference() -> str:
    """The help text of every command, as Markdown."""
    parts = []
    top = click.Context(cmon, info_name="cmon", **cmon.context_settings)
    for name in cmon.list_commands(top):
        command = cmon.commands[name]
        context = click.Context(command, top, info_name=name, terminal_width=100, max_content_width=100)
        parts.append(f"### cmon {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if the reference is out of date.")
def main(file: Path, check: bool) -> None:
    """Put the command reference between its marks in FILE."""
    text = file.read_text()
    if BEGIN not in text or END not in text:
        raise click.ClickException(f"{file}: holds no marks {BEGIN} and {END}")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    fresh = pattern.sub(lambda _: f"{BEGIN}\n{reference()}{END}", text)
    if check and fresh != text:
        print(f"{file}: the command reference is out of date; run `make format`", file=sys.stderr)
        sys.exit(1)
    if fresh != text:
        file.write_text(fresh)


if __name__ == "__main__":
    main()
