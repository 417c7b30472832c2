"""Taking runs or layers out of a workspace: their rows and activation files; `cmon score` then forgets them too."""

from __future__ import annotations

from collections.abc import Sequence

from cmon.errors import CmonError, nearest_names
from cmon.extraction.tables import write_rows
from cmon.workspace.layer_patterns import match_names
from cmon.workspace.workspace import Workspace

_OF_A_REQUEST = ("request", "inputs")
"""Parameters by which an extraction finds that nothing has changed: something has."""


def drop(workspace: Workspace, runs: Sequence[str] = (), layers: Sequence[str] = ()) -> int:
    """Take out all of the runs; or, with layers, only these layers of them, of all runs where none is given.

    runs: names. layers: names or patterns, as `--layer` takes them. Gives how many activation files were taken out.
    Raises CmonError for a run or layer that is not there, and where nothing would be left.
    """
    shards = workspace.read("shards").to_pylist()
    checkpoints = workspace.read("checkpoints").to_pylist()
    known_runs = list(dict.fromkeys(row["run"] for row in shards))
    known_layers = list(dict.fromkeys(row["layer"] for row in shards))
    for name in runs:
        if name not in known_runs:
            raise _not_there(workspace, "run", name, known_runs)
    chosen: set[str] = set()
    for pattern in layers:
        matching = match_names(pattern, known_layers)
        if not matching:
            raise _not_there(workspace, "layer", pattern, known_layers)
        chosen.update(matching)
    kept = [
        row for row in shards if (runs and row["run"] not in runs) or (layers and row["layer"] not in chosen)
    ]
    if not kept:
        raise CmonError(
            f"{workspace.root}: nothing would be left of the activations",
            expected="something that stays",
            found=f"{len(shards)} files, all of which would go",
            hint="delete the workspace's folder to be rid of all",
        )
    left = {row["run"] for row in kept}
    parameters = {
        name: value for name, value in workspace.parameters("shards").items() if name not in _OF_A_REQUEST
    }
    rows = {"checkpoints": [row for row in checkpoints if row["run"] in left], "shards": kept}
    write_rows(workspace, rows, parameters)
    return len(shards) - len(kept)


def _not_there(workspace: Workspace, what: str, name: str, known: Sequence[str]) -> CmonError:
    return CmonError(
        f"{workspace.root}: has no {what} {name!r}",
        expected=f"a {what} of the table 'shards'",
        found=name,
        hint=nearest_names(name, known),
    )
