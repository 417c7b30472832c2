"""Scores runs, layers and epochs of one workspace, as many at a time as may be kept for one pass over the concepts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow.compute as pc
from torch import Tensor

from cmon.concepts import Concept
from cmon.progress import Progress
from cmon.scoring import labelling, result_tables
from cmon.scoring.first_epoch import FirstEpoch
from cmon.scoring.fit import fits
from cmon.scoring.groups import Group, trajectory
from cmon.scoring.labelling import Labels
from cmon.scoring.populations import Population, ProbeImages, passes, read_population
from cmon.scoring.settings import ScoreSettings
from cmon.scoring.shared_cache import read_shared, write_shared
from cmon.scoring.similarity.base import Similarity
from cmon.workspace.table_files import is_fresh
from cmon.workspace.workspace import Workspace

logger = logging.getLogger(__name__)


class Vectors(Protocol):
    """Where vectors of images and concepts come from: `Features`, or a process that has them already."""

    def image_vectors(self, progress: Progress) -> Tensor:
        """(N,D) float32 unit vectors of the images that could be read."""

    def concept_vectors(self, names: Sequence[str], templates: Sequence[str] = ()) -> Tensor:
        """(C,D) float32 unit vectors."""


@dataclass
class Scorer:
    """Scores groups of one workspace, and writes their files as soon as a pass over the concepts is done."""

    workspace: Workspace
    concepts: Sequence[Concept]
    features: Vectors
    settings: ScoreSettings
    shared_origin: str
    """Hash of all that passes over the concepts share."""
    inputs: Mapping[str, str]
    """Origins of the tables `images` and `vocabulary`, of which the groups' files are made."""

    def write_vocabulary(self, parameters: Mapping[str, Any]) -> None:
        path, origin = self.workspace.table("vocabulary"), self.inputs["vocabulary"]
        if not is_fresh(path, origin):
            table = result_tables.vocabulary_table(self.concepts, self.texts.numpy())
            self.workspace.write(path, table, origin, parameters)

    @property
    def lacks_shared(self) -> bool:
        """Whether the first pass over the concepts will find what all others share, and has not been made."""
        if not self.settings.similarity.order_only:  # each layer has pseudo-units of its own
            return False
        shared = read_shared(self.workspace, self.shared_origin)
        return not (shared.null or shared.products)

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
        texts = self.texts.to(settings.device)
        shared = read_shared(workspace, self.shared_origin)
        known = bool(shared.null or shared.products)
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
                group.write(workspace, tables, self.inputs)
                yield tables["units"].num_rows

    @cached_property
    def texts(self) -> Tensor:
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
