"""Objects of the user's own code: `python:MODULE:FACTORY`, for networks and embedders alike."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from cmon.errors import CmonError, nearest_names


def python_object(reference: str, option: str) -> Callable[..., Any]:
    """The factory of `MODULE:FACTORY`, MODULE importable or the path of a .py file.

    Shared by every option that takes `python:...`. Raises CmonError naming the option.
    """
    module_name, _, factory = reference.rpartition(":")
    try:
        module = _module(module_name)
    except Exception as error:  # a user's module can fail in any way
        raise CmonError(
            f"{option} python:{reference}: {module_name!r} cannot be imported",
            expected="an importable module, or the path of a .py file",
            found=f"{type(error).__name__}: {error}",
        ) from error
    found = getattr(module, factory, None)
    if not callable(found):
        public = [
            name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
        ]
        raise CmonError(
            f"{option} python:{reference}: {module_name!r} has no callable {factory!r}",
            expected="a function or a class",
            found=f"a {type(found).__name__}" if hasattr(module, factory) else "nothing of this name",
            hint=nearest_names(factory, public),
        )
    return found


def _module(name: str) -> ModuleType:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"no such file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickles look their module up by name
    spec.loader.exec_module(module)
    return module
