"""Write the generated references in docs/reference from the code, or check that they are up to date.

python -m scripts.maintenance.references
python -m scripts.maintenance.references --check
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from cmon.cli.main import main as cmon
from scripts.maintenance.layer_reference import layers
from scripts.maintenance.table_reference import tables
from tests.support.checkpoint_cases import read_table
from tests.support.refused_cases import refused_table

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"


def commands() -> str:
    """The help text of every command, as Markdown."""
    parts = []
    top = click.Context(cmon, info_name="cmon", **cmon.context_settings)
    for name in cmon.list_commands(top):
        command = cmon.commands[name]
        context = click.Context(command, top, info_name=name, terminal_width=100, max_content_width=100)
        parts.append(f"## cmon {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def checkpoints() -> str:
    """What is read and what is refused, as the tests try it."""
    return f"## What is read\n\n{read_table()}\n## What is refused\n\n{refused_table()}"


PAGES = {
    "commands.md": commands,
    "layers.md": layers,
    "tables.md": tables,
    "checkpoints-read.md": checkpoints,
}
"""Each page's generated part; what stands around its marks is written by hand."""


def fresh(page: Path, content: str) -> str:
    """The page's text with the content between its marks."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    text, found = pattern.subn(lambda _: f"{BEGIN}\n\n{content}\n{END}", page.read_text(encoding="utf-8"))
    if not found:
        raise click.ClickException(f"{page}: holds no marks {BEGIN} and {END}")
    return text


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=FOLDER)
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a page is out of date.")
def main(folder: Path, check: bool) -> None:
    """Put each reference into its page in FOLDER."""
    old = []
    for name, make in PAGES.items():
        page = folder / name
        text = fresh(page, make())
        if text != page.read_text(encoding="utf-8"):
            old.append(page)
            if not check:
                page.write_text(text, encoding="utf-8")
    if check and old:
        print(f"{', '.join(map(str, old))}: out of date; run `make format`", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
