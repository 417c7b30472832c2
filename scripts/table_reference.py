"""Write the README's description of all tables from their schemas, or check that it is up to date.

python scripts/table_reference.py README.md
python scripts/table_reference.py --check README.md
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from cmon.dictionary import dictionary

BEGIN, END = "<!-- table reference: begin -->", "<!-- table reference: end -->"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if the description is out of date.")
def main(file: Path, check: bool) -> None:
    """Put the description of all tables between its marks in FILE."""
    text = file.read_text()
    if BEGIN not in text or END not in text:
        raise click.ClickException(f"{file}: holds no marks {BEGIN} and {END}")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    fresh = pattern.sub(lambda _: f"{BEGIN}\n{dictionary()}{END}", text)
    if check and fresh != text:
        print(f"{file}: the description of the tables is out of date; run `make format`", file=sys.stderr)
        sys.exit(1)
    if fresh != text:
        file.write_text(fresh)


if __name__ == "__main__":
    main()
