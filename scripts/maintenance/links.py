"""Check the links of Markdown files: that files and headings are there, and that references are defined.

python -m scripts.maintenance.links [FILE ...]

Only what lies in this repository is checked; nothing is looked up in a network. Anchors are those that GitHub makes of
headings, and MkDocs too, see mkdocs.yml.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click

ROOT = Path(__file__).resolve().parents[2]
FILES = ("*.md", "docs/**/*.md", "data/**/*.md")

_CODE = re.compile(r"^(```|~~~).*?^\1[^\S\n]*$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_INCLUDED = re.compile(r'^--8<-- "([^":]+)(?::(\w+))?"$', re.MULTILINE)
_INLINE = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_BY_NAME = re.compile(r"\]\[([^\]]*)\]")
_DEFINED = re.compile(r"^\[([^\]]+)\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def problems(path: Path, root: Path) -> Iterator[str]:
    """What is wrong with the links of one file."""
    text = _CODE.sub(_blank, included(path.read_text(encoding="utf-8"), root))
    defined = {name.lower(): target for name, target in _DEFINED.findall(text)}
    used = {name.lower() for name in _BY_NAME.findall(text)}
    for name in sorted(used - set(defined)):
        yield f"[{name}] is not defined"
    for name in sorted(set(defined) - used):
        yield f"[{name}] is defined, and not used"
    for target in sorted({*_INLINE.findall(text), *defined.values()}):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (path.parent / unquote(place)).resolve() if place else path
        if not file.exists():
            yield f"{target}: no such file"
        elif not file.is_relative_to(root):
            yield f"{target}: outside of the repository"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file, root):
            yield f"{target}: no such heading"


def included(text: str, root: Path) -> str:
    """The text with the files, or parts of files, that it includes."""

    def content(match: re.Match[str]) -> str:
        file, part = match.groups()
        found = (root / file).read_text(encoding="utf-8")
        if part:
            found = found.partition(f"[start:{part}] -->\n")[2].partition(f"<!-- --8<-- [end:{part}]")[0]
        return included(found, root)

    return _INCLUDED.sub(content, text)


def anchors(path: Path, root: Path) -> set[str]:
    """The anchors of a file's headings."""
    text = re.sub(
        r"^(```|~~~).*?^\1[^\S\n]*$", "", included(path.read_text(encoding="utf-8"), root), flags=re.S | re.M
    )
    found: set[str] = set()
    for heading in _HEADING.findall(text):
        words = re.sub(r"\[([^\]]*)\][(\[][^)\]]*[)\]]", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words.replace("*", "")).replace(" ", "-")
        number, unique = 0, anchor
        while unique in found:
            number += 1
            unique = f"{anchor}-{number}"
        found.add(unique)
    return found


def _blank(match: re.Match[str]) -> str:
    """Code becomes a word: what is in it is no link, but it may be a link's text."""
    return "code"


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(files: tuple[Path, ...]) -> None:
    """Check FILES, or else all Markdown files that people read here."""
    wanted = [file.resolve() for file in files] or sorted(file for glob in FILES for file in ROOT.glob(glob))
    found = [f"{file.relative_to(ROOT)}: {problem}" for file in wanted for problem in problems(file, ROOT)]
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
