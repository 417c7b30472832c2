"""The units of one run and layer on a worker of a cluster: the same files as on one machine.

The process that was started has all vectors, and sends them once to each machine. A worker reads activations, and
writes the files of its groups, and no table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmon.concepts import Concept
from cmon.distributed.runner import Runner, require_seen
from cmon.progress import Progress, silent
from cmon.scoring.groups import Group
from cmon.scoring.scorer import Scorer
from cmon.scoring.settings import ScoreSettings
from cmon.workspace import costs
from cmon.workspace.workspace import Workspace


@dataclass(frozen=True)
class Scoring:
    """What all tasks have in common."""

    root: Path
    """Of the workspace."""
    concepts: tuple[Concept, ...]
    images: np.ndarray
    """(N,D) float32 unit vectors."""
    texts: np.ndarray
    """(C,D) float32 unit vectors."""
    settings: ScoreSettings
    """With the device of the workers."""
    shared_origin: str
    inputs: Mapping[str, str]
    """Both as of `Scorer`."""


@dataclass(frozen=True)
class ScoreTask:
    """Groups of one run and layer, and their first epoch where they are compared with it."""

    groups: tuple[Group, ...]
    firsts: tuple[Group, ...]


@dataclass(frozen=True)
class Scored:
    """What came of a task."""

    units: int
    written_bytes: int


class _Sent:
    """The vectors that came with the tasks."""

    def __init__(self, common: Scoring) -> None:
        self._images, self._texts = common.images, common.texts

    def image_vectors(self, progress: Progress) -> Tensor:
        return torch.from_numpy(self._images.copy())  # what a cluster sends may not be written to

    def concept_vectors(self, names: Sequence[str], templates: Sequence[str] = ()) -> Tensor:
        return torch.from_numpy(self._texts.copy())


def run_groups(
    scorer: Scorer,
    pairs: Sequence[tuple[Sequence[Group], Sequence[Group]]],
    runner: Runner,
    work: costs.Work,
    progress: Progress,
) -> None:
    """Score groups on a cluster, and count their units in `work`.

    pairs: the groups of a run and layer, and first epochs; see `Scorer.run`. Raises CmonError as that does, and where
    the cluster cannot do it.
    """
    workspace = scorer.workspace
    common = Scoring(
        workspace.root,
        tuple(scorer.concepts),
        scorer.features.image_vectors(progress).numpy(),
        scorer.texts.numpy(),
        replace(scorer.settings, device=runner.device),
        scorer.shared_origin,
        scorer.inputs,
    )
    tasks = [ScoreTask(tuple(groups), tuple(firsts)) for groups, firsts in pairs]
    rounds = [tasks]
    if tasks and scorer.lacks_shared:  # one group finds what all share, and the others wait for it
        first, *rest = tasks
        left = [replace(first, groups=first.groups[1:])] if len(first.groups) > 1 else []
        rounds = [[replace(first, groups=first.groups[:1])], [*left, *rest]]
    outcomes = (one for some in rounds if some for one in runner.run(score_groups, common, some))
    total = sum(len(some) for some in rounds)
    for one in progress(outcomes, runner.describe("scoring runs and layers"), total):
        work.items += one.units
        workspace.written_bytes += one.written_bytes


def score_groups(common: Scoring, task: ScoreTask) -> Scored:
    """Write the files of one task's groups. Raises CmonError as `Scorer.run` does."""
    workspace = Workspace(common.root)
    if not workspace.is_url:
        require_seen(common.root, "the workspace")
    scorer = Scorer(
        workspace, common.concepts, _Sent(common), common.settings, common.shared_origin, common.inputs
    )
    units = sum(scorer.run(task.groups, task.firsts, silent))
    return Scored(units, workspace.written_bytes)
