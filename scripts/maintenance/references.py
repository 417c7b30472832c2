"""Write the README's references of commands and tables from the code, or check that they are up to date.

python -m scripts.maintenance.references README.md
python -m scripts.maintenance.references --check README.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from cmon.cli.main import main as cmon
from cmon.reporting.tables.dictionary import dictionary


def commands() -> str:
    """The help text of every command, as Markdown."""
    parts = []
    top = click.Context(cmon, info_name="cmon", **cmon.context_settings)
    for name in cmon.list_commands(top):
        command = cmon.commands[name]
        context = click.Context(command, top, info_name=name, terminal_width=100, max_content_width=100)
        parts.append(f"### cmon {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


REFERENCES = {"command reference": commands, "table reference": dictionary}


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a reference is out of date.")
def main(file: Path, check: bool) -> None:
    """Put each reference between its marks in FILE."""
    text = fresh = file.read_text(encoding="utf-8")
    for name, make in REFERENCES.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        content = f"{begin}\n{make()}{end}"
        fresh, found = pattern.subn(lambda _, content=content: content, fresh)
        if not found:
            raise click.ClickException(f"{file}: holds no marks {begin} and {end}")
    if check and fresh != text:
        print(f"{file}: a reference is out of date; run `make format`", file=sys.stderr)
        sys.exit(1)
    if fresh != text:
        file.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
