"""A `Runner` that runs tasks in this process, one after the other, as a worker would: for tests without a cluster."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from cmon.distributed.runner import Here, answer

logger = logging.getLogger("cmon.tests")


class Stopped(Exception):
    """The process that gives the tasks is killed."""


@dataclass
class RunnerHere:
    """Tasks and outcomes are pickled, as on a cluster; the last task is done first."""

    slots: int
    stops_after: int | None = None
    """Tasks after which `Stopped` is raised; None runs all."""
    device: str = "cpu"
    done: list[str] = field(default_factory=list)
    """The functions' names, one for each task."""

    @property
    def threads(self) -> int:
        return torch.get_num_threads()

    def run(self, function: Callable[..., Any], common: Any, tasks: Sequence[Any]) -> Iterator[Any]:
        here = Here.of_this_process(self.threads)
        for task in reversed(tasks):
            if self.stops_after == len(self.done):
                raise Stopped
            sent = pickle.loads(pickle.dumps((function, here, common, task)))
            found = pickle.loads(pickle.dumps(answer(*sent)))
            self.done.append(function.__name__)
            for text in found.warnings:
                logger.warning("%s", text)
            if found.error is not None:
                raise found.error
            yield found.value

    def describe(self, what: str) -> str:
        return what
