"""Stage 2: from activations to the concept that each unit detects.

probe images, concepts --CLIP--> unit vectors (N,D), (C,D); table `vocabulary`
activations of a run, layer, epoch --> each unit's status and what the similarity function keeps of it
what is kept x concepts, in blocks of concepts --similarity, prior--> best concepts and scores
best scores, pseudo-units' best scores --> p-values, false discovery rate --> its files of `units` and `concepts`
all files, those of earlier scorings too --> table `scores`, which lists them, written last

A run, layer and epoch is scored by itself: its files depend on its activations, the probe images, the concepts and the
parameters, and not on what else is scored. So only what is new or changed is scored.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from cmon.clip.features import Features
from cmon.concepts import Concept
from cmon.distributed.parts import Part
from cmon.distributed.runner import Runner
from cmon.progress import Progress, silent
from cmon.scoring import priors, remote, status
from cmon.scoring.first_epoch import fewest_units
from cmon.scoring.groups import (
    Group,
    find_stale,
    first_of,
    plan_groups,
    remove_others,
    scores_table,
    trajectory,
    write_listing,
)
from cmon.scoring.scorer import Scorer
from cmon.scoring.settings import ScoreSettings
from cmon.scoring.shared_cache import remove_other_shared
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest
from cmon.workspace.keys import sort_rows
from cmon.workspace.status import STATUSES
from cmon.workspace.table_files import is_fresh
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreResult:
    """Counts over all runs, layers and epochs."""

    units: int
    statuses: dict[str, int]
    interpretable: int
    layers: list[dict[str, Any]]
    """The same of each run, layer and epoch: as the table `scores` has it."""
    concepts: int
    made: bool
    """False if everything was up to date."""


def score(
    workspace: Workspace,
    concepts: Sequence[Concept],
    features: Features,
    settings: ScoreSettings,
    progress: Progress = silent,
    runner: Runner | None = None,
) -> ScoreResult:
    """Label every unit of the workspace, and write the tables `vocabulary`, `units`, `concepts` and `scores`.

    runner: of a cluster; None scores in this process. Raises CmonError when `extract` has not run, or was stopped.
    """
    plan = _Plan.of(workspace, concepts, features, settings)
    stale = find_stale(workspace, plan.groups)
    if stale or not plan.has_vocabulary(workspace):
        with costs.measured(workspace, "score", "units") as work:
            scorer = plan.scorer(workspace, concepts, features, settings)
            scorer.write_vocabulary(plan.parameters)
            if runner is not None:
                remote.run_groups(scorer, plan.pairs(stale), runner, work, progress)
            else:
                for units in scorer.run(stale, plan.firsts(stale), progress):
                    work.items += units
    listed = scores_table(workspace, plan.groups)
    made = write_listing(workspace, listed, plan.parameters) or bool(stale)
    remove_others(workspace, plan.groups)
    remove_other_shared(workspace, plan.shared_origin)
    return _summarize(listed, len(concepts), made=made)


def score_part(
    workspace: Workspace,
    concepts: Sequence[Concept],
    features: Features,
    settings: ScoreSettings,
    part: Part,
    progress: Progress = silent,
) -> ScoreResult:
    """Label the units of a share of the runs and layers, and write no table; counts are of the share.

    Beside other parts, in other processes. What all of them need, one makes while the others wait: CLIP's vectors, and
    the scores of pseudo-units, with which it scores its first group. Raises CmonError as `score` does.
    """
    plan = _Plan.of(workspace, concepts, features, settings)
    chosen = set(part.choose(list(dict.fromkeys(trajectory(group.shard) for group in plan.groups))))
    own = [group for group in plan.groups if trajectory(group.shard) in chosen]
    stale = find_stale(workspace, own)
    if stale:
        scorer = plan.scorer(workspace, concepts, features, settings)
        with workspace.alone("CLIP vectors"):
            features.image_vectors(progress)
            _ = scorer.texts
        left = stale
        if scorer.lacks_shared:
            with workspace.alone("pseudo-units"):
                if scorer.lacks_shared:
                    left = stale[1:]
                    deque(scorer.run(stale[:1], plan.firsts(stale[:1]), progress), maxlen=0)
        deque(scorer.run(left, plan.firsts(left), progress), maxlen=0)
    return _summarize(scores_table(workspace, own), len(concepts), made=bool(stale))


@dataclass(frozen=True)
class _Plan:
    """What is to be scored, and the hashes of all that it depends on."""

    groups: Sequence[Group]
    parameters: Mapping[str, Any]
    """Of the tables."""
    shared_origin: str
    """Of what passes over the concepts share."""
    inputs: Mapping[str, str]
    """Origins of the tables `images` and `vocabulary`."""
    against_first: bool

    @classmethod
    def of(
        cls, workspace: Workspace, concepts: Sequence[Concept], features: Features, settings: ScoreSettings
    ) -> _Plan:
        provenance.check(workspace, "shards")
        parameters = _parameters(settings, features)
        words = digest(
            features.identity,
            [(concept.name, concept.category) for concept in concepts],
            settings.templates,
        )
        images = workspace.origin("images")
        inputs = (words, images, schemas.VERSION)
        of_method = {name: value for name, value in parameters.items() if name not in ("fdr", "baseline")}
        against_first = settings.baseline == "first"
        shards = workspace.read("shards").to_pylist()
        groups = plan_groups(shards, digest(inputs, parameters), against_first=against_first)
        if against_first:
            _warn_of_first(groups, settings.fdr)
        found = {"images": images, "vocabulary": words}
        return cls(groups, parameters, digest(inputs, of_method), found, against_first)

    def has_vocabulary(self, workspace: Workspace) -> bool:
        return is_fresh(workspace.table("vocabulary"), self.inputs["vocabulary"])

    def scorer(
        self,
        workspace: Workspace,
        concepts: Sequence[Concept],
        features: Features,
        settings: ScoreSettings,
    ) -> Scorer:
        return Scorer(workspace, concepts, features, settings, self.shared_origin, self.inputs)

    def firsts(self, stale: Sequence[Group]) -> list[Group]:
        """The first epochs with which groups are compared; none where they are compared with chance."""
        return _needed_firsts(self.groups, stale) if self.against_first else []

    def pairs(self, stale: Sequence[Group]) -> list[tuple[list[Group], list[Group]]]:
        """The groups of each run and layer, and the first epochs that they are compared with."""
        by_trajectory: dict[tuple[str, str], list[Group]] = {}
        for group in stale:
            by_trajectory.setdefault(trajectory(group.shard), []).append(group)
        return [(own, self.firsts(own)) for own in by_trajectory.values()]


def _parameters(settings: ScoreSettings, features: Features) -> dict[str, Any]:
    """What the tables depend on besides the inputs."""
    return {
        "clip": features.spec,
        "precision": features.precision,
        "templates": settings.templates,
        "similarity": {"function": settings.similarity.name, **vars(settings.similarity)},
        "prior": settings.prior.name,
        "above": priors.ABOVE,
        "fdr": settings.fdr,
        "baseline": settings.baseline,
        "pseudo_units": settings.pseudo_units,
        "seed": settings.seed,
    }


def _warn_of_first(groups: Sequence[Group], fdr: float) -> None:
    """A first epoch that is trained is no untrained network, and too few units can never be enough."""
    firsts = first_of(group.shard for group in groups).values()
    trained = sorted({shard["run"] for shard in firsts if shard["epoch"] > 0})
    if trained:
        logger.warning(
            "--baseline first: of %s there is no epoch 0; the first epoch that there is stands for what was there "
            "before training",
            ", ".join(trained),
        )
    small = sorted({shard["layer"] for shard in firsts if shard["units"] < fewest_units(fdr)})
    if small:
        logger.warning(
            "--baseline first: %s can have no interpretable unit: with fewer than %d units to compare with, no p-value "
            "is small enough for --fdr %g",
            ", ".join(small),
            fewest_units(fdr),
            fdr,
        )


def _needed_firsts(planned: Sequence[Group], stale: Sequence[Group]) -> list[Group]:
    """The first epochs of all runs and layers of which something is stale."""
    wanted = {trajectory(group.shard) for group in stale}
    firsts = {id(shard) for shard in first_of(group.shard for group in planned).values()}
    return [group for group in planned if id(group.shard) in firsts and trajectory(group.shard) in wanted]


def _summarize(scores: pa.Table, concepts: int, *, made: bool) -> ScoreResult:
    rows = scores.to_pylist()
    shown = sort_rows(pd.DataFrame(rows, columns=scores.column_names).drop(columns=["activations", "origin"]))
    layers = [{str(name): value for name, value in row.items()} for row in shown.to_dict("records")]
    status.warn_of_one_label(layers)
    return ScoreResult(
        sum(row["units"] for row in rows),
        {name: sum(row[name] for row in rows) for name in STATUSES},
        sum(row["interpretable"] for row in rows),
        layers,
        concepts,
        made,
    )
