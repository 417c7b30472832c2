"""Stage 2: from activations to the concept that each unit detects.

probe images, concepts --CLIP--> unit vectors (N,D), (C,D); table `vocabulary`
activations of every run, layer, epoch --> each unit's status and what the similarity keeps of it
kept of units x concepts, in blocks of concepts --similarity, prior--> top concepts, best score
best scores, pseudo-units' best scores --> p-values, false discovery rate --> tables `units`, `concepts`
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from cmon.clip.features import Features
from cmon.concepts import Concept
from cmon.errors import CmonError
from cmon.progress import Progress, silent
from cmon.scoring import labelling, priors, significance
from cmon.scoring import status as unit_statuses
from cmon.scoring.labelling import Labels, Layer
from cmon.scoring.similarity.base import Similarity
from cmon.scoring.similarity.top_k import top_k
from cmon.scoring.similarity.wpmi import SoftWPMI
from cmon.workspace import costs, provenance, schemas
from cmon.workspace.files import digest
from cmon.workspace.status import STATUSES
from cmon.workspace.workspace import Workspace, is_fresh, read_table

logger = logging.getLogger(__name__)

SHOWN_IMAGES = 10
"""Top images that the table `units` keeps per unit."""
KEPT_CONCEPTS = 10
"""Concepts that the table `concepts` keeps per unit, and that its vector is made of."""
_LABEL_COLUMNS = ("label", "category", "score", "p_value", "margin")
"""Columns of the table `units` that only live units have."""
_PASS_BYTES = 2**29
"""What may be kept of units for one pass over the concepts; a single layer may keep more."""


@dataclass(frozen=True)
class ScoreSettings:
    """What `cmon score` was asked for, but where."""

    similarity: Similarity = field(default_factory=SoftWPMI)
    """One of `registry.SIMILARITIES` with its parameters."""
    prior: str = "null"
    """One of `priors.PRIORS`."""
    templates: tuple[str, ...] = ()
    """Sentences with one `{}` each, in which CLIP reads the concepts; none: it reads the words alone."""
    fdr: float = 0.05
    pseudo_units: int = 4096
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class ScoreResult:
    """Counts over all runs, layers and epochs."""

    units: int
    statuses: dict[str, int]
    interpretable: int
    layers: list[dict[str, Any]]
    """The same of each run, layer and epoch: see `statuses.counts`."""
    concepts: int
    made: bool
    """False if everything was fresh."""


@dataclass(frozen=True)
class Population:
    """All units of one run, layer and epoch."""

    run: str
    layer: str
    epoch: float
    statuses: np.ndarray
    """(K,) str."""
    live: np.ndarray
    """(L,) the units with status 'ok': only they are scored."""
    scored: Layer | None
    """What the similarity keeps of the live units; None where there are none, and once they have their labels."""
    shown_images: np.ndarray
    """(K, SHOWN_IMAGES) image_id."""
    shown_activations: np.ndarray
    """(K, SHOWN_IMAGES) float32."""


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
    shards = workspace.read("shards").to_pylist()
    activations = provenance.of_activations(shards)
    listed = [asdict(concept) for concept in concepts]
    parameters = {**asdict(settings), "clip": features.spec, "precision": features.precision}
    parameters["similarity"] = {"function": settings.similarity.name, **parameters["similarity"]}
    parameters["above"] = priors.ABOVE
    del parameters["device"]  # where it was computed does not change what it is
    origin = digest(
        activations,
        workspace.origin("images"),
        features.identity,
        listed,
        parameters,
        schemas.VERSION,
    )
    names = ("vocabulary", "concepts", "units")  # units last: it is the one that says that all is there
    if all(is_fresh(workspace.table(name), origin) for name in names):
        return _summary(read_table(workspace.table("units")), len(concepts), made=False)

    with costs.measured(workspace, "score", "units") as work:
        images = features.of_images(progress)
        _warn_of_few(len(images), settings)
        texts = features.of_concepts([concept.name for concept in concepts], settings.templates)
        # Equal activations are ordered by a fixed shuffle of the images: in the folder's order, where classes
        # often lie together, a tie would look like a concept. So everything is done in the shuffled order.
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(settings.seed))
        images = images[order].to(settings.device)
        read = (
            _population(workspace, shard, images, order, settings)
            for shard in progress(shards, "reading activations", len(shards))
        )
        labelled = [
            one
            for some in _passes(read)
            for one in _labelled(images, texts.to(settings.device), some, settings, progress)
        ]
        tables = {
            "vocabulary": pa.Table.from_arrays(
                [
                    pa.array([concept.name for concept in concepts]),
                    pa.array([concept.category for concept in concepts], pa.string()),
                    schemas.vectors(texts.numpy()),
                ],
                schema=schemas.vocabulary(texts.shape[1]),
            ),
            "concepts": _concept_rows(labelled, concepts),
            "units": _unit_rows(labelled, concepts, settings),
        }
        for name in names:
            workspace.write(
                workspace.table(name), tables[name], origin, parameters | {"activations": activations}
            )
        work.items = tables["units"].num_rows
    return _summary(tables["units"], len(concepts), made=True)


def _warn_of_few(images: int, settings: ScoreSettings) -> None:
    """Among a tenth of the images or more, the most activating ones are hardly chosen."""
    top = settings.similarity.top_images(images)
    if top is not None and 10 * top > images:
        logger.warning(
            "%s looks at the %s most activating of only %s images: labels will be vague, and few significant; give "
            "more images (1,000 or more), or a smaller --top-k",
            settings.similarity.name,
            top,
            images,
        )


def _population(
    workspace: Workspace, shard: dict[str, Any], images: Tensor, order: Tensor, settings: ScoreSettings
) -> Population:
    """images: (N,D) on the settings' device, in the order in which `order`, (N,), puts the activations' rows."""
    path = workspace.activations(shard["run"], shard["layer"], shard["epoch"])
    if not is_fresh(path, shard["origin"]):
        raise CmonError(
            f"{path}: is missing, or not the one that the table 'shards' lists",
            hint="run `cmon extract` again with the same options",
        )
    table = read_table(path)
    image_ids = table["image_id"].to_numpy()[order.numpy()]
    activations = schemas.matrix(table["activations"])[order.numpy()]
    del table  # one copy of the activations at a time
    function = settings.similarity
    deciding = function.top_images(len(images))
    finite = torch.from_numpy(activations)
    if not np.isfinite(activations).all():
        finite = finite.nan_to_num(0.0)
    top = top_k(finite.T, max(deciding or 0, SHOWN_IMAGES))
    statuses = unit_statuses.of_units(activations, top.values[:, :deciding].numpy() if deciding else None)
    live = np.flatnonzero(statuses == "ok")
    scored = None
    if len(live):
        scored = labelling.layer_of(
            function,
            images,
            (finite if len(live) == len(statuses) else finite[:, live]).to(images.device),
            top.indices[live].to(images.device),
            settings.pseudo_units,
            settings.seed,
        )
    return Population(
        shard["run"],
        shard["layer"],
        shard["epoch"],
        statuses,
        live,
        scored,
        image_ids[top.indices[:, :SHOWN_IMAGES].numpy()],
        top.values[:, :SHOWN_IMAGES].numpy(),
    )


def _passes(populations: Iterable[Population]) -> Iterator[list[Population]]:
    """As many populations at a time as may be kept for one pass over the concepts."""
    some: list[Population] = []
    kept = 0
    for population in populations:
        more = population.scored.kept_bytes if population.scored else 0
        if some and kept + more > _PASS_BYTES:
            yield some
            some, kept = [], 0
        some.append(population)
        kept += more
    if some:
        yield some


def _labelled(
    images: Tensor,
    texts: Tensor,
    populations: Sequence[Population],
    settings: ScoreSettings,
    progress: Progress,
) -> list[tuple[Population, Labels | None]]:
    """Each population, emptied of what was kept for scoring, with its live units' labels."""
    layers = [population.scored for population in populations if population.scored]
    labels = iter(
        labelling.label(
            settings.similarity,
            settings.prior,
            images,
            texts,
            layers,
            settings.pseudo_units,
            settings.seed,
            KEPT_CONCEPTS,
            progress,
        )
        if layers
        else []
    )
    return [(replace(one, scored=None), next(labels) if one.scored else None) for one in populations]


def _unit_rows(
    labelled: Sequence[tuple[Population, Labels | None]], concepts: Sequence[Concept], settings: ScoreSettings
) -> pa.Table:
    names, categories = _columns(concepts)
    tables = []
    for population, labels in labelled:
        units = len(population.statuses)
        columns = {
            "status": pa.array(population.statuses),
            "interpretable": pa.array(np.zeros(units, dtype=bool)),
            "top_images": pa.array(list(population.shown_images)),
            "top_activations": pa.array(list(population.shown_activations)),
            **{name: pa.nulls(units, schemas.UNITS.field(name).type) for name in _LABEL_COLUMNS},
        }
        if labels:
            scores, label = labels.scores.numpy(), labels.concepts[:, 0].numpy()
            p = significance.p_values(scores[:, 0], labels.null_best.numpy())
            found = population.live[significance.discoveries(p, settings.fdr)]
            columns["interpretable"] = pa.array(np.isin(np.arange(units), found))
            columns["label"] = _spread(names.take(label), population.live, units)
            columns["category"] = _spread(categories.take(label), population.live, units)
            columns["score"] = _spread(pa.array(scores[:, 0]), population.live, units)
            columns["p_value"] = _spread(pa.array(p), population.live, units)
            if len(concepts) > 1:
                columns["margin"] = _spread(pa.array(scores[:, 0] - scores[:, 1]), population.live, units)
        tables.append(_keyed(population, np.arange(units), columns, schemas.UNITS))
    return pa.concat_tables(tables)


def _concept_rows(
    labelled: Sequence[tuple[Population, Labels | None]], concepts: Sequence[Concept]
) -> pa.Table:
    names, categories = _columns(concepts)
    tables = [schemas.CONCEPTS.empty_table()]
    for population, labels in labelled:
        if labels is None:
            continue
        kept = labels.scores.shape[1]
        index = labels.concepts.numpy().ravel()
        columns = {
            "rank": pa.array(np.tile(np.arange(kept), len(population.live))),
            "concept": names.take(index),
            "category": categories.take(index),
            "score": pa.array(labels.scores.numpy().ravel()),
        }
        tables.append(_keyed(population, np.repeat(population.live, kept), columns, schemas.CONCEPTS))
    return pa.concat_tables(tables)


def _columns(concepts: Sequence[Concept]) -> tuple[pa.Array, pa.Array]:
    names = pa.array([concept.name for concept in concepts], pa.string())
    return names, pa.array([concept.category for concept in concepts], pa.string())


def _spread(values: pa.Array, live: np.ndarray, units: int) -> pa.Array:
    """Values of the live units as a column over all units, null elsewhere."""
    position = np.full(units, -1)
    position[live] = np.arange(len(live))
    return values.take(pa.array(position, mask=position < 0))


def _keyed(
    population: Population, units: np.ndarray, columns: dict[str, pa.Array], schema: pa.Schema
) -> pa.Table:
    """The columns behind the keys run, layer, epoch and unit, in the schema's order and types."""
    columns = {
        "run": pa.array([population.run] * len(units), pa.string()),
        "layer": pa.array([population.layer] * len(units), pa.string()),
        "epoch": pa.array([population.epoch] * len(units), pa.float64()),
        "unit": pa.array(units),
        **columns,
    }
    return pa.Table.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _summary(units: pa.Table, concepts: int, *, made: bool) -> ScoreResult:
    layers = unit_statuses.counts(units)
    return ScoreResult(
        units.num_rows,
        {status: sum(row[status] for row in layers) for status in STATUSES},
        sum(row["interpretable"] for row in layers),
        layers,
        concepts,
        made,
    )
