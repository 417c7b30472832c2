"""The layout of the package, read off its imports: lower levels never import higher, stages never each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cmon"
MODULES = {path.stem: path for path in PACKAGE.glob("*.py") if path.stem != "__init__"}

SCORING = {
    "similarity",
    "evidence",
    "wpmi",
    "reorder",
    "cosine",
    "priors",
    "labelling",
    "parallel",
    "compiled",
}
LAYOUTS = {"layout", "anchored", "joint", "aligned", "neighbours"}
COMMANDS = {"cli", "cli_extract", "cli_score", "cli_embed", "cli_report"}
LEVELS = {
    0: {"errors", "schemas", "report_schemas"},
    1: {"topk", "statistics", "ranks", "labels", "fan", "detection", *LAYOUTS, *SCORING},
    3: {"extract", "score", "agreement", "embed", "report"},
    4: {"options", "console", *COMMANDS},
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names}
"""Level 2, one outside thing each, is all others."""

ONLY_IN = {  # who may import what is outside
    "click": {"options", "console", *COMMANDS},
    "rich": {"options", "console", *COMMANDS},
    "open_clip": {"openclip"},
    "umap": {"layout", "aligned"},
    "pynndescent": {"neighbours"},
    "sklearn": {"anchored"},
    "numba": {"compiled"},
    "bokeh": {"explorer_plots"},
    "timm": {"models"},
    "safetensors": {"containers"},
}


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


def of_cmon(path: Path) -> set[str]:
    parts = [name.split(".") for name in imported(path)]
    return {name[1] for name in parts if name[0] == "cmon" and len(name) > 1 and name[1] in MODULES}


def test_the_levels_name_modules_that_exist() -> None:
    missing = set(LEVEL) - set(MODULES)
    assert not missing, missing


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_from_its_level_or_below(name: str) -> None:
    level = LEVEL.get(name, 2)
    higher = {other for other in of_cmon(MODULES[name]) if LEVEL.get(other, 2) > level}
    assert not higher, f"{name} (level {level}) imports {higher}"


@pytest.mark.parametrize("name", sorted(LEVELS[3]))
def test_stages_never_import_each_other(name: str) -> None:
    assert not of_cmon(MODULES[name]) & LEVELS[3] - {name}


@pytest.mark.parametrize("outside", sorted(ONLY_IN))
def test_what_is_outside_has_one_place(outside: str) -> None:
    users = {name for name, path in MODULES.items() if outside in {x.split(".")[0] for x in imported(path)}}
    assert users <= ONLY_IN[outside], f"{outside} is imported by {users - ONLY_IN[outside]}"


def test_modules_do_not_go_in_circles() -> None:
    waiting = {name: of_cmon(path) - {name} for name, path in MODULES.items()}
    while free := {name for name, needs in waiting.items() if not needs & set(waiting)}:
        waiting = {name: needs for name, needs in waiting.items() if name not in free}
    assert not waiting, f"circle among {sorted(waiting)}"


@pytest.mark.parametrize("name", sorted(LEVELS[1]))
def test_mathematics_reads_and_writes_nothing(name: str) -> None:
    outside = {other.split(".")[0] for other in imported(MODULES[name])}
    assert not outside & {"pathlib", "os", "io", "pyarrow", "pandas", "PIL", "logging"}
