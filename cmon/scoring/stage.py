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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from cmon.clip.features import Features
from cmon.concepts import Concept
from cmon.progress import Progress, silent
from cmon.scoring import labelling, priors, result_tables, status
from cmon.scoring.first_epoch import FirstEpoch, fewest_units
from cmon.scoring.fit import fits
from cmon.scoring.groups import (
    Group,
    first_of,
    plan_groups,
    remove_others,
    scores_table,
    trajectory,
    write_listing,
)
from cmon.scoring.labelling import Labels, Method
from cmon.scoring.populations import Population, ProbeImages, passes, read_population
from cmon.scoring.priors import NullPrior, Prior
from cmon.scoring.shared_cache import read_shared, write_shared
from cmon.scoring.similarity.base import Similarity
from cmon.scoring.similarity.wpmi import SoftWPMI
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest
from cmon.workspace.keys import sort_rows
from cmon.workspace.status import STATUSES
from cmon.workspace.table_files import is_fresh
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)

BASELINES = ("chance", "first")
KEPT_CONCEPTS = 10
"""Concepts that the table `concepts` keeps per unit, and that its vector is made of."""


@dataclass(frozen=True)
class ScoreSettings:
    """The options of `cmon score`, except for its inputs and the workspace."""

    similarity: Similarity = field(default_factory=SoftWPMI)
    """From `similarity.registry`."""
    prior: Prior = field(default_factory=NullPrior)
    """One of `priors.PRIORS`."""
    templates: tuple[str, ...] = ()
    """Sentences with one `{}` each, in which CLIP reads the concepts; none: it reads the words alone."""
    fdr: float = 0.05
    """Share of false ones among the units called interpretable."""
    baseline: str = "chance"
    """What an interpretable unit beats: 'chance', random image orders; or 'first', what the units of the layer's first
    epoch get for its label (`first_epoch`)."""
    pseudo_units: int = 4096
    seed: int = 0
    device: str = "cpu"
    """Where scores are computed; it does not change what they are."""

    @property
    def method(self) -> Method:
        return Method(self.similarity, self.prior, self.pseudo_units, self.seed, KEPT_CONCEPTS)


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
) -> ScoreResult:
    """Label every unit of the workspace, and write the tables `vocabulary`, `units`, `concepts` and `scores`.

    Raises CmonError when `extract` has not run, or was stopped.
    """
    provenance.check(workspace, "shards")
    parameters = _parameters(settings, features)
    words = digest(
        features.identity, [(concept.name, concept.category) for concept in concepts], settings.templates
    )
    inputs = (words, workspace.origin("images"), schemas.VERSION)
    origin = digest(inputs, parameters)
    of_method = {name: value for name, value in parameters.items() if name not in ("fdr", "baseline")}
    against_first = settings.baseline == "first"
    planned = plan_groups(workspace.read("shards").to_pylist(), origin, against_first=against_first)
    if against_first:
        _warn_of_first(planned, settings.fdr)
    stale = [group for group in planned if not group.is_fresh(workspace)]
    if stale or not _is_fresh(workspace, words):
        with costs.measured(workspace, "score", "units") as work:
            scorer = _Scorer(workspace, concepts, features, settings, digest(inputs, of_method))
            scorer.write_vocabulary(words, parameters)
            for units in scorer.run(stale, _needed_firsts(planned, stale) if against_first else [], progress):
                work.items += units
    listed = scores_table(workspace, planned)
    made = write_listing(workspace, listed, parameters) or bool(stale)
    remove_others(workspace, planned)
    return _summarize(listed, len(concepts), made=made)


def _is_fresh(workspace: Workspace, words: str) -> bool:
    return is_fresh(workspace.table("vocabulary"), words)


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


def _warn_of_few(images: int, similarity: Similarity) -> None:
    """Among a tenth of the images or more, the most activating ones are hardly chosen."""
    top = similarity.top_images(images)
    if top is not None and 10 * top > images:
        logger.warning(
            "%s looks at the %s most activating of only %s images: labels will be vague, and few significant; give "
            "more images (1,000 or more), or a smaller --top-k",
            similarity.name,
            top,
            images,
        )


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


@dataclass
class _Scorer:
    """Scores groups of one workspace, and writes their files as soon as a pass over the concepts is done."""

    workspace: Workspace
    concepts: Sequence[Concept]
    features: Features
    settings: ScoreSettings
    shared_origin: str
    """Hash of all that passes over the concepts share."""

    def write_vocabulary(self, origin: str, parameters: Mapping[str, Any]) -> None:
        path = self.workspace.table("vocabulary")
        if not is_fresh(path, origin):
            table = result_tables.vocabulary_table(self.concepts, self._texts.numpy())
            self.workspace.write(path, table, origin, parameters)

    def run(self, groups: Sequence[Group], firsts: Sequence[Group], progress: Progress) -> Iterator[int]:
        """Score the groups and write their files; gives the units of each.

        firsts: first epochs with which their runs and layers are compared; those that are not among the groups are
        scored again for that, and not written. None: the groups are compared with chance.
        """
        if not groups:
            return
        wanted = {group.origin for group in groups}
        reference = {group.origin for group in firsts}
        order = [*firsts, *(group for group in groups if group.origin not in reference)]
        compared: dict[tuple[str, str], FirstEpoch] = {}
        workspace, settings = self.workspace, self.settings
        vectors = self.features.image_vectors(progress)
        _warn_of_few(len(vectors), settings.similarity)
        ids = workspace.read("images").filter(pc.field("status") == "ok")["image_id"].to_numpy()
        images = ProbeImages.shuffle(vectors, ids, settings.seed, settings.device)
        texts = self._texts.to(settings.device)
        shared = read_shared(workspace, self.shared_origin)
        known = bool(shared.null or shared.products)
        inputs = {name: workspace.origin(name) for name in ("images", "vocabulary")}
        populations = (
            (group, read_population(workspace, group.shard, images, settings.method))
            for group in progress(order, "reading activations", len(order))
        )
        for together in passes(populations):
            scored = [(group, population.kept) for group, population in together if population.kept]
            found = []
            if scored:
                layers = [kept for _, kept in scored]
                described = [group.origin in reference for group, _ in scored]
                found = labelling.label(
                    settings.method, images.vectors, texts, layers, progress, shared, described
                )
                if not known:
                    write_shared(workspace, self.shared_origin, shared)
                    known = True
            labels = iter(found)
            for group, population in together:
                labelled = population.labelled(next(labels) if population.kept else None)
                of = trajectory(group.shard)
                if group.origin in reference:
                    compared[of] = _first_epoch(labelled.labels, len(texts))
                if group.origin not in wanted:
                    continue
                fit = _fit(labelled, images.vectors, texts)
                first = compared[of] if reference else None
                tables = {
                    "concepts": result_tables.concepts_table(labelled, self.concepts),
                    "units": result_tables.units_table(labelled, self.concepts, settings.fdr, fit, first),
                }
                group.write(workspace, tables, inputs)
                yield tables["units"].num_rows

    @cached_property
    def _texts(self) -> Tensor:
        """(C,D) unit vectors."""
        return self.features.concept_vectors(
            [concept.name for concept in self.concepts], self.settings.templates
        )


def _fit(population: Population, images: Tensor, texts: Tensor) -> np.ndarray:
    """(L,) of the live units with their labels; of none where no unit is live."""
    if population.labels is None:
        return np.empty(0)
    return fits(images, texts, population.labels.concepts[:, 0], population.compared)


def _first_epoch(labels: Labels | None, concepts: int) -> FirstEpoch:
    if labels is None or labels.moments is None:
        return FirstEpoch.without_units(concepts)
    return FirstEpoch.of(labels.moments, labels.scores[:, 0].numpy(), labels.concepts[:, 0].numpy())


def _summarize(scores: pa.Table, concepts: int, *, made: bool) -> ScoreResult:
    rows = scores.to_pylist()
    shown = sort_rows(pd.DataFrame(rows).drop(columns=["activations", "origin"]))
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
