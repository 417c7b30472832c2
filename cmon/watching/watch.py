"""`cmon watch` as a function: looks again and again until it has what was waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from cmon.errors import CmonError
from cmon.kept_options import read_calls
from cmon.progress import Progress, silent
from cmon.storage.urls import is_url
from cmon.watching.json_lines import JsonLines
from cmon.watching.loop import Tracker, Watch
from cmon.workspace.workspace import Workspace

AnyPath: TypeAlias = "str | os.PathLike[str]"

SETTLE_SECONDS = 5.0
"""How long a checkpoint must stand still to count as written."""


def watch(
    workspace: Workspace | AnyPath,
    *,
    every: float = 10,
    until_epoch: float | None = None,
    tensorboard: AnyPath | None = None,
    jsonl: AnyPath | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    say: Callable[[str], None] = print,
    progress: Progress = silent,
) -> None:
    """Run the workspace's stages again for every new whole checkpoint, until it is interrupted.

    The stages are those that the workspace has seen, with the options that they were last given.
    every: seconds from one look at the runs' folders to the next. until_epoch: ends once each run has this epoch or a
    later one. tensorboard: a folder for TensorBoard's files. jsonl: a file for the same numbers, '-' is standard
    output. settle_seconds: how long a checkpoint must not have changed. say: takes a line for each epoch; what is
    skipped or must wait is logged as a warning.
    Raises CmonError for what waiting does not help against; before the first round has succeeded, for any error.
    """
    place = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    _require_folders(place)
    with ExitStack() as open_files:
        trackers: list[Tracker] = []
        state = Watch(place, settle_seconds, until_epoch, trackers, say, progress)
        if tensorboard is not None:
            from cmon.watching.tensorboard import TensorBoard

            board = TensorBoard(place, Path(tensorboard))
            open_files.callback(board.close)
            trackers.append(board)
        if jsonl is not None:
            trackers.append(JsonLines(None if os.fspath(jsonl) == "-" else Path(jsonl)))
        runs = ", ".join(dict.fromkeys(run for run, _ in state.folders))
        say(f"watching {runs}: {', '.join(state.stages)} for each new whole checkpoint; Ctrl-C ends it")
        while not state.look(time.monotonic()):
            time.sleep(min(every, settle_seconds) if state.unsettled else every)


def _require_folders(place: Workspace) -> None:
    """Raise CmonError where the workspace, or a run that it reads, is in a store: no change is seen there at once."""
    urls = [str(place.root)] if place.is_url else []
    if not urls:
        for call in read_calls(place):
            urls += [path for path in dict(call.options.get("runs") or {}).values() if is_url(path)]
    if urls:
        raise CmonError(
            f"{urls[0]}: cannot be watched",
            expected="a workspace and checkpoints in folders of this machine",
            found="a store",
            hint="run `cmon extract` and the other stages now and then: they do only what is missing",
        )
