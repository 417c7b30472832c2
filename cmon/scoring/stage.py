"""Stage 2: from activations to the concept that each unit detects.

probe images, concepts --CLIP--> unit vectors (N,D), (C,D); table `vocabulary`
activations of every run, layer, epoch --> each unit's status and what the similarity function keeps of it
what is kept x concepts, in blocks of concepts --similarity, prior--> best concepts and scores
best scores, pseudo-units' best scores --> p-values, false discovery rate --> tables `units`, `concepts`
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
from torch import Tensor

from cmon.clip.features import Features
from cmon.concepts import Concept
from cmon.progress import Progress, silent
from cmon.scoring import labelling, priors, result_tables, status
from cmon.scoring.labelling import Method
from cmon.scoring.populations import Population, ProbeImages, passes, read_population
from cmon.scoring.priors import NullPrior, Prior
from cmon.scoring.similarity.base import Similarity
from cmon.scoring.similarity.wpmi import SoftWPMI
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest
from cmon.workspace.status import STATUSES
from cmon.workspace.workspace import Workspace, is_fresh

logger = logging.getLogger(__name__)

KEPT_CONCEPTS = 10
"""Concepts that the table `concepts` keeps per unit, and that its vector is made of."""
_TABLES = ("vocabulary", "concepts", "units")
"""In the order of writing: `units` comes last, and says that all are there."""


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
    """The same of each run, layer and epoch: see `status.count_units`."""
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
    """Label every unit of the workspace, and write the tables `vocabulary`, `units` and `concepts`.

    Raises CmonError when `extract` has not run.
    """
    parameters = _parameters(settings, features)
    activations = provenance.of_activations(workspace.read("shards").to_pylist())
    origin = digest(
        activations,
        workspace.origin("images"),
        features.identity,
        [asdict(concept) for concept in concepts],
        parameters,
        schemas.VERSION,
    )
    if all(is_fresh(workspace.table(name), origin) for name in _TABLES):
        return _summarize(workspace.read("units"), len(concepts), made=False)
    with costs.measured(workspace, "score", "units") as work:
        images = features.image_vectors(progress)
        _warn_of_few(len(images), settings.similarity)
        texts = features.concept_vectors([concept.name for concept in concepts], settings.templates)
        probe = ProbeImages.shuffle(images, settings.seed, settings.device)
        populations = _label_all(workspace, probe, texts.to(settings.device), settings.method, progress)
        tables = {
            "vocabulary": result_tables.vocabulary_table(concepts, texts.numpy()),
            "concepts": result_tables.concepts_table(populations, concepts),
            "units": result_tables.units_table(populations, concepts, settings.fdr),
        }
        for name in _TABLES:
            workspace.write(
                workspace.table(name), tables[name], origin, parameters | {"activations": activations}
            )
        work.items = tables["units"].num_rows
    return _summarize(tables["units"], len(concepts), made=True)


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


def _label_all(
    workspace: Workspace, images: ProbeImages, texts: Tensor, method: Method, progress: Progress
) -> list[Population]:
    """The populations of all runs, layers and epochs, with their labels."""
    shards = workspace.read("shards").to_pylist()
    populations = (
        read_population(workspace, shard, images, method)
        for shard in progress(shards, "reading activations", len(shards))
    )
    found = []
    for together in passes(populations):
        layers = [population.kept for population in together if population.kept]
        labels = iter(labelling.label(method, images.vectors, texts, layers, progress) if layers else ())
        found += [one.labelled(next(labels) if one.kept else None) for one in together]
    return found


def _summarize(units: pa.Table, concepts: int, *, made: bool) -> ScoreResult:
    layers = status.count_units(units)
    return ScoreResult(
        units.num_rows,
        {name: sum(row[name] for row in layers) for name in STATUSES},
        sum(row["interpretable"] for row in layers),
        layers,
        concepts,
        made,
    )
