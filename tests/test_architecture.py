"""The plan of the house, read off its imports: which folder may import which, and who touches the outside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cmon"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

BASE = "errors printable progress regular_files"  # imported by anybody
MAY_IMPORT = {
    "printable": "",
    "errors": "printable",
    "progress": "",
    "regular_files": "",
    "trajectories": "",
    "rank_correlation": "",
    "paired_difference": "",
    "top_k": "",
    "text_files": BASE,
    "concepts": f"{BASE} text_files",
    "distributed": BASE,
    "devices": BASE,
    "storage": BASE,
    "user_code": BASE,
    "workspace": f"{BASE} storage",
    "images": f"{BASE} text_files storage workspace",
    "checkpoints": f"{BASE} storage workspace",
    "clip": f"{BASE} user_code workspace images",
    "extraction": f"{BASE} distributed user_code storage top_k workspace images checkpoints",
    "scoring": f"{BASE} distributed concepts top_k workspace images clip",
    "evaluation": f"{BASE} text_files concepts workspace",
    "embedding": f"{BASE} concepts trajectories rank_correlation workspace",
    "reporting": f"{BASE} text_files concepts trajectories rank_correlation paired_difference workspace images",
    "kept_options": f"{BASE} concepts storage workspace",
    "api": f"{BASE} concepts distributed devices kept_options storage workspace images clip extraction scoring "
    "evaluation embedding reporting",
    "watching": f"{BASE} kept_options storage workspace checkpoints reporting api",
    "cli": f"{BASE} kept_options api devices storage workspace extraction scoring embedding watching",
    "__main__": "cli",
}
"""Folder or file of the package to what it may import besides itself: the data's way, from top to bottom."""

INSIDE = {
    "checkpoints": ("formats",),
    "extraction": ("layers", "fused"),
    "scoring": ("similarity",),
    "embedding": ("layouts",),
    "reporting": ("tables", "figures", "page"),
}
"""Folders within folders. Each may import what stands before it, and none what lies beside all of them."""

ONLY_IN = {
    "click": "cli",
    "rich": "cli",
    "open_clip": "clip",
    "umap": "embedding/layouts",
    "pynndescent": "embedding/layouts",
    "numba": "scoring/similarity",
    "ray": "distributed",
    "fsspec": "storage",
    "bokeh": "reporting/page",
    "jinja2": "reporting/page",
    "matplotlib": "reporting/figures reporting/page",
    "tensorboard": "watching",
    "timm": "extraction",
    "safetensors": "checkpoints/formats",
}
"""What comes from outside, and the folders that may import it."""

MATHEMATICS = [
    *(PACKAGE / "scoring" / "similarity").glob("*.py"),
    *(PACKAGE / "embedding" / "layouts").glob("*.py"),
    *[
        PACKAGE / f"{name}.py"
        for name in (
            "scoring/block_scores",
            "scoring/first_epoch",
            "scoring/labelling",
            "scoring/priors",
            "scoring/pseudo_units",
            "scoring/redundancy",
            "scoring/significance",
        )
    ],
    *[
        PACKAGE / f"{name}.py"
        for name in ("top_k", "evaluation/detection", "reporting/figures/label_placement")
    ],
]
"""Files that take arrays and give arrays."""


def imported(path: Path) -> set[str]:
    """Dotted names of all that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def of_cmon(path: Path) -> list[list[str]]:
    """The parts of what a file imports from the package, without `cmon` in front; not its version."""
    parts = [name.split(".") for name in imported(path)]
    return [name[1:] for name in parts if name[0] == "cmon" and len(name) > 1 and name[1] != "__version__"]


def room(path: Path) -> str:
    """The folder below the package that a file lies in, or the file itself."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_the_table_names_every_room_and_no_other() -> None:
    assert set(MAY_IMPORT) == {room(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    own = room(path)
    allowed = {own, *MAY_IMPORT[own].split()}
    outside = {".".join(name) for name in of_cmon(path) if name[0] not in allowed}
    assert not outside, f"{own} may import {MAY_IMPORT[own] or 'nothing'}"


@pytest.mark.parametrize("own", sorted(INSIDE))
def test_folders_inside_a_room_follow_each_other(own: str) -> None:
    inner = INSIDE[own]
    assert set(inner) == {path.name for path in (PACKAGE / own).iterdir() if (path / "__init__.py").is_file()}
    for position, name in enumerate(inner):
        for path in (PACKAGE / own / name).rglob("*.py"):
            deeper = {other[1] for other in of_cmon(path) if other[0] == own and len(other) > 2}
            assert not deeper & set(inner[position + 1 :]), f"{path} imports what is made from it"


@pytest.mark.parametrize("outside", sorted(ONLY_IN))
def test_what_is_outside_has_one_place(outside: str) -> None:
    users = {path for path in FILES if outside in {name.split(".")[0] for name in imported(path)}}
    allowed = [PACKAGE / place for place in ONLY_IN[outside].split()]
    strangers = {str(path) for path in users if not any(place in path.parents for place in allowed)}
    assert users
    assert not strangers


def test_modules_do_not_go_in_circles() -> None:
    names = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in FILES}
    waiting = {}
    for name, path in names.items():
        found = {".".join(other[:length]) for other in of_cmon(path) for length in range(1, len(other) + 1)}
        waiting[name] = (found & set(names)) - {name}
    while free := {name for name, needs in waiting.items() if not needs & set(waiting)}:
        waiting = {name: needs for name, needs in waiting.items() if name not in free}
    assert not waiting, f"circle among {sorted(waiting)}"


@pytest.mark.parametrize("path", MATHEMATICS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_mathematics_reads_and_writes_nothing(path: Path) -> None:
    outside = {name.split(".")[0] for name in imported(path)}
    assert not outside & {"pathlib", "os", "io", "pyarrow", "pandas", "PIL", "logging"}


@pytest.mark.parametrize("folder", ["scripts", "tests"])
def test_no_file_changes_where_python_looks(folder: str) -> None:
    """But one: people call the case studies by their path, and there is no other program that they need."""
    here = Path(__file__)
    root = here.parents[1]
    for path in {*(root / folder).rglob("*.py")} - {here, root / "scripts/cases/run.py"}:
        assert "sys.path" not in path.read_text(encoding="utf-8"), path
