"""Whether an extraction would find nothing to do, told without loading torch.

Every activation file has its own origin, but to compute it a network must be built and its layers traced. So the
tables `checkpoints` and `shards` keep, in their parameters, two hashes of all that these origins follow from: of
the request (settings and versions of the libraries that build networks) and of the inputs (checkpoints, images).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cmon
from cmon.checkpoints.find import find_checkpoints, hash_checkpoint
from cmon.errors import CmonError
from cmon.extraction.settings import METHOD, ExtractResult, ExtractSettings
from cmon.images.files import ImageFile, find_images
from cmon.images.table import stored_path
from cmon.workspace import schemas
from cmon.workspace.files import digest, printable_path
from cmon.workspace.table_files import are_fresh, read_table
from cmon.workspace.workspace import Workspace

_WHERE = ("device", "batch_size", "workers", "finished")
"""Settings that change where and how fast something is computed, or when, not what."""
_BUILDERS = ("torch", "torchvision", "timm")

Rows = list[dict[str, Any]]


def describe_request(
    settings: ExtractSettings,
    checkpoints: Iterable[tuple[str, str, str | None]],
    images: Iterable[ImageFile],
) -> dict[str, str]:
    """Parameters for the tables by which `find_unchanged` knows the same extraction again: two hashes.

    checkpoints: (run, checkpoint, sha256) of all that were found.
    Empty where the outcome follows from more than can be hashed: the user's own code, or unreadable files.
    """
    checkpoints, images = list(checkpoints), list(images)
    unreadable = any(sha256 is None for *_, sha256 in checkpoints) or any(
        one.sha256 is None for one in images
    )
    if _runs_own_code(settings) or unreadable:
        return {}
    return {"request": _hash_settings(settings), "inputs": _hash_inputs(checkpoints, images)}


def find_unchanged(
    workspace: Workspace, folders: Mapping[str, Path], probe: Path, settings: ExtractSettings
) -> ExtractResult | None:
    """The result of `extract`, if it would find that all is fresh; None if it must look for itself.

    folders: a folder of checkpoints by the run's name. probe: the folder or list of images.
    Hashes all checkpoints and images, unless something cheaper to see has changed. Errors in the inputs are left
    to `extract`.
    """
    if _runs_own_code(settings):
        return None
    try:
        parameters = workspace.parameters("shards")
        tables_agree = (
            workspace.parameters("checkpoints") == parameters
            and workspace.origin("images") == parameters["probe"]
        )
        if not tables_agree or parameters["request"] != _hash_settings(settings):
            return None
        if parameters["inputs"] != _hash_files(workspace, folders, probe, settings.finished):
            return None
        return _summarize(workspace, folders, parameters)
    except (OSError, ValueError, KeyError, CmonError):
        return None


def _runs_own_code(settings: ExtractSettings) -> bool:
    return settings.model.startswith("python:") or settings.trust_pickle


def _hash_settings(settings: ExtractSettings) -> str:
    relevant = {name: value for name, value in asdict(settings).items() if name not in _WHERE}
    return digest(
        relevant, cmon.__version__, schemas.VERSION, METHOD, [_find_version(name) for name in _BUILDERS]
    )


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _hash_inputs(checkpoints: Sequence[tuple[str, str, str | None]], images: Sequence[ImageFile]) -> str:
    return digest(checkpoints, [(image.name, image.sha256) for image in images])


def _hash_files(
    workspace: Workspace, folders: Mapping[str, Path], probe: Path, finished: Collection[Path] | None
) -> str | None:
    """`_hash_inputs` of the files as they are now; None, and nothing is hashed, if checkpoints have other names."""
    found = [
        (run, folder, path)
        for run, folder in folders.items()
        for path in find_checkpoints(folder)
        if finished is None or path in finished
    ]
    names = [(run, printable_path(path.relative_to(folder))) for run, folder, path in found]
    rows = [row for row in _read_rows(workspace, "checkpoints", folders) if row["status"] != "gone"]
    if names != [(row["run"], row["checkpoint"]) for row in rows]:
        return None
    hashes = [hash_checkpoint(path) for _, _, path in found]
    images = find_images(probe, say=False)
    if [stored_path(image) for image in images] != read_table(workspace.table("images"))["path"].to_pylist():
        return None  # at another place than the table says
    return _hash_inputs([(*name, sha256) for name, sha256 in zip(names, hashes, strict=True)], images)


def _summarize(
    workspace: Workspace, folders: Mapping[str, Path], parameters: Mapping[str, Any]
) -> ExtractResult | None:
    """The result as the tables have it; None where an activation file is missing or stale."""
    shards = _read_rows(workspace, "shards", folders)
    files = [(workspace.activations(row["run"], row["layer"], row["epoch"]), row["origin"]) for row in shards]
    if not all(are_fresh(files)):
        return None
    checkpoints = _read_rows(workspace, "checkpoints", folders)
    images = read_table(workspace.table("images")).to_pylist()
    return ExtractResult(
        checkpoints=_count(checkpoints, "ok"),
        skipped_checkpoints=[
            (f"{row['run']}/{row['checkpoint']}", row["error"])
            for row in checkpoints
            if row["status"] == "skipped"
        ],
        redundant=_count(checkpoints, "redundant"),
        left_out=_count(checkpoints, "left out"),
        images=_count(images, "ok"),
        skipped_images=[(row["path"], row["error"]) for row in images if row["status"] == "skipped"],
        preprocessing=parameters["preprocessing"],
        notes=tuple(parameters["notes"]),
        made=0,
        reused=len(shards),
    )


def _read_rows(workspace: Workspace, name: str, runs: Iterable[str]) -> Rows:
    """The rows of a table that are of these runs."""
    return [row for row in read_table(workspace.table(name)).to_pylist() if row["run"] in set(runs)]


def _count(rows: Rows, status: str) -> int:
    return sum(row["status"] == status for row in rows)
