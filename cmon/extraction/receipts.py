"""What the last extraction was made from, so that the same one need load no network to find nothing to do.

Every activation file carries its own origin, but to compute the keys a network must be built and its layers seen,
and torch imported for it. The receipt holds what all the keys follow from: hashes of the checkpoints and the
images, the settings, and the versions of the libraries that build networks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cmon
from cmon.checkpoints.find import find_checkpoints, hash_checkpoint
from cmon.errors import CmonError
from cmon.extraction.settings import ExtractResult, ExtractSettings
from cmon.images.files import find_images
from cmon.workspace import schemas
from cmon.workspace.files import atomic_write, digest
from cmon.workspace.workspace import Workspace, is_fresh, read_table

_WHERE = ("device", "batch_size", "workers")
"""ExtractSettings that do not change what is computed."""
_BUILDERS = ("torch", "torchvision", "timm")
_TABLES = ("checkpoints", "images", "shards")


def write(
    workspace: Workspace,
    checkpoints: Iterable[tuple[str, str, str | None]],
    probe: Iterable[tuple[str, str | None]],
    settings: ExtractSettings,
) -> None:
    """Leave a receipt in the workspace's cache, after its tables were written.

    checkpoints: (run, checkpoint, sha256) of all that were found; probe: (name, sha256) of all files.
    None is left where the outcome follows from more than that: the user's own code, or a file that could not
    be read.
    """
    path = _path(workspace)
    receipt = {
        "request": _request(settings),
        "tables": [workspace.origin(name) for name in _TABLES],
        "checkpoints": [list(one) for one in checkpoints],
        "images": [list(one) for one in probe],
    }
    unreadable = any(one[-1] is None for one in (*receipt["checkpoints"], *receipt["images"]))
    if _runs_own_code(settings) or unreadable:
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(receipt))


def unchanged(
    workspace: Workspace, runs: Mapping[str, Path], probe: Path, settings: ExtractSettings
) -> ExtractResult | None:
    """What `extract` would answer, if it would find that all is fresh; None if it must look for itself.

    Reads the bytes of all checkpoints and images, unless already their names are others. What is wrong with the
    folders is not said here: `extract` says it.
    """
    try:
        receipt = json.loads(_path(workspace).read_bytes())
        if receipt["request"] != _request(settings) or _runs_own_code(settings):
            return None
        if receipt["tables"] != [workspace.origin(name) for name in _TABLES]:
            return None
        if not (_same_checkpoints(receipt["checkpoints"], runs) and _same_images(receipt["images"], probe)):
            return None
        return _summary(workspace, runs)
    except (OSError, ValueError, KeyError, TypeError, CmonError):
        return None


def _path(workspace: Workspace) -> Path:
    return workspace.cache / "extracted.json"


def _request(settings: ExtractSettings) -> str:
    asked = {name: value for name, value in asdict(settings).items() if name not in _WHERE}
    return digest(asked, cmon.__version__, schemas.VERSION, [_version(name) for name in _BUILDERS])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _runs_own_code(settings: ExtractSettings) -> bool:
    return settings.model.startswith("python:") or settings.trust_pickle


def _same_checkpoints(before: list[list[str]], runs: Mapping[str, Path]) -> bool:
    found = [(run, folder, path) for run, folder in runs.items() for path in find_checkpoints(folder)]
    names = [[run, path.relative_to(folder).as_posix()] for run, folder, path in found]
    if names != [one[:2] for one in before]:
        return False
    return all(hash_checkpoint(path) == one[2] for (_, _, path), one in zip(found, before, strict=True))


def _same_images(before: list[list[str]], probe: Path) -> bool:
    return [[file.name, file.sha256] for file in find_images(probe)] == before


def _summary(workspace: Workspace, runs: Mapping[str, Path]) -> ExtractResult | None:
    """From the tables; None where an activation file is missing or another."""
    tables: dict[str, list[dict[str, Any]]] = {
        name: read_table(workspace.table(name)).to_pylist() for name in _TABLES
    }
    checkpoints, shards = (
        [row for row in tables[name] if row["run"] in runs] for name in ("checkpoints", "shards")
    )
    for shard in shards:
        if not is_fresh(workspace.activations(shard["run"], shard["layer"], shard["epoch"]), shard["origin"]):
            return None
    left_out = {
        name: [row for row in rows if row["status"] == "skipped"]
        for name, rows in (("checkpoints", checkpoints), ("images", tables["images"]))
    }
    redundant = sum(row["status"] == "redundant" for row in checkpoints)
    return ExtractResult(
        len(checkpoints) - len(left_out["checkpoints"]) - redundant,
        [(f"{row['run']}/{row['checkpoint']}", row["error"]) for row in left_out["checkpoints"]],
        redundant,
        len(tables["images"]) - len(left_out["images"]),
        [(row["path"], row["error"]) for row in left_out["images"]],
        0,
        len(shards),
    )
