"""Stage 2: from activations to the concept that each unit detects.

probe images, concepts --CLIP--> unit vectors (N,D), (C,D); table `vocabulary`
activations of every run, layer, epoch --> each unit's status and top images
top images x concepts, in blocks of concepts --similarity, prior--> top concepts, best score
best scores, pseudo-units' best scores --> p-values, false discovery rate --> tables `units`, `concepts`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from cmon import costs, schemas, similarity, statistics
from cmon.concepts import Concept
from cmon.errors import CmonError
from cmon.features import Features
from cmon.similarity import NullPrior, SoftWPMI
from cmon.store import Workspace, digest, is_fresh, read_table
from cmon.topk import TopK

SHOWN_IMAGES = 10
"""Top images that the table `units` keeps per unit."""
KEPT_CONCEPTS = 10
"""Concepts that the table `concepts` keeps per unit, and that its vector is made of."""


@dataclass(frozen=True)
class Settings:
    """What `cmon score` was asked for, but where."""

    similarity: SoftWPMI = field(default_factory=SoftWPMI)
    prior: str = "null"
    lam: float = 1.0
    """Weight of the prior 'layer', CLIP-Dissect's lambda."""
    fdr: float = 0.05
    pseudo_units: int = 4096
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Summary:
    """Counts over all runs, layers and epochs."""

    units: int
    statuses: dict[str, int]
    interpretable: int
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
    top_images: Tensor
    """(L, min(top_k, N)) int64, rows of the image features, most activating first."""
    shown_images: np.ndarray
    """(K, SHOWN_IMAGES) image_id."""
    shown_activations: np.ndarray
    """(K, SHOWN_IMAGES) float32."""


def score(
    workspace: Workspace,
    concepts: Sequence[Concept],
    features: Features,
    settings: Settings,
    progress: Callable[..., Iterable[Any]] = lambda items, *_: items,
) -> Summary:
    """Label every unit of the workspace, and write the tables `vocabulary`, `units` and `concepts`.

    Raises CmonError when `extract` has not run.
    """
    shards = workspace.read("shards").to_pylist()
    listed = [asdict(concept) for concept in concepts]
    parameters = {**asdict(settings), "clip": features.spec, "precision": features.precision}
    del parameters["device"]  # where it was computed does not change what it is
    key = digest(
        [(shard["run"], shard["layer"], shard["epoch"], shard["key"]) for shard in shards],
        workspace.key("images"),
        features.identity,
        listed,
        parameters,
        schemas.VERSION,
    )
    names = ("vocabulary", "concepts", "units")  # units last: it is the one that says that all is there
    if all(is_fresh(workspace.table(name), key) for name in names):
        return _summary(read_table(workspace.table("units")), len(concepts), made=False)

    with costs.measured(workspace, "score", "units") as work:
        images = features.of_images(progress)
        texts = features.of_texts([concept.name for concept in concepts])
        populations = [
            _population(workspace, shard, len(images), settings)
            for shard in progress(shards, "ranking images", len(shards))
        ]
        best, null_best = _best_concepts(images, texts, populations, settings, progress)
        tables = {
            "vocabulary": pa.Table.from_arrays(
                [
                    pa.array([concept.name for concept in concepts]),
                    pa.array([concept.category for concept in concepts], pa.string()),
                    schemas.vectors(texts.numpy()),
                ],
                schema=schemas.vocabulary(texts.shape[1]),
            ),
            "concepts": _concept_rows(populations, best, concepts),
            "units": _unit_rows(populations, best, null_best, concepts, settings),
        }
        for name in names:
            workspace.write(workspace.table(name), tables[name], key, parameters)
        work.items = tables["units"].num_rows
    return _summary(tables["units"], len(concepts), made=True)


def unit_statuses(activations: np.ndarray, top_values: np.ndarray) -> np.ndarray:
    """Why a unit has no label, or 'ok'.

    activations: (N,K); top_values: (K, top_k), each unit's largest in falling order.
    'non-finite': a NaN or infinity among its activations. 'dead': the same activation for every image.
    'tied': more than half of its top images share one activation, so that which they are is arbitrary (a
    ReLU unit that answers to a handful of images, and is 0 for all others).
    """
    finite = np.isfinite(activations).all(axis=0)
    lively = activations.max(axis=0) > activations.min(axis=0)
    # In a falling order, a tie of more than half covers the middle; look at the run of the middle value.
    middle = top_values[:, top_values.shape[1] // 2, None]
    alike = (top_values == middle).sum(axis=1)
    tied = (alike > top_values.shape[1] / 2) & (alike > 1)
    return np.where(~finite, "non-finite", np.where(~lively, "dead", np.where(tied, "tied", "ok")))


def _population(workspace: Workspace, shard: dict[str, Any], images: int, settings: Settings) -> Population:
    path = workspace.activations(shard["run"], shard["layer"], shard["epoch"])
    if not is_fresh(path, shard["key"]):
        raise CmonError(
            f"{path}: is missing, or not the one that the table 'shards' lists",
            hint="run `cmon extract` again with the same options",
        )
    table = read_table(path)
    image_ids = table["image_id"].to_numpy()
    activations = schemas.matrix(table["activations"])
    # Equal activations are ordered by a fixed shuffle of the images: in the folder's order, where classes
    # often lie together, a tie would look like a concept.
    shuffled = torch.randperm(images, generator=torch.Generator().manual_seed(settings.seed))
    ordered = torch.from_numpy(activations)[shuffled].T.nan_to_num(0.0)
    kept = min(settings.similarity.top_k, images)
    top = ordered.sort(dim=1, descending=True, stable=True)
    rows, values = shuffled[top.indices[:, :kept]], top.values[:, :kept]
    statuses = unit_statuses(activations, values.numpy())
    live = np.flatnonzero(statuses == "ok")
    return Population(
        shard["run"],
        shard["layer"],
        shard["epoch"],
        statuses,
        live,
        rows[live],
        image_ids[rows[:, :SHOWN_IMAGES].numpy()],
        values[:, :SHOWN_IMAGES].numpy(),
    )


def _best_concepts(
    images: Tensor,
    texts: Tensor,
    populations: Sequence[Population],
    settings: Settings,
    progress: Callable[..., Iterable[Any]],
) -> tuple[TopK, np.ndarray]:
    """The top concepts of all units, populations one after the other, and the pseudo-units' best scores (M,)."""
    images, texts = images.to(settings.device), texts.to(settings.device)
    tops = [population.top_images.to(settings.device) for population in populations]
    pseudo = similarity.pseudo_units(
        len(images), settings.pseudo_units, settings.similarity.top_k, settings.seed
    )
    pseudo = pseudo.to(settings.device)

    best = TopK.empty(sum(map(len, tops)), KEPT_CONCEPTS, device=settings.device)
    null_best = torch.full((len(pseudo),), -torch.inf, device=settings.device)
    a = settings.similarity.a
    normalizer = similarity.log_normalizer(images, texts, a)
    blocks = similarity.probability_blocks(images, texts, normalizer, a)
    total = -(-len(texts) // similarity.BLOCK)
    for block, probabilities in progress(blocks, "scoring concepts", total):
        null = settings.similarity.evidence(probabilities, pseudo)
        prior = NullPrior.of(null, "null" if settings.prior == "layer" else settings.prior)
        null_best = null_best.maximum(prior.score(null).amax(dim=1))
        evidence = [settings.similarity.evidence(probabilities, top) for top in tops]
        if settings.prior == "layer":
            scores = [
                one - settings.lam * similarity.layer_prior(one) if len(one) else one for one in evidence
            ]
        else:
            scores = [prior.score(one) for one in evidence]
        best = best.update(torch.cat(scores), block.start)
    return TopK(best.values.cpu(), best.indices.cpu(), best.k), null_best.cpu().numpy()


def _unit_rows(
    populations: Sequence[Population],
    best: TopK,
    null_best: np.ndarray,
    concepts: Sequence[Concept],
    settings: Settings,
) -> pa.Table:
    names, categories = _columns(concepts)
    tables = []
    for population, rows in _parts(populations):
        scores, label = best.values[rows].numpy(), best.indices[rows, 0].numpy()
        p = statistics.p_values(scores[:, 0], null_best)
        units = len(population.statuses)
        columns = {
            "status": pa.array(population.statuses),
            "label": _spread(names.take(label), population.live, units),
            "category": _spread(categories.take(label), population.live, units),
            "score": _spread(pa.array(scores[:, 0]), population.live, units),
            "p_value": _spread(pa.array(p), population.live, units),
            "interpretable": pa.array(
                np.isin(np.arange(units), population.live[statistics.discoveries(p, settings.fdr)])
            ),
            "top_images": pa.array(list(population.shown_images)),
            "top_activations": pa.array(list(population.shown_activations)),
            "margin": pa.nulls(units, pa.float32()),
        }
        if len(concepts) > 1:
            columns["margin"] = _spread(pa.array(scores[:, 0] - scores[:, 1]), population.live, units)
        tables.append(_keyed(population, np.arange(units), columns, schemas.UNITS))
    return pa.concat_tables(tables)


def _concept_rows(populations: Sequence[Population], best: TopK, concepts: Sequence[Concept]) -> pa.Table:
    names, categories = _columns(concepts)
    kept = best.values.shape[1]
    tables = []
    for population, rows in _parts(populations):
        index = best.indices[rows].numpy().ravel()
        columns = {
            "rank": pa.array(np.tile(np.arange(kept), len(population.live))),
            "concept": names.take(index),
            "category": categories.take(index),
            "score": pa.array(best.values[rows].numpy().ravel()),
        }
        tables.append(_keyed(population, np.repeat(population.live, kept), columns, schemas.CONCEPTS))
    return pa.concat_tables(tables)


def _parts(populations: Sequence[Population]) -> Iterator[tuple[Population, slice]]:
    """Each population with its rows in the arrays of all live units."""
    start = 0
    for population in populations:
        yield population, slice(start, start + len(population.live))
        start += len(population.live)


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


def _summary(units: pa.Table, concepts: int, *, made: bool) -> Summary:
    counts = units["status"].value_counts().to_pylist()
    return Summary(
        units.num_rows,
        {row["values"]: row["counts"] for row in counts},
        int(units["interpretable"].to_numpy(zero_copy_only=False).sum()),
        concepts,
        made,
    )
