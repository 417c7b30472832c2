"""What keeps the repository in order is the same wherever it is run."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.maintenance import architecture_picture
from tests.test_architecture import BASE, MAY_IMPORT

ROOT = Path(__file__).parents[3]


def test_pre_commit_runs_the_checks_of_make_check() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    wanted = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^ +entry: (.*)$", hooks, re.MULTILINE) == wanted


def test_the_picture_of_the_architecture_is_up_to_date() -> None:
    assert (ROOT / "docs/figures/architecture.svg").read_text(encoding="utf-8") == architecture_picture.svg()


def test_the_picture_shows_every_folder_of_the_package() -> None:
    shown = " ".join(box.title for box in architecture_picture.BOXES)
    for folder in (path.parent.name for path in (ROOT / "cmon").glob("*/__init__.py")):
        assert f"{folder}/" in shown, folder


def test_the_documented_folders_may_import_what_the_rules_say() -> None:
    """Of the table in docs/architecture.md: 'and' stands for what everything may import."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| ?(.*?) ?\|$", text, re.MULTILINE)
    documented = {}
    for name, said in rows:
        documented[name] = {*re.findall(r"`(\w+)`", said), *(BASE.split() if said.startswith("and ") else ())}
    wanted = {name: set(allowed.split()) for name, allowed in MAY_IMPORT.items()}
    del wanted["__main__"]
    assert documented == wanted
