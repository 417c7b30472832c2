"""The same function for many tasks, wherever these run: what a stage asks of a cluster, and what a worker answers.

stage --tasks--> runner --one at a time--> `answer` on a worker --> outcomes, in the order in which they are ready
"""

from __future__ import annotations

import logging
import os
import platform
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cmon
from cmon.errors import CmonError

Common = TypeVar("Common")
Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

_DECIDING = ("torch", "torchvision", "timm", "numpy", "numba")
"""Packages of which another version may give other numbers."""


class Runner(Protocol):
    """Runs tasks on other processes."""

    @property
    def device(self) -> str:
        """'cpu' or 'cuda': where tasks run."""

    @property
    def threads(self) -> int:
        """How many threads a task may use."""

    @property
    def slots(self) -> int:
        """How many tasks can run at once, as far as is known now."""

    def run(
        self, function: Callable[[Common, Task], Outcome], common: Common, tasks: Sequence[Task]
    ) -> Iterator[Outcome]:
        """What the function gives for each task, in any order.

        function: of a module that workers can import. common: the same for all tasks, and sent once. A task whose
        machine fails is run again: so a task may be run twice, and its files must be the same both times.
        Raises the CmonError that the function raises, and one where no worker can be had.
        """

    def describe(self, what: str) -> Any:
        """A description for `Progress` whose text tells, whenever it is shown, how many machines there are."""


@dataclass(frozen=True)
class Here:
    """What a worker needs of the process that sends it tasks, and must have in common with it."""

    folder: str
    """From where relative paths are meant."""
    versions: Mapping[str, str]
    threads: int
    one_folder: bool = True
    """Whether the folder must be there; not where workspace and inputs may lie in a store."""

    @classmethod
    def of_this_process(cls, threads: int, one_folder: bool = True) -> Here:
        return cls(os.getcwd(), find_versions(), threads, one_folder)

    def enter(self) -> None:
        """Be like that process. Raises CmonError where that cannot be."""
        where = f"{socket.gethostname()}: this machine of the cluster"
        own = find_versions()
        differing = [name for name, wanted in self.versions.items() if own.get(name) != wanted]
        if differing:
            raise CmonError(
                f"{where} has other versions than the one that gives the tasks",
                expected=", ".join(f"{name} {self.versions[name]}" for name in differing),
                found=", ".join(f"{name} {own.get(name, 'missing')}" for name in differing),
                hint="install the same versions on all machines: others can give other numbers",
            )
        _set_threads(self.threads)
        if os.path.isdir(self.folder):
            os.chdir(self.folder)
        elif self.one_folder:
            raise CmonError(
                f"{where} does not see the folder {self.folder}, in which the command was started",
                expected="the same folders on all machines, on storage that they share",
                hint="start the command in a folder on shared storage, with all inputs and the workspace on it",
            )


@dataclass(frozen=True)
class Answer:
    """What became of one task."""

    value: Any
    """What the function gave; None where it raised."""
    error: CmonError | None
    warnings: Sequence[str]
    """What cmon's modules logged meanwhile."""


def answer(function: Callable[[Common, Task], Outcome], here: Here, common: Common, task: Task) -> Answer:
    """Run one task on a worker. A CmonError is an answer, too: another try would only find the same."""
    with _warnings_kept() as said:
        try:
            here.enter()
            return Answer(function(common, task), None, said)
        except CmonError as error:
            return Answer(None, error, said)


def find_versions() -> dict[str, str]:
    """Of Python, cmon, and of what computes; of torch without the part that names its build, as in 2.11.0+cpu."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "cmon": cmon.__version__}
    for name in _DECIDING:
        try:
            found[name] = version(name).split("+")[0]
        except PackageNotFoundError:
            found[name] = "none"
    return found


def require_seen(path: Path, what: str) -> None:
    """Raise CmonError on a worker that does not see a file or folder. what: which one it is."""
    if not path.exists():
        raise CmonError(
            f"{socket.gethostname()}: this machine of the cluster does not see {path}, {what}",
            expected="the same folders on all machines, on storage that they share",
            hint="put workspace, checkpoints and code on a folder that all machines have under the same path",
        )


@contextmanager
def _warnings_kept() -> Iterator[list[str]]:
    """The texts of cmon's warnings while the block lasts."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("cmon"), Keep(logging.WARNING)
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


def _set_threads(threads: int) -> None:
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
