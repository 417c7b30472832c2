"""The options that each stage was last run with, kept in the workspace: what `cmon watch` runs again.

`requests/STAGE.json` holds the calls of one stage, as keywords of the function of `cmon.api`. Paths stand in it as
they are and as seen from the workspace, so that both can be moved; what a notebook gives by value is kept by value.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from cmon.concepts import Concept
from cmon.errors import CmonError
from cmon.storage.urls import is_url, local_path
from cmon.workspace.files import atomic_write, file_digest, printable_path
from cmon.workspace.layer_patterns import match_all
from cmon.workspace.stored_paths import absolute, from_workspace, to_path, to_text
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

VERSION = 1
"""Of the form of the files."""
STAGES = ("extract", "score", "embed", "report")
_OF_THE_MOMENT = {"workspace", "progress", "finished", "refit", "ray", "part"}
"""Parameters that are of one call: done again, they would mean something else."""
_PATHS = {"probe", "concepts", "class_names", "truth", "images"}
"""Options that are a path where they are text."""
_PATHS_BY_NAME = {"runs", "metrics"}
_SPECS = {"model": ("python:",), "clip": ("python:", "local-dir:")}
"""Options that are text with a path in it, and how that text begins then."""


@dataclass(frozen=True)
class Call:
    """One stage with its options."""

    stage: str
    options: dict[str, Any]
    """Keywords of the function of that name in `cmon.api`; all but the workspace and what is of the moment."""


def keeps_options(function: Callable[P, R]) -> Callable[P, R]:
    """A stage's function that keeps its options once it has succeeded; `inspect.unwrap` gives one that does not.

    A part of a stage keeps none: the whole does.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        result = function(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        if given.arguments.get("part") is not None:
            return result
        place = given.arguments["workspace"]
        workspace = place if isinstance(place, Workspace) else Workspace(place)
        keep_options(workspace, Call(function.__name__, dict(given.arguments)))
        return result

    return call


def keep_options(workspace: Workspace, call: Call) -> None:
    """Keep a call of a stage in place of the earlier one, and of `extract` beside those that it did not replace.

    What cannot be kept is a warning, and stands in the file: `read_calls` refuses it. Where nothing may be written,
    a warning too.
    """
    try:
        kept: dict[str, Any] = _to_json(workspace, call)
    except TypeError as error:
        kept = {"not_kept": str(error)}
        logger.warning("%s; `cmon watch` cannot run `cmon %s` again", error, call.stage)
    others = _still_valid(workspace, call) if call.stage == "extract" else []
    try:
        _write(workspace, call.stage, [*others, kept])
    except CmonError as error:
        logger.warning("the options of `cmon %s` are not kept for `cmon watch`: %s", call.stage, error.line)


def keep_dropped(workspace: Workspace, layers_too: bool) -> None:
    """Keep that runs were taken out of the workspace: no kept call brings them back.

    layers_too: so were layers; each call of `extract` then names those that are left of its runs.
    """
    layers, calls = _layers_by_run(workspace), []
    for kept in _read(workspace, "extract"):
        left: dict[tuple[str, ...], dict[str, Any]] = {}
        for run, path in kept.get("runs", {}).items():
            there = layers.get(run, [])
            patterns = tuple(kept["layers"]["$tuple"])
            named = match_all(patterns, there)[0]
            if named:
                left.setdefault(tuple(named) if layers_too else patterns, {})[run] = path
        calls += [{**kept, "runs": runs, "layers": {"$tuple": list(own)}} for own, runs in left.items()]
        calls += [kept] if "not_kept" in kept else []
    _write(workspace, "extract", calls)
    reports = _read(workspace, "report")
    for kept in reports:
        if kept.get("metrics"):
            kept["metrics"] = {run: path for run, path in kept["metrics"].items() if run in layers}
    if reports:
        _write(workspace, "report", reports)


def read_calls(workspace: Workspace) -> list[Call]:
    """All kept calls in the order of the stages, with the paths as they are now.

    Raises CmonError when `extract` was never run here with options that are kept, options could not be kept, or a
    path among them is no longer there or not to be told from another.
    """
    calls = [_from_json(workspace, stage, kept) for stage in STAGES for kept in _read(workspace, stage)]
    if not any(call.stage == "extract" for call in calls):
        raise CmonError(
            f"{workspace.root}: does not say with which options its checkpoints are read",
            expected=f"{_file(workspace, 'extract')}, which `cmon extract` writes",
            found="no such file",
            hint=f"run `cmon extract {workspace.root} ...` once (what is there is not made again), and the other "
            "stages that are wanted",
        )
    return calls


# -- the files ----------------------------------------------------------------------------------------


def _file(workspace: Workspace, stage: str) -> Path:
    return workspace.root / "requests" / f"{stage}.json"


def _read(workspace: Workspace, stage: str) -> list[dict[str, Any]]:
    path = _file(workspace, stage)
    try:
        content = json.loads(path.read_bytes())
        calls, version = content["calls"], content["version"]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CmonError(f"{path}: cannot be read", found=error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CmonError(
            f"{path}: is damaged",
            expected=f"the options that `cmon {stage}` kept",
            found=f"{type(error).__name__}: {error}",
            hint=f"delete the file and run `cmon {stage}` again with its options",
        ) from error
    if version != VERSION:
        raise CmonError(
            f"{path}: was written by another version of cmon",
            expected=f"version {VERSION}",
            found=str(version),
            hint=f"run `cmon {stage}` again with its options",
        )
    return list(calls)


def _write(workspace: Workspace, stage: str, calls: Sequence[Mapping[str, Any]]) -> None:
    """Nothing is written where it would be the same."""
    path = _file(workspace, stage)
    text = json.dumps({"version": VERSION, "calls": calls}, indent=1, ensure_ascii=False) + "\n"
    try:
        if path.read_bytes() == text.encode():
            return
    except OSError:
        pass
    with atomic_write(path) as aside:
        aside.write_bytes(text.encode())


def _still_valid(workspace: Workspace, call: Call) -> list[dict[str, Any]]:
    """Earlier calls of `extract`, each with the runs of which it made layers that are there and not of this call."""
    try:
        before = _read(workspace, "extract")
    except CmonError:  # and is replaced
        return []
    layers = _layers_by_run(workspace)
    found = []
    for kept in before:
        if "not_kept" in kept:
            continue
        runs = {
            run: path
            for run, path in kept["runs"].items()
            if _matching(kept["layers"]["$tuple"], layers.get(run, []))
            - (
                _matching(call.options["layers"], layers.get(run, []))
                if run in call.options["runs"]
                else set()
            )
        }
        if runs:
            found.append({**kept, "runs": runs})
    return found


def _layers_by_run(workspace: Workspace) -> dict[str, list[str]]:
    """The layers of each run that are in the workspace."""
    found: dict[str, dict[str, None]] = {}
    for shard in workspace.read("shards").select(["run", "layer"]).to_pylist():
        found.setdefault(shard["run"], {})[shard["layer"]] = None
    return {run: list(layers) for run, layers in found.items()}


def _matching(patterns: Sequence[str], layers: Sequence[str]) -> set[str]:
    return set(match_all(list(patterns), layers)[0])


# -- from options to JSON and back -------------------------------------------------------------------------


def _to_json(workspace: Workspace, call: Call) -> dict[str, Any]:
    """Raises TypeError for a value that no text can stand for."""
    return {
        name: _encode(workspace, name, _settled(name, value))
        for name, value in call.options.items()
        if name not in _OF_THE_MOMENT
    }


def _settled(name: str, value: Any) -> Any:
    """The value of an option with its paths as `Path`."""
    if name in _PATHS and isinstance(value, (str, os.PathLike)):
        return _url_or_path(value)
    if name in _PATHS_BY_NAME and isinstance(value, Mapping):
        return {key: _url_or_path(path) for key, path in value.items()}
    if name == "anchors" and value is not None:
        some = [value] if isinstance(value, (str, os.PathLike)) else value
        return tuple(_word_or_file(one) for one in some)
    if name == "layers":
        return tuple(value)
    return value


def _url_or_path(value: Any) -> Any:
    """A URL stays text: it means the same from everywhere."""
    return value if is_url(value) else local_path(value)


def _word_or_file(one: Any) -> Any:
    """An anchor: what is no file that is there is a word."""
    return Path(one) if isinstance(one, (str, os.PathLike)) and os.path.isfile(one) else one


def _encode(workspace: Workspace, name: str, value: Any) -> Any:
    if name in _SPECS and isinstance(value, str):
        return _encode_spec(workspace, name, value)
    if isinstance(value, os.PathLike):
        return _encode_path(workspace, Path(value))
    if isinstance(value, Concept):
        return {"$concept": value.name, "category": value.category}
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) or key.startswith("$") for key in value):
            raise TypeError(f"the option {name!r} holds other keys than words, which cannot be kept")
        return {key: _encode(workspace, name, one) for key, one in value.items()}
    if isinstance(value, tuple):
        return {"$tuple": [_encode(workspace, name, one) for one in value]}
    if isinstance(value, Sequence) or hasattr(value, "tolist"):
        return [_encode(workspace, name, one) for one in value]
    raise TypeError(f"the option {name!r} holds a {type(value).__name__}, which cannot be kept")


def _encode_path(workspace: Workspace, path: Path) -> dict[str, Any]:
    whole = absolute(path.expanduser())
    return {"$path": to_text(whole), "from_workspace": from_workspace(whole, workspace.root)}


def _encode_spec(workspace: Workspace, name: str, spec: str) -> Any:
    """A spec with a path in it: `local-dir:FOLDER`, or `python:FILE.py:FACTORY`."""
    if not spec.startswith(_SPECS[name]):
        return spec
    kind, _, rest = spec.partition(":")
    path, colon, factory = rest.rpartition(":") if kind == "python" else (rest, "", "")
    if kind == "python" and not path.endswith(".py"):
        return spec
    return {**_encode_path(workspace, Path(path)), "before": f"{kind}:", "after": colon + factory}


def _from_json(workspace: Workspace, stage: str, kept: Mapping[str, Any]) -> Call:
    if "not_kept" in kept:
        raise CmonError(
            f"`cmon {stage}` cannot be run again",
            expected="options that can be kept in a file",
            found=kept["not_kept"],
            hint="run the stage with text and numbers, or with `python:MODULE:FACTORY` for what is an object",
        )
    return Call(stage, {name: _decode(workspace, stage, name, value) for name, value in kept.items()})


def _decode(workspace: Workspace, stage: str, name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(workspace, stage, name, one) for one in value]
    if not isinstance(value, dict):
        return value
    if "$tuple" in value:
        return tuple(_decode(workspace, stage, name, one) for one in value["$tuple"])
    if "$concept" in value:
        return Concept(value["$concept"], value["category"])
    if "$path" in value:
        path = _find(workspace, stage, name, value)
        return f"{value['before']}{path}{value['after']}" if "before" in value else path
    return {key: _decode(workspace, stage, name, one) for key, one in value.items()}


def _find(workspace: Workspace, stage: str, name: str, kept: Mapping[str, Any]) -> Path:
    """Where a path of an option is now: as seen from the workspace, or where it was."""
    then, below = to_path(kept["$path"]), kept.get("from_workspace")
    places = [then]
    if below is not None:
        root = workspace.root.absolute()
        places.insert(0, Path(os.path.normpath(root / to_path(below))))
    there = [place for place in places if place.exists()]
    option = f"`cmon {stage}`, option {name!r}"
    if not there:
        raise CmonError(
            f"{option}: {printable_path(then)} is no longer there",
            expected="what the stage was given, where it was or at the same place seen from the workspace",
            hint=f"put it back, or run `cmon {stage}` once with the path of now",
        ) from FileNotFoundError(str(then))
    if len(there) > 1 and not _same(*there):
        raise CmonError(
            f"{option}: it cannot be told which path is meant",
            expected="one path, or two with the same content",
            found=f"{printable_path(there[0])}, as seen from the workspace, and {printable_path(then)}, as given",
            hint=f"run `cmon {stage}` once with the path that is meant",
        )
    return there[0]


def _same(one: Path, other: Path) -> bool:
    if one.samefile(other):
        return True
    return one.is_file() and other.is_file() and file_digest(one) == file_digest(other)
