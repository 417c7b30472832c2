"""One look after another, and where there is a new whole checkpoint, a round of the stages.

A look lists names, sizes and times. A round runs every kept call, `extract` on the checkpoints that stand still;
each stage does what is missing, so that a round that fails is simply run again.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cmon import api
from cmon.errors import CmonError, OptionError
from cmon.kept_options import Call, read_calls
from cmon.progress import Progress, silent
from cmon.watching.folders import Files, list_checkpoints, list_files
from cmon.watching.lines import epoch_line
from cmon.watching.measures import Findings, read_findings
from cmon.watching.settling import Settling
from cmon.watching.waiting import waiting_helps
from cmon.workspace.files import printable_path
from cmon.workspace.keys import epoch_text
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

# Not the functions themselves: run again by `watch`, a stage has been asked for nothing new.
_STAGES: Mapping[str, Callable[..., Any]] = {
    function.__name__: inspect.unwrap(function)
    for function in (api.extract, api.score, api.embed, api.report)
}


class Tracker(Protocol):
    """Where numbers go besides the workspace."""

    def write(self, findings: Findings) -> None:
        """Add what is not there yet."""


@dataclass
class _Round:
    """What a round did."""

    skipped: dict[str, str]
    """Why checkpoints could not be read, by `RUN/NAME`."""
    seconds: float


class Watch:
    """What is known from one look to the next: nothing that grows but by one entry for each checkpoint."""

    def __init__(
        self,
        workspace: Workspace,
        settle_seconds: float,
        until_epoch: float | None = None,
        trackers: Sequence[Tracker] = (),
        say: Callable[[str], None] = print,
        progress: Progress = silent,
    ) -> None:
        """Raises CmonError where the kept options cannot be used, or would never give the epoch waited for."""
        self.workspace = workspace
        self.until_epoch = until_epoch
        self.trackers = trackers
        self.say = say
        self.progress = progress
        self._settling = Settling(settle_seconds)
        self._calls = _read_calls(workspace)
        self._done: dict[Path, Files] | None = None
        """What the last round read; None before there was one."""
        self._read_again: dict[Path, Files] = {}
        """Checkpoints that could not be read in the last round, for the first time."""
        self._given_up: dict[Path, Files] = {}
        """And for the second time: read again only when they change."""
        self._known = _read_origins(workspace)
        self._trouble = ""
        """Why the last round failed, or could not begin,"""
        self._away: list[str] = []
        """and why folders could not be listed at the last look; to be said once."""
        if until_epoch is not None:
            _check_reachable(self._calls, until_epoch)

    @property
    def folders(self) -> list[tuple[str, Path]]:
        """(run, folder of its checkpoints), each once."""
        calls = [call.options["runs"] for call in self._calls if call.stage == "extract"]
        return list(dict.fromkeys(pair for runs in calls for pair in runs.items()))

    @property
    def stages(self) -> list[str]:
        """In the order in which they run, each once."""
        return list(dict.fromkeys(call.stage for call in self._calls))

    def look(self, now: float) -> bool:
        """Look once, and run a round if there is something to do. Returns whether all that was waited for is there.

        now: seconds on a clock that only runs forward.
        Raises what ends the watch: an error that waiting does not help against, and before the first round has
        succeeded, any.
        """
        try:
            calls = _read_calls(self.workspace)
            changed, self._calls = calls != self._calls, calls
        except CmonError as error:
            if self._done is None:
                raise
            self._wait(error)
            return False
        checkpoints = self._list()
        others = list_files(_files_of(calls))
        still = self._settling.look(checkpoints | others, now)
        is_new = any((self._done or {}).get(path) != files for path, files in still.items())
        finished = {path: files for path, files in still.items() if path in checkpoints}
        if finished and (is_new or changed or self._read_again or self._trouble):
            try:
                # One lock for all stages, so that nobody else's tables come between.
                with self.workspace.writing("watch"):
                    self._finish(self._run(finished), still)
            except (CmonError, OSError, MemoryError, RuntimeError) as error:
                may_pass = waiting_helps(error) or self._settling.moving & others.keys()
                if self._done is None or not may_pass:
                    raise
                self._wait(error)
                return False
            self._trouble = ""
        return self._done is not None and self._is_complete()

    @property
    def unsettled(self) -> bool:
        """Whether the next look should come soon."""
        return self._done is None or bool(self._settling.moving)

    def _list(self) -> dict[Path, Files]:
        """The checkpoints of all runs whose folders are there: the others wait."""
        found: dict[Path, Files] = {}
        away = []
        for _, folder in self.folders:
            try:
                found |= list_checkpoints([folder])
            except CmonError as error:
                # Emptied by a training that begins anew, or on a network that is away.
                if self._done is None:
                    raise
                away.append(error.line)
        for text in away:
            if text not in self._away:
                logger.warning("%s; it is looked for again at every look", text)
        self._away = away
        return found

    def _wait(self, error: BaseException) -> None:
        text = error.line if isinstance(error, CmonError) else f"{type(error).__name__}: {error}"
        if text != self._trouble:
            logger.warning("%s; it is tried again at every look", text)
        self._trouble = text

    def _run(self, finished: Mapping[Path, Files]) -> _Round:
        """Run all kept calls."""
        start = time.monotonic()
        skipped: dict[str, str] = {}
        for call in self._calls:
            options = dict(call.options)
            if call.stage == "extract":
                # A run of which nothing is whole yet keeps what it has.
                options["runs"] = {
                    run: folder
                    for run, folder in options["runs"].items()
                    if any(folder in path.parents for path in finished)
                }
                options["finished"] = list(finished)
                if not options["runs"]:
                    continue
            result = _STAGES[call.stage](self.workspace, **options, progress=self.progress)
            if call.stage == "extract":
                skipped |= dict(result.skipped_checkpoints)
        return _Round(skipped, time.monotonic() - start)

    def _finish(self, made: _Round, still: Mapping[Path, Files]) -> None:
        """Say what a round brought, and remember it."""
        origins = _read_origins(self.workspace)
        findings = read_findings(self.workspace, self._calls)
        for tracker in self.trackers:
            tracker.write(findings)
        for (run, epoch), origin in origins.items():
            if self._known.get((run, epoch)) != origin:
                layers = [one for one in findings.measures if (one.run, one.epoch) == (run, epoch)]
                before = max(
                    (other for name, other in origins if name == run and other < epoch), default=None
                )
                self.say(epoch_line(run, epoch, layers, before, made.seconds))
        self._known = origins
        self._done = dict(still)
        self._sort_out(made.skipped, still)

    def _sort_out(self, skipped: Mapping[str, str], finished: Mapping[Path, Files]) -> None:
        """A checkpoint that could not be read is read once more at the next look, and said once if it stays so."""
        names = {
            f"{run}/{printable_path(path.relative_to(folder))}": path
            for run, folder in self.folders
            for path in finished
            if folder in path.parents
        }
        self._given_up = {
            path: files for path, files in self._given_up.items() if finished.get(path) == files
        }
        again = {}
        for name, reason in skipped.items():
            path = names.get(name)
            if path is None or self._given_up.get(path) == finished[path]:
                continue
            if self._read_again.get(path) == finished[path]:
                self._given_up[path] = finished[path]
                logger.warning("skipped %s: %s", name, reason)
            else:
                again[path] = finished[path]
        self._read_again = again

    def _is_complete(self) -> bool:
        if self.until_epoch is None:
            return False
        last = {run: max(epoch for name, epoch in self._known if name == run) for run, _ in self._known}
        return all(last.get(run, float("-inf")) >= self.until_epoch for run, _ in self.folders)


def _read_calls(workspace: Workspace) -> list[Call]:
    """The kept calls. Raises CmonError for options that this version of cmon does not have."""
    calls = read_calls(workspace)
    for call in calls:
        unknown = call.options.keys() - inspect.signature(_STAGES[call.stage]).parameters.keys()
        if unknown:
            raise CmonError(
                f"{workspace.root}: `cmon {call.stage}` was last run by another version of cmon",
                expected="the options that it has now",
                found=", ".join(sorted(unknown)),
                hint=f"run `cmon {call.stage}` once with its options",
            )
    return calls


def _read_origins(workspace: Workspace) -> dict[tuple[str, float], tuple[str, ...]]:
    """What the activations of each run and epoch were made from: other weights under an old epoch are news, too."""
    if not workspace.table("shards").is_file():
        return {}
    found: dict[tuple[str, float], list[str]] = {}
    for shard in workspace.read("shards").to_pylist():
        found.setdefault((shard["run"], shard["epoch"]), []).append(shard["origin"])
    runs = list(dict.fromkeys(run for run, _ in found))
    in_order = sorted(found, key=lambda key: (runs.index(key[0]), key[1]))
    return {key: tuple(sorted(found[key])) for key in in_order}


def _files_of(calls: Iterable[Call]) -> list[Path]:
    """The files among the options, such as concepts and what the training logs: their changes are news, too."""
    given = [value for call in calls for value in call.options.values()]
    paths = [one for value in given for one in (value.values() if isinstance(value, dict) else _each(value))]
    return [path for path in paths if isinstance(path, Path) and path.is_file()]


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple) else (value,)


def _check_reachable(calls: Iterable[Call], epoch: float) -> None:
    for call in calls:
        chosen = call.options.get("epochs", ())
        last = max((one[1] if isinstance(one, tuple) else one for one in chosen), default=None)
        if call.stage == "extract" and last is not None and last < epoch:
            raise OptionError(
                f"--until-epoch {epoch_text(epoch)}: `cmon extract` was told to read no epoch after {epoch_text(last)}"
            )
